//! One pod's question to many nodes.
//!
//! Whether a node's offers suit the pod is found out once for each kind of node; what is looked at on each is who is there.

use std::borrow::Cow;
use std::collections::HashMap;

use super::question::Ask;
use crate::inventory::delegation::is_left_to_dra;
use crate::inventory::{Holding, Lack, NodeEntry, NodeOffers};

/// A pod that asks one node after the other.
#[derive(Debug)]
pub(super) struct Survey<'q> {
    ask: &'q Ask<'q>,
    /// What was found out, by the address of the offers: the ledger keeps equal ones once, and nodes outlive the survey.
    suited: HashMap<*const NodeOffers, Result<(), Lack>, foldhash::fast::RandomState>,
}

impl<'q> Survey<'q> {
    pub(super) fn new(ask: &'q Ask<'q>) -> Self {
        Survey {
            ask,
            suited: HashMap::default(),
        }
    }

    /// As [`Ask::check`].
    pub(super) fn check(&mut self, node: Option<&'q NodeEntry>) -> Result<(), Cow<'_, Lack>> {
        let (
            Ask::Hold {
                policy,
                newcomer,
                classes,
            },
            Some(node),
        ) = (self.ask, node)
        else {
            return self.ask.check(node).map_err(Cow::Owned);
        };
        let newcomer: Holding<'_> = newcomer.holding();
        let suited = self
            .suited
            .entry(std::ptr::from_ref(&*node.offers))
            .or_insert_with(|| node.offers.suit(&newcomer, policy.sharing_rules()));
        match suited {
            Ok(()) => node.has_room(&newcomer).map_err(Cow::Owned),
            Err(lack) if is_left_to_dra(lack, classes) => node
                .leave(&newcomer, policy.sharing_rules(), classes)
                .map_err(Cow::Owned),
            Err(lack) => Err(Cow::Borrowed(lack)),
        }
    }
}
