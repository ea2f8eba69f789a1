//! Certificates that Apportion manages itself, against a fake API server with one Secret, one
//! webhook configuration and optimistic locking.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use apportion::cluster::managed::{DEFAULT_INTERVAL, Managed, Settings};
use apportion::tls::ca::CaCertificate;
use apportion::tls::lifetimes::Lifetimes;
use axum::http::{Method, Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use serde_json::{Value, json};

const SECRET: &str = "/api/v1/namespaces/apportion-system/secrets";
const CONFIGURATION: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/apportion";

/// The objects of the fake API server.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    version: u64,
    secret: Option<Value>,
    configuration: Option<Value>,
    down: bool,
    /// Writes and their results, such as `POST 201`.
    writes: Vec<String>,
}

impl Objects {
    fn stored(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object
    }

    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        if self.down {
            return (500, Value::Null);
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), path) {
            ("GET", CONFIGURATION) => self
                .configuration
                .clone()
                .map_or((404, Value::Null), |object| (200, object)),
            ("PATCH", CONFIGURATION) => {
                let mut object = self.configuration.clone().unwrap();
                let operations: json_patch::Patch = serde_json::from_value(body).unwrap();
                if json_patch::patch(&mut object, &operations).is_err() {
                    return (422, Value::Null);
                }
                self.configuration = Some(self.stored(object).clone());
                (200, self.configuration.clone().unwrap())
            }
            ("POST", SECRET) if self.secret.is_some() => (409, Value::Null),
            ("POST", SECRET) => {
                self.secret = Some(self.stored(body));
                (201, self.secret.clone().unwrap())
            }
            (method, path) if path == format!("{SECRET}/apportion-tls") => match (method, self.secret.clone()) {
                (_, None) => (404, Value::Null),
                ("GET", Some(secret)) => (200, secret),
                ("PUT", Some(secret))
                    if secret["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
                {
                    (409, Value::Null)
                }
                ("PUT", Some(_)) => {
                    self.secret = Some(self.stored(body));
                    (200, self.secret.clone().unwrap())
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

impl Api {
    /// With a configuration that has two webhooks.
    fn with_configuration() -> Self {
        let api = Api::default();
        api.configure();
        api
    }

    fn configure(&self) {
        let webhook = |name: &str| {
            json!({"name": name, "clientConfig": {"service": {"name": "apportion", "namespace": "apportion-system"}},
            "sideEffects": "None", "admissionReviewVersions": ["v1"]})
        };
        let webhooks = [webhook("a.apportion.dev"), webhook("b.apportion.dev")];
        let mut objects = self.0.lock().unwrap();
        let object = objects.stored(json!({"metadata": {"name": "apportion"}, "webhooks": webhooks}));
        objects.configuration = Some(object);
    }

    fn client(&self) -> kube::Client {
        let objects = Arc::clone(&self.0);
        let service = tower::service_fn(move |request: Request<Body>| {
            let objects = Arc::clone(&objects);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                // Concurrent clients interleave between any two requests.
                tokio::task::yield_now().await;
                let mut objects = objects.lock().unwrap();
                let (code, mut answer) = objects.answer(&head.method, head.uri.path(), &body);
                if head.method != Method::GET {
                    objects.writes.push(format!("{} {code}", head.method));
                }
                if code >= 400 {
                    let reason = ["NotFound", "Conflict", "Invalid", "InternalError"]
                        [[404, 409, 422, 500].iter().position(|c| *c == code).unwrap()];
                    answer = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason});
                }
                let answer = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, kube::Error>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        kube::Client::new(service, "default")
    }

    fn replica(&self) -> Managed {
        Managed::new(
            self.client(),
            &Settings {
                namespace: "apportion-system".to_owned(),
                secret: "apportion-tls".to_owned(),
                service: "apportion".to_owned(),
                configuration: "apportion".to_owned(),
                lifetimes: Lifetimes::default(),
                interval: DEFAULT_INTERVAL,
            },
        )
    }

    /// The writes since the last call, sorted because their order is random.
    fn writes(&self) -> Vec<String> {
        let mut writes = std::mem::take(&mut self.0.lock().unwrap().writes);
        writes.sort();
        writes
    }

    fn change(&self, change: impl FnOnce(&mut Objects)) {
        change(&mut self.0.lock().unwrap());
    }

    /// The CAs that every webhook trusts.
    fn trusted(&self) -> Vec<CaCertificate> {
        let configuration = self.0.lock().unwrap().configuration.clone().unwrap();
        let bundles: Vec<_> = configuration["webhooks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|webhook| {
                STANDARD
                    .decode(webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default())
                    .unwrap()
            })
            .collect();
        assert_eq!(bundles[0], bundles[1]);
        CaCertificate::read_all(&bundles[0]).unwrap()
    }
}

fn at(seconds: u64) -> Timestamp {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(seconds.try_into().unwrap())
}

const DAY: u64 = 24 * 60 * 60;

/// The certificate that the replica serves.
fn served(replica: &Managed) -> Vec<u8> {
    replica.resolver().current().unwrap().certified_key().cert[0].to_vec()
}

#[tokio::test]
async fn replicas_that_start_at_once_share_one_authority() {
    let api = Api::with_configuration();
    let (mut one, mut two) = (api.replica(), api.replica());
    let (first, second) = tokio::join!(one.check(at(0)), two.check(at(0)));
    for looked in [first, second] {
        assert_eq!(
            looked.unwrap(),
            (None, Lifetimes::default().settle()),
            "it waits until callers were told"
        );
    }
    // One of two creations succeeds, and one of two patches; the other patch finds nothing to do.
    assert_eq!(api.writes(), ["PATCH 200", "PATCH 422", "POST 201", "POST 409"]);
    assert!(one.resolver().is_waiting() && two.resolver().is_waiting());
    for replica in [&mut one, &mut two] {
        let (ends, pause) = replica.check(at(5)).await.unwrap();
        assert_eq!((ends.unwrap().leaf, pause), (at(5 + 30 * DAY), DEFAULT_INTERVAL));
        assert_eq!(ends.unwrap().authority, at(365 * DAY));
    }
    assert_eq!((api.writes().len(), api.trusted().len()), (0, 1));
    assert_ne!(served(&one), served(&two), "each has a key of its own");
}

#[tokio::test]
async fn of_replicas_that_start_a_rollover_at_once_one_succeeds() {
    let api = Api::with_configuration();
    let (mut one, mut two) = (api.replica(), api.replica());
    for second in [0, 5] {
        one.check(at(second)).await.unwrap();
        two.check(at(second)).await.unwrap();
    }
    api.writes();
    let mut done = Vec::new();
    for day in [230, 244, 252, 290] {
        for second in [0, 5] {
            let now = at(day * DAY + second);
            let (first, second) = tokio::join!(one.check(now), two.check(now));
            assert!(first.is_ok() && second.is_ok());
        }
        done.push((
            api.writes()
                .into_iter()
                .filter(|write| write.starts_with("PUT"))
                .collect(),
            api.trusted().len(),
        ));
    }
    let won = vec!["PUT 200".to_owned(), "PUT 409".to_owned()];
    assert_eq!(done, [(vec![], 1), (won.clone(), 2), (won.clone(), 2), (won, 1)]);
}

#[tokio::test]
async fn the_ca_bundle_is_written_only_when_it_is_wrong() {
    let api = Api::with_configuration();
    let mut replica = api.replica();
    for second in [0, 5, 60, 120] {
        replica.check(at(second)).await.unwrap();
    }
    assert_eq!(api.writes(), ["PATCH 200", "POST 201"]);
    api.change(|objects| {
        objects.configuration.as_mut().unwrap()["webhooks"][1]["clientConfig"]["caBundle"] = Value::Null;
    });
    replica.check(at(180)).await.unwrap();
    assert_eq!((api.writes(), api.trusted().len()), (vec!["PATCH 200".to_owned()], 1));
    let configuration = api.0.lock().unwrap().configuration.clone().unwrap();
    assert_eq!(
        configuration["webhooks"][0]["name"], "a.apportion.dev",
        "nothing else is touched"
    );
    assert_eq!(
        configuration["webhooks"][0]["clientConfig"]["service"]["name"],
        "apportion"
    );
}

#[tokio::test]
async fn without_a_webhook_configuration_nothing_is_delayed() {
    let api = Api::default();
    let mut replica = api.replica();
    assert!(replica.check(at(0)).await.unwrap().0.is_some());
    api.configure();
    replica.check(at(60)).await.unwrap();
    assert_eq!(
        (api.writes(), api.trusted().len()),
        (vec!["PATCH 200".to_owned(), "POST 201".to_owned()], 1)
    );
}

#[tokio::test]
async fn while_the_api_server_is_down_the_served_certificate_stays() {
    let api = Api::with_configuration();
    let mut replica = api.replica();
    api.change(|objects| objects.down = true);
    let error = replica.check(at(0)).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot read the Secret apportion-system/apportion-tls: InternalError"
    );
    api.change(|objects| objects.down = false);
    for second in [0, 5] {
        replica.check(at(second)).await.unwrap();
    }
    let before = served(&replica);
    api.change(|objects| objects.down = true);
    assert!(replica.check(at(25 * DAY)).await.is_err());
    assert_eq!(served(&replica), before);
    api.change(|objects| objects.down = false);
    replica.check(at(25 * DAY + 60)).await.unwrap();
    assert_ne!(served(&replica), before);
}

#[tokio::test]
async fn a_foreign_secret_is_left_alone_and_an_empty_one_is_filled() {
    let api = Api::with_configuration();
    let secret =
        |data: Value| json!({"metadata": {"name": "apportion-tls", "labels": {"team": "infra"}}, "data": data});
    let theirs = secret(json!({"tls.crt": STANDARD.encode("theirs"), "tls.key": STANDARD.encode("theirs")}));
    api.change(|objects| objects.secret = Some(objects.stored(theirs)));
    let error = api.replica().check(at(0)).await.unwrap_err().to_string();
    let said = "the Secret apportion-system/apportion-tls does not hold CAs of Apportion: tls.crt must have one certificate in PEM, but has 0; ";
    assert!(error.starts_with(said), "{error}");
    assert_eq!(api.writes(), [""; 0]);
    let empty = secret(json!({"note": STANDARD.encode("mine")}));
    api.change(|objects| objects.secret = Some(objects.stored(empty)));
    api.replica().check(at(0)).await.unwrap();
    assert_eq!(api.writes(), ["PATCH 200", "PUT 200"]);
    let filled = api.0.lock().unwrap().secret.clone().unwrap();
    assert_eq!(
        (&filled["data"]["note"], &filled["metadata"]["labels"]["team"]),
        (&json!(STANDARD.encode("mine")), &json!("infra"))
    );
    assert!(filled["data"]["tls.key"].is_string());
}

#[tokio::test]
async fn after_the_secret_is_deleted_callers_still_trust_the_served_certificate() {
    let api = Api::with_configuration();
    let mut replica = api.replica();
    for second in [0, 5] {
        replica.check(at(second)).await.unwrap();
    }
    let (old, before) = (api.trusted(), served(&replica));
    api.change(|objects| objects.secret = None);
    let (_, pause) = replica.check(at(100)).await.unwrap();
    assert_eq!((pause, served(&replica)), (Duration::from_secs(5), before.clone()));
    assert!(api.trusted().len() == 2 && api.trusted().contains(&old[0]));
    replica.check(at(105)).await.unwrap();
    assert_ne!(served(&replica), before);
    replica.check(at(165)).await.unwrap();
    assert!(api.trusted().len() == 1 && !api.trusted().contains(&old[0]));
}
