//! Bindings: calling the API server for them, and the lease that allows it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Binding, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, Resource};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::api::{ApiError, within};
use super::kind::{Pods, Trimmed};
use super::lease::{self, CALL_TIMEOUT, Handover, LeaseConfig, Term};
use super::snapshot;
use crate::service::App;
use crate::service::bind::{BindError, BindLeadership, Binder, CallError, LivePod};
use apportion_core::extender::bind::BindingArgs;
use apportion_core::inventory::{PodEntry, PodRecord, Purpose};

/// The lease that allows a replica to bind and evict.
pub struct BindLease {
    config: LeaseConfig,
    leadership: BindLeadership,
    may_bind: watch::Sender<Option<Duration>>,
}

impl BindLease {
    /// A lease that is not held before [`BindLease::hold`].
    pub fn new(config: LeaseConfig) -> Self {
        let (may_bind, until) = watch::channel(None);
        let wanted = Arc::new(AtomicBool::new(false));
        BindLease {
            config,
            leadership: BindLeadership { until, wanted },
            may_bind,
        }
    }

    /// Whether this replica holds the lease and knows all earlier bindings.
    pub fn leadership(&self) -> BindLeadership {
        self.leadership.clone()
    }

    /// Starts to acquire and renew the lease.
    pub fn hold(self, client: &Client, app: &Arc<App>, tasks: &mut JoinSet<()>) {
        let (leads, led) = watch::channel(None);
        let handover = Handover {
            wanted: self.leadership.wanted,
            grace: CALL_TIMEOUT,
        };
        tasks.spawn(lease::hold(
            client.clone(),
            self.config,
            Some(handover),
            app.clock().clone(),
            leads,
        ));
        tasks.spawn(open_in_each_term(client.clone(), Arc::clone(app), led, self.may_bind));
    }
}

/// When a replica may bind: in each term of the lease, after it has listed what was bound before.
#[derive(Debug, Default)]
pub struct BindGate {
    listed: Option<u64>,
}

impl BindGate {
    /// The number of the term, if its list is still missing.
    pub fn unlisted(&self, term: Option<Term>) -> Option<u64> {
        term.map(|term| term.number)
            .filter(|number| self.listed != Some(*number))
    }

    /// What was bound before the term of that number is known.
    pub fn listed(&mut self, number: u64) {
        self.listed = Some(number);
    }

    /// Until when the replica may bind.
    pub fn until(&self, term: Option<Term>) -> Option<Duration> {
        term.filter(|term| self.listed == Some(term.number))
            .map(|term| term.until)
    }
}

/// Opens the gate each time that this replica has acquired the lease.
async fn open_in_each_term(
    client: Client,
    app: Arc<App>,
    mut led: watch::Receiver<Option<Term>>,
    may_bind: watch::Sender<Option<Duration>>,
) {
    let mut gate = BindGate::default();
    loop {
        let term = *led.borrow_and_update();
        if let Some(number) = gate.unlisted(term)
            && catch_up(&client, &app).await
        {
            gate.listed(number);
        }
        // During the list the lease may have been renewed or lost.
        let term = *led.borrow();
        may_bind.send_replace(gate.until(term));
        let retry = Duration::from_secs(if gate.unlisted(term).is_some() { 1 } else { 3600 });
        if let Ok(Err(_)) = timeout(retry, led.changed()).await {
            return;
        }
    }
}

/// Lists all pods by a consistent read, which no watch cache answers late. Returns whether the app
/// has them.
async fn catch_up(client: &Client, app: &App) -> bool {
    if app.state().readiness().is_err() {
        return false;
    }
    let mut bound: Vec<PodRecord> = Vec::new();
    let listed = snapshot::for_each::<Pods>(client, |_, record| {
        bound.extend(record.map(|record| *record).filter(PodRecord::is_bound));
    });
    if let Err(error) = listed.await {
        tracing::warn!(%error, "not binding pods yet: the pods that are already bound cannot be listed");
        return false;
    }
    reserve_unseen(app, bound)
}

/// Reserves for bound pods that the watch has not brought yet, such as those that another replica
/// bound a moment ago, until it does. Returns false if the app has no inventory.
pub fn reserve_unseen(app: &App, bound: Vec<PodRecord>) -> bool {
    let now = app.now();
    let mut reservations = app.reservations();
    let state = app.state();
    let Ok(inventory) = state.readiness() else {
        return false;
    };
    let mut unseen = 0u64;
    for record in bound {
        let key = format!("{}/{}", record.namespace, record.name);
        let is_seen = |pod: &Arc<PodEntry>| pod.record.summary.uid == record.summary.uid && pod.node().is_some();
        if !inventory.pod(&key).is_some_and(is_seen) {
            unseen += 1;
            let uid = record.summary.uid.clone();
            let pod = PodEntry {
                guarantees: Arc::new(app.guarantees_of(&state, &record)),
                record,
            };
            if let Some(node) = pod.node() {
                reservations.reserve(&uid, node, pod.to_request(), Purpose::Binding, now);
            }
        }
    }
    tracing::info!(unseen, "this replica binds pods");
    true
}

/// Calls the API server for bindings.
#[derive(Clone)]
pub struct ApiBinder(Client);

impl ApiBinder {
    pub fn new(client: Client) -> Self {
        ApiBinder(client)
    }
}

impl std::fmt::Debug for ApiBinder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiBinder")
    }
}

impl Binder for ApiBinder {
    fn get_pod<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<LivePod>, CallError>> {
        Box::pin(async move {
            let pods: Api<Trimmed<Pods>> = Api::namespaced(self.0.clone(), namespace);
            let found = within(CALL_TIMEOUT, pods.get_opt(name)).await?;
            Ok(found.map(|pod| LivePod {
                uid: pod.meta().uid.clone().unwrap_or_default(),
                record: pod.kept,
            }))
        })
    }

    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>> {
        Box::pin(async move {
            let call = self.0.request_text(request(args)?);
            match within(CALL_TIMEOUT, call).await {
                Ok(_) => Ok(()),
                Err(ApiError::Status(status)) => Err(match status.code {
                    409 => BindError::Conflict(status.message.clone()),
                    // 408 and 5xx may be sent after the write.
                    408 | 500.. => BindError::Unknown(status.message.clone()),
                    _ => BindError::Refused(status.message.clone()),
                }),
                Err(error) => Err(BindError::Unknown(CallError::from(error).to_string())),
            }
        })
    }
}

/// `POST pods/<name>/binding`, with the UID as a precondition.
fn request(args: &BindingArgs<'_>) -> Result<axum::http::Request<Vec<u8>>, BindError> {
    let text = |text: &apportion_core::k8s::Text<'_>| Some((**text).to_owned());
    let binding = Binding {
        metadata: ObjectMeta {
            name: text(&args.pod_name),
            namespace: text(&args.pod_namespace),
            uid: text(&args.pod_uid),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: text(&args.node),
            ..ObjectReference::default()
        },
    };
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/binding",
        &*args.pod_namespace, &*args.pod_name
    );
    let refused = |error: &dyn std::fmt::Display| BindError::Refused(error.to_string());
    let body = serde_json::to_vec(&binding).map_err(|error| refused(&error))?;
    axum::http::Request::post(path)
        .header(axum::http::header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| refused(&error))
}
