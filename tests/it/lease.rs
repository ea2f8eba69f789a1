//! Holding the Lease against a stand-in for the API server: what is waited for, by the machine's clock.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apportion::cluster::lease::{EVERY, Handover, LeaseConfig, Term, hold};
use apportion::service::Clock;
use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

/// How long what was begun is waited for here.
const NOTICE: Duration = Duration::from_secs(1);

/// The Lease, when it was written, and how many writes are applied without anybody hearing so.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    writes: Vec<Instant>,
    unheard: usize,
}

impl Server {
    fn answer(&mut self, method: &Method, body: &[u8]) -> (u16, Value) {
        if method == Method::GET {
            return self.lease.clone().map_or((404, Value::Null), |lease| (200, lease));
        }
        let mut lease: Value = serde_json::from_slice(body).unwrap();
        self.writes.push(Instant::now());
        lease["metadata"]["resourceVersion"] = json!(self.writes.len().to_string());
        self.lease = Some(lease.clone());
        if self.unheard > 0 {
            self.unheard -= 1;
            return (500, Value::Null);
        }
        (200, lease)
    }

    fn client(server: &Arc<Mutex<Server>>) -> kube::Client {
        let server = Arc::clone(server);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let (code, mut answer) = server.lock().unwrap().answer(&head.method, &body);
                if code >= 400 {
                    let reason = if code == 404 { "NotFound" } else { "InternalError" };
                    answer = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason});
                }
                let answer = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, kube::Error>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        kube::Client::new(service, "default")
    }
}

/// Holds the Lease of a server until the first term, and returns it and when each write came until then.
async fn first_term(server: Server) -> (Term, Vec<Instant>) {
    let server = Arc::new(Mutex::new(server));
    let (leads, mut led) = watch::channel(None);
    let seat = LeaseConfig {
        namespace: "n".to_owned(),
        name: "l".to_owned(),
        holder: "us".to_owned(),
    };
    let handover = Handover {
        wanted: Arc::new(AtomicBool::new(false)),
        notice: NOTICE,
    };
    let holds = tokio::spawn(hold(
        Server::client(&server),
        seat,
        Some(handover),
        Clock::start(),
        leads,
    ));
    let told = tokio::time::timeout(Duration::from_secs(30), led.wait_for(Option::is_some)).await;
    let term = told.expect("a term comes").unwrap().unwrap();
    holds.abort();
    let writes = server.lock().unwrap().writes.clone();
    (term, writes)
}

#[tokio::test]
async fn what_a_predecessor_sent_is_waited_for() {
    let (_, writes) = first_term(Server {
        lease: Some(json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "l", "namespace": "n", "resourceVersion": "0"},
            "spec": {"holderIdentity": "us", "leaseDurationSeconds": 15},
        })),
        ..Server::default()
    })
    .await;
    assert_eq!(writes.len(), 2, "it leads with the second");
    assert!(writes[1] - writes[0] >= NOTICE + EVERY, "{writes:?}");
}

#[tokio::test]
async fn a_lease_that_was_taken_unheard_is_resumed() {
    let (term, writes) = first_term(Server {
        unheard: 1,
        ..Server::default()
    })
    .await;
    assert_eq!((writes.len(), term.number), (3, 1), "taken, resumed, renewed");
    assert!(writes[2] - writes[1] >= NOTICE + EVERY, "{writes:?}");
}
