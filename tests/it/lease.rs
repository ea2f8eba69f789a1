//! Leader election against a fake API server, in real time.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apportion::cluster::lease::{Handover, LeaseConfig, RETRY_PERIOD, Term, hold};
use apportion::service::Clock;
use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

/// How long a new holder waits for requests of the previous one.
const NOTICE: Duration = Duration::from_secs(1);

/// A fake API server with one Lease. `lost_replies` writes are applied but answered with an error.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    writes: Vec<Instant>,
    lost_replies: usize,
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
        if self.lost_replies > 0 {
            self.lost_replies -= 1;
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

/// Holds the Lease until the first term starts. Returns the term and the times of the writes.
async fn first_term(server: Server) -> (Term, Vec<Instant>) {
    let server = Arc::new(Mutex::new(server));
    let (leads, mut led) = watch::channel(None);
    let config = LeaseConfig {
        namespace: "n".to_owned(),
        name: "l".to_owned(),
        holder: "us".to_owned(),
    };
    let handover = Handover {
        wanted: Arc::new(AtomicBool::new(false)),
        grace: NOTICE,
    };
    let holds = tokio::spawn(hold(
        Server::client(&server),
        config,
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
async fn a_new_holder_waits_for_requests_of_the_previous_one() {
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
    assert_eq!(writes.len(), 2, "it leads after the second write");
    assert!(writes[1] - writes[0] >= NOTICE + RETRY_PERIOD, "{writes:?}");
}

#[tokio::test]
async fn a_lease_acquired_without_a_reply_is_resumed() {
    let (term, writes) = first_term(Server {
        lost_replies: 1,
        ..Server::default()
    })
    .await;
    assert_eq!((writes.len(), term.number), (3, 1), "acquired, resumed, renewed");
    assert!(writes[2] - writes[1] >= NOTICE + RETRY_PERIOD, "{writes:?}");
}
