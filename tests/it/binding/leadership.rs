//! Bindings that a replica must refuse: without leadership, or without what it needs to check them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apportion::server::endpoints::Endpoints as _;
use apportion::service::bind::{BindError, BindLeadership, Binder, Binding, CallError, LivePod};
use apportion::service::{App, Handlers, Metrics, Settings, State};
use apportion_core::extender::bind::BindingArgs;
use axum::body::Bytes;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{FakeApi, Replica};

#[tokio::test]
async fn only_the_leader_binds() {
    let replica = Replica::new();
    replica.create("p");
    let other = "apportion: another replica of apportion binds pods; it was asked to hand over";
    for until in [None, Some(Duration::ZERO)] {
        replica.wanted.store(false, Ordering::Relaxed);
        replica.seat.send_replace(until);
        assert_eq!(replica.bind("p", "a").await, other);
        assert!(replica.wanted.load(Ordering::Relaxed));
    }
    assert_eq!((replica.api.calls.load(Ordering::Relaxed), replica.reserved()), (0, 0));
    replica.seat.send_replace(Some(Duration::from_mins(1)));
    assert_eq!(replica.bind("p", "a").await, "");
}

/// A binder that loses leadership while it reads the pod.
#[derive(Debug)]
struct LosesLeadership {
    api: Arc<FakeApi>,
    seat: watch::Sender<Option<Duration>>,
}

impl Binder for LosesLeadership {
    fn get_pod<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<LivePod>, CallError>> {
        self.seat.send_replace(None);
        self.api.get_pod(namespace, name)
    }

    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>> {
        self.api.bind(args)
    }
}

#[tokio::test]
async fn losing_leadership_during_a_binding_stops_it() {
    let replica = Replica::new();
    let app = Arc::new(App::new(
        State::default(),
        Settings::default(),
        Arc::new(Metrics::default()),
    ));
    app.replace((*replica.app.state()).clone());
    let (seat, until) = watch::channel(Some(Duration::from_mins(1)));
    let wanted = Arc::new(AtomicBool::new(false));
    let binder = LosesLeadership {
        api: Arc::clone(&replica.api),
        seat,
    };
    let handlers = Arc::new(Handlers {
        binding: Some(Binding {
            binder: Arc::new(binder),
            leadership: BindLeadership { until, wanted },
        }),
        ..Handlers::new(Arc::clone(&app))
    });
    replica.create_undelivered("p");
    let args = json!({"PodName": "p", "PodNamespace": "ns", "PodUID": "uid-p", "Node": "a"});
    let answer = handlers.bind(Bytes::from(args.to_string())).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(
        answer["Error"].as_str().unwrap().contains("another replica"),
        "{answer}"
    );
    assert_eq!((replica.node_of("p"), app.reservations().len()), (Value::Null, 0));
}

#[tokio::test]
async fn a_binding_that_cannot_be_checked_is_refused() {
    let app = Arc::new(App::new(
        State::default(),
        Settings::default(),
        Arc::new(Metrics::default()),
    ));
    let ask = async |handlers: &Arc<Handlers>, body: &str| {
        let answer = Arc::clone(handlers).bind(Bytes::from(body.to_owned())).await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["Error"].as_str().unwrap().to_owned()
    };
    assert!(
        ask(&Arc::new(Handlers::new(app)), "{}")
            .await
            .contains("only if started with --bind")
    );
    let replica = Replica::new();
    assert!(
        ask(&replica.handlers, "{}")
            .await
            .contains("the body is not ExtenderBindingArgs")
    );
    replica.create("p");
    assert_eq!(
        replica.bind("p", "nowhere").await,
        "apportion: not known to apportion yet"
    );
    replica.app.replace(State::default());
    assert_eq!(
        replica.bind("p", "a").await,
        "apportion: the cluster has not been read yet"
    );
    assert_eq!((replica.node_of("p"), replica.reserved()), (Value::Null, 0));
}
