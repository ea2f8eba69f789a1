//! One binding at a time: what is reserved, and what each reply of the API server leads to.

use apportion::server::endpoints::Endpoints as _;
use apportion_testing::set;
use serde_json::{Value, json};

use super::{Replica, Reply};

#[tokio::test]
async fn a_binding_is_reserved_from_its_decision_until_the_watch_delivers_the_pod() {
    let replica = Replica::new();
    replica.fill("a", 7);
    replica.create("p");
    replica.create("q");
    assert_eq!(replica.bind("p", "a").await, "");
    assert_eq!((replica.node_of("p"), replica.reserved()), (json!("a"), 1));
    let full = "apportion: 8 of 8 shares of 4 GPUs taken, 1 needed";
    assert_eq!(
        replica.bind("q", "a").await,
        full,
        "p counts although it is not in the inventory"
    );
    replica.deliver("p");
    assert_eq!(replica.reserved(), 0, "the watch settles the reservation");
    assert_eq!(replica.bind("q", "a").await, full, "p counts once");
    assert_eq!((replica.node_of("q"), replica.reserved()), (Value::Null, 0));
    assert_eq!(replica.bind("q", "b").await, "");
}

#[tokio::test]
async fn metrics_count_bindings_and_nodes_left_out() {
    let replica = Replica::new();
    replica.fill("a", 7);
    replica.create("p");
    replica.create("q");
    assert_eq!(replica.bind("p", "a").await, "");
    replica.bind("q", "a").await;
    let args = json!({"Pod": replica.api.get("ns/q").unwrap(), "NodeNames": ["a", "b", "new"], "Nodes": null});
    let answer = replica.handlers.filter_now(args.to_string().as_bytes());
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer["NodeNames"], json!(["b"]));
    assert_eq!(answer.get("Lacks").or(answer.get("lacks")), None, "not sent");
    let metrics = replica.handlers.metrics();
    for line in [
        "apportion_bindings_total{result=\"bound\"} 1",
        "apportion_bindings_total{result=\"refused\"} 1",
        "apportion_reservations{purpose=\"binding\"} 1",
        "apportion_reservations{purpose=\"kept\"} 0",
        "apportion_filter_nodes_left_out_total{lack=\"shares_per_gpu\"} 1",
        "apportion_filter_nodes_left_out_total{lack=\"unknown\"} 1",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn repeating_a_binding_changes_nothing() {
    let replica = Replica::new();
    replica.fill("a", 7);
    replica.create("p");
    for again in ["first", "before the watch", "again"] {
        assert_eq!(replica.bind("p", "a").await, "", "{again}");
        assert_eq!(replica.reserved(), 1, "{again}");
    }
    assert_eq!(replica.bind("p", "b").await, "apportion: the pod is already on node a");
    replica.deliver("p");
    assert_eq!(replica.bind("p", "a").await, "", "after the watch");
    assert_eq!(replica.bind("p", "b").await, "apportion: the pod is already on node a");
    assert_eq!((replica.node_of("p"), replica.reserved()), (json!("a"), 0));
    assert_eq!(replica.free("a").await, 0);
    assert_eq!(replica.free("b").await, 8);
}

#[tokio::test]
async fn a_pod_that_the_watch_has_not_delivered_is_read_from_the_api_server() {
    let replica = Replica::new();
    replica.fill("a", 7);
    replica.create_undelivered("p");
    replica.create_undelivered("q");
    assert_eq!(replica.bind("p", "a").await, "");
    assert_eq!(
        replica.bind("q", "a").await,
        "apportion: 8 of 8 shares of 4 GPUs taken, 1 needed"
    );
    assert_eq!(
        replica.bind("nobody", "a").await,
        "apportion: the pod ns/nobody is gone"
    );
}

#[tokio::test]
async fn a_pod_with_another_uid_is_not_bound() {
    let replica = Replica::new();
    replica.create("p");
    let gone = "apportion: the pod ns/p is gone";
    assert_eq!(replica.bind_uid("p", "uid-of-yesterday", "a").await, gone);
    // The pod was replaced, and the watch has not delivered the new one.
    let replaced = set(replica.api.get("ns/p").unwrap(), "/metadata/uid", json!("uid-new"));
    replica.api.put("ns/p", replaced);
    assert_eq!(
        replica.bind("p", "a").await,
        "apportion: the pod ns/p is gone",
        "the API server decides"
    );
    assert_eq!((replica.node_of("p"), replica.reserved()), (Value::Null, 0));
    assert_eq!(replica.free("a").await, 8);
}

#[tokio::test]
async fn a_refused_binding_releases_its_reservation() {
    let replica = Replica::new();
    replica.create("p");
    replica.replies(&[Reply::Refuses]);
    assert_eq!(replica.bind("p", "a").await, "apportion: too many requests");
    assert_eq!(replica.reserved(), 0);
    assert_eq!(replica.free("a").await, 8);
    assert_eq!(replica.bind("p", "a").await, "", "the next attempt succeeds");
}

#[tokio::test]
async fn a_binding_without_a_reply_keeps_its_reservation_until_the_watch_settles_it() {
    for (reply, on_a) in [(Reply::LostAfterBinding, true), (Reply::LostWithoutBinding, false)] {
        let replica = Replica::new();
        replica.create("p");
        replica.replies(&[reply]);
        assert_eq!(
            replica.bind("p", "a").await,
            "apportion: the API server does not answer"
        );
        assert_eq!(replica.reserved(), 1, "{reply:?}");
        assert_eq!(replica.free("a").await, 7, "{reply:?}");
        // The scheduler tries again on another node.
        let elsewhere = replica.bind("p", "b").await;
        if on_a {
            assert_eq!(elsewhere, "apportion: the pod is already on node a");
            assert_eq!((replica.node_of("p"), replica.free("b").await), (json!("a"), 8));
        } else {
            assert_eq!((&*elsewhere, replica.node_of("p")), ("", json!("b")));
            assert_eq!(replica.reserved(), 2, "the first call may still be in flight");
            assert_eq!((replica.free("a").await, replica.free("b").await), (7, 7));
        }
        replica.deliver("p");
        assert_eq!(replica.reserved(), 0, "{reply:?}");
        let free = (replica.free("a").await, replica.free("b").await);
        assert_eq!(free, if on_a { (7, 8) } else { (8, 7) }, "{reply:?}");
    }
}

#[tokio::test]
async fn a_refusal_after_a_lost_reply_keeps_the_reservation() {
    let replica = Replica::new();
    replica.create("p");
    replica.replies(&[Reply::LostWithoutBinding, Reply::Refuses]);
    replica.bind("p", "a").await;
    assert_eq!(replica.bind("p", "a").await, "apportion: too many requests");
    assert_eq!(replica.free("a").await, 7, "the first call may still succeed");
    replica.api.pods.lock().unwrap().remove("ns/p");
    replica.deliver("p");
    assert_eq!(
        (replica.reserved(), replica.free("a").await),
        (0, 8),
        "the reservation ends with the pod"
    );
}

#[tokio::test]
async fn a_conflict_with_another_binder_is_resolved() {
    let replica = Replica::new();
    replica.create("p");
    replica.replies(&[Reply::Conflict("b")]);
    assert_eq!(replica.bind("p", "a").await, "apportion: the pod is already on node b");
    assert_eq!(replica.reserved(), 0, "the reservation on a is released");
    replica.create("q");
    replica.replies(&[Reply::Conflict("a")]);
    assert_eq!(
        replica.bind("q", "a").await,
        "",
        "a conflict on the same node is a success"
    );
    assert_eq!(replica.reserved(), 1, "until the watch delivers it");
    // Not delivered yet: the single call that remains returns only the conflict.
    replica.create_undelivered("r");
    replica.replies(&[Reply::Conflict("b")]);
    assert_eq!(
        replica.bind("r", "a").await,
        "apportion: pod is already assigned to node b"
    );
    assert_eq!(replica.reserved(), 2, "the next attempt or the watch settles it");
    assert_eq!(replica.bind("r", "b").await, "");
    for name in ["p", "q", "r"] {
        replica.deliver(name);
    }
    assert_eq!(replica.reserved(), 0);
    assert_eq!((replica.free("a").await, replica.free("b").await), (7, 6));
}

#[tokio::test]
async fn filter_and_bind_refuse_an_invalid_annotation_for_the_same_reason() {
    let replica = Replica::new();
    for (name, is_seen) in [("p", true), ("q", false)] {
        replica.create_undelivered(name);
        let key = format!("ns/{name}");
        let annotations = json!({"apportion.dev/gpu-memory": "much"});
        let changed = set(replica.api.get(&key).unwrap(), "/metadata/annotations", annotations);
        replica.api.put(&key, changed.clone());
        if is_seen {
            replica.deliver(name);
        }
        let args = json!({"Pod": changed, "NodeNames": ["a"], "Nodes": null});
        let answer = replica.handlers.filter_now(args.to_string().as_bytes());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let reason = answer["FailedAndUnresolvableNodes"]["a"].as_str().unwrap();
        assert!(reason.contains("apportion.dev/gpu-memory"), "{reason}");
        assert_eq!(replica.bind(name, "a").await, format!("apportion: {reason}"));
        assert_eq!((replica.node_of(name), replica.reserved()), (Value::Null, 0));
    }
}
