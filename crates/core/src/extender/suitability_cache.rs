//! One pod's question to many nodes.
//!
//! Whether a node's offers suit the pod is found out once for each kind of node; what is looked at on each is who is there.

use std::borrow::Cow;
use std::collections::HashMap;

use super::pod_query::PodQuery;
use crate::inventory::dra::is_left_to_dra;
use crate::inventory::{NodeEntry, NodeOffers, PodRequestRef, UnfitReason};

/// A pod that asks one node after the other.
#[derive(Debug)]
pub(super) struct SuitabilityCache<'q> {
    ask: &'q PodQuery<'q>,
    /// What was found out, by the address of the offers: the ledger keeps equal ones once, and nodes outlive the survey.
    suited: HashMap<*const NodeOffers, Result<(), UnfitReason>, foldhash::fast::RandomState>,
}

impl<'q> SuitabilityCache<'q> {
    pub(super) fn new(ask: &'q PodQuery<'q>) -> Self {
        SuitabilityCache {
            ask,
            suited: HashMap::default(),
        }
    }

    /// As [`PodQuery::check`].
    pub(super) fn check(&mut self, node: Option<&'q NodeEntry>) -> Result<(), Cow<'_, UnfitReason>> {
        let (
            PodQuery::Hold {
                policy,
                pod_request,
                classes,
            },
            Some(node),
        ) = (self.ask, node)
        else {
            return self.ask.check(node).map_err(Cow::Owned);
        };
        let pod_request: PodRequestRef<'_> = pod_request.request();
        let suited = self
            .suited
            .entry(std::ptr::from_ref(&*node.offers))
            .or_insert_with(|| node.offers.suit(&pod_request, policy.sharing_rules()));
        match suited {
            Ok(()) => node.has_room(&pod_request).map_err(Cow::Owned),
            Err(unfit_reason) if is_left_to_dra(unfit_reason, classes) => node
                .leave(&pod_request, policy.sharing_rules(), classes)
                .map_err(Cow::Owned),
            Err(unfit_reason) => Err(Cow::Borrowed(unfit_reason)),
        }
    }
}
