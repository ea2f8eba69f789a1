//! Bindings: asking the API server for them, and the one seat that allows it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Binding as Object, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, Resource};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::kind::{Pods, Trimmed};
use super::lease::{self, Handover, LeaseConfig, Term};
use super::snapshot;
use crate::service::App;
use crate::service::bind::{BindError, BindLeadership, Binder, Binding, Looked};
use apportion_core::extender::bind::BindingArgs;
use apportion_core::inventory::{PodEntry, PodRecord, Purpose};

/// The longest that one call may take. The seat is given up long enough before the Lease ends for a call to be over by then.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the API server.
#[derive(Clone)]
struct ApiServer(Client);

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiServer")
    }
}

/// Lets `app` bind pods, as long as we hold the seat.
pub fn start(client: &Client, app: &App, seat: BindLeadership) {
    app.bind_through(Binding {
        binder: Arc::new(ApiServer(client.clone())),
        seat,
    });
}

/// Holds the seat as well as it can.
pub fn seat(client: &Client, app: &Arc<App>, seat: LeaseConfig, tasks: &mut JoinSet<()>) -> BindLeadership {
    let wanted = Arc::new(AtomicBool::new(false));
    let (may, until) = watch::channel(None);
    let (leads, led) = watch::channel(None);
    let ours = BindLeadership {
        until,
        wanted: Arc::clone(&wanted),
    };
    let handover = Handover {
        wanted,
        notice: PATIENCE,
    };
    tasks.spawn(lease::hold(
        client.clone(),
        seat,
        Some(handover),
        app.clock().clone(),
        leads,
    ));
    tasks.spawn(sit(client.clone(), Arc::clone(app), led, may));
    ours
}

/// When the seat is open: in each term of the Lease, once we know all that was bound before it.
#[derive(Debug, Default)]
pub struct Opening {
    /// The term for which that is known.
    ready: Option<u64>,
}

impl Opening {
    /// The number of the term, if what was bound before it has to be found out yet.
    pub fn unknown(&self, term: Option<Term>) -> Option<u64> {
        term.map(|term| term.number)
            .filter(|number| self.ready != Some(*number))
    }

    /// What was bound before the term of that number has been found out.
    pub fn known(&mut self, number: u64) {
        self.ready = Some(number);
    }

    /// Until when the seat is open.
    pub fn until(&self, term: Option<Term>) -> Option<Duration> {
        term.filter(|term| self.ready == Some(term.number))
            .map(|term| term.until)
    }
}

/// Opens the seat each time that the Lease has come to us.
async fn sit(
    client: Client,
    app: Arc<App>,
    mut led: watch::Receiver<Option<Term>>,
    may: watch::Sender<Option<Duration>>,
) {
    let mut opening = Opening::default();
    loop {
        let term = *led.borrow_and_update();
        if let Some(number) = opening.unknown(term)
            && catch_up(&client, &app).await
        {
            opening.known(number);
        }
        // While we looked the Lease may have gone on, or away.
        let term = *led.borrow();
        may.send_replace(opening.until(term));
        let again = Duration::from_secs(if opening.unknown(term).is_some() { 1 } else { 3600 });
        if let Ok(Err(_)) = timeout(again, led.changed()).await {
            return;
        }
    }
}

/// Looks at all pods as they are now, by a read that no cache answers late.
async fn catch_up(client: &Client, app: &App) -> bool {
    if app.state().readiness().is_err() {
        return false;
    }
    let mut bound: Vec<PodRecord> = Vec::new();
    let listed = snapshot::each::<Pods>(client, |_, record| {
        bound.extend(record.map(|record| *record).filter(PodRecord::is_on_a_node));
    });
    if let Err(error) = listed.await {
        tracing::warn!(%error, "pods are not bound from here yet: what is bound already has to be known first");
        return false;
    }
    take_in(app, bound)
}

/// Takes in pods on nodes, as they are now: what another replica bound a moment ago may not have come by our watch yet. What it has not
/// brought is reserved until it does. Returns whether that was possible.
pub fn take_in(app: &App, bound: Vec<PodRecord>) -> bool {
    let now = app.now();
    let mut reservations = app.reservations();
    let state = app.state();
    let Ok(inventory) = state.readiness() else {
        return false;
    };
    let mut late = 0u64;
    for record in bound {
        let key = format!("{}/{}", record.namespace, record.name);
        let is_seen = |pod: &Arc<PodEntry>| pod.record.summary.uid == record.summary.uid && pod.node().is_some();
        if !inventory.pod(&key).is_some_and(is_seen) {
            late += 1;
            let uid = record.summary.uid.clone();
            let pod = PodEntry {
                terms: Arc::new(app.guarantees_of(&state, &record)),
                record,
            };
            if let Some(node) = pod.node() {
                reservations.reserve(&uid, node, pod.pod_request(), Purpose::Binding, now);
            }
        }
    }
    tracing::info!(late, "pods are bound from here");
    true
}

impl Binder for ApiServer {
    fn look<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<Looked>, String>> {
        Box::pin(async move {
            let pods: Api<Trimmed<Pods>> = Api::namespaced(self.0.clone(), namespace);
            match timeout(PATIENCE, pods.get_opt(name)).await {
                Ok(Ok(found)) => Ok(found.map(|pod| Looked {
                    uid: pod.meta().uid.clone().unwrap_or_default(),
                    record: pod.kept,
                })),
                Ok(Err(error)) => Err(format!("the API server can not be asked for the pod: {error}")),
                Err(_) => Err("the API server does not answer".to_owned()),
            }
        })
    }

    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>> {
        Box::pin(async move {
            let asked = self.0.request_text(request(args)?);
            match timeout(PATIENCE, asked).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(kube::Error::Api(status))) => Err(match status.code {
                    409 => BindError::Conflict(status.message.clone()),
                    // 408 and 5xx may come after the write.
                    408 | 500.. => BindError::Unknown(status.message.clone()),
                    _ => BindError::Refused(status.message.clone()),
                }),
                Ok(Err(error)) => Err(BindError::Unknown(error.to_string())),
                Err(_) => Err(BindError::Unknown("the API server does not answer".to_owned())),
            }
        })
    }
}

/// `POST pods/<name>/binding`, with the UID as a precondition.
fn request(args: &BindingArgs<'_>) -> Result<axum::http::Request<Vec<u8>>, BindError> {
    let text = |text: &apportion_core::k8s::Text<'_>| Some((**text).to_owned());
    let binding = Object {
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
