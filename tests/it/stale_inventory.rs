//! A filter call for a node that is full in the inventory but not for the scheduler: one of the two
//! is behind.

use std::sync::Arc;
use std::time::Duration;

use apportion::server::endpoints::Answer;
use apportion::service::{App, Handlers, Metrics, Settings, State};
use apportion_core::gpu::{Counts, GpuResource};
use apportion_core::inventory::{PodRequest, Purpose};
use apportion_core::policy::Guarantees;
use apportion_testing::{Node, t4_renamed};
use serde_json::Value;

use super::fixtures::{World, args, pod};
use super::rows::pod_on;

const SHARES: &str = "gpu.shared";

fn node() -> Node {
    t4_renamed("time-slicing").named("n")
}

fn state(pods: &[Value]) -> State {
    let world = World::shipped(&[node()], pods);
    State {
        policies: Arc::new(world.policies),
        inventory: Some(Arc::new(world.inventory)),
        ..State::default()
    }
}

fn names(answer: &Answer) -> usize {
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    answer["NodeNames"].as_array().unwrap().len()
}

#[test]
fn a_filter_call_is_repeated_when_the_scheduler_counts_more_free_shares() {
    let metrics = Arc::new(Metrics::default());
    let all = node().allocatable[&format!("nvidia.com/{SHARES}")];
    let full = [pod_on("n", SHARES, &all.to_string())];
    let app = Arc::new(App::new(state(&full), Settings::default(), metrics));
    let handlers = Handlers::new(Arc::clone(&app));
    let question = args("development", &pod(&[(SHARES, "1")]), &["n"]).to_string();
    let (asked, told) = (
        || handlers.filter_unless_behind(question.as_bytes()),
        || handlers.filter_now(question.as_bytes()),
    );
    assert!(asked().is_none(), "a deleted pod may still be in the inventory");
    assert_eq!(names(&told()), 0, "the last attempt answers from the inventory");
    app.replace(state(&[]));
    assert_eq!(names(&asked().unwrap()), 1);

    // The scheduler does not know reservations, so a difference that they explain is not a delay.
    let pod_request = PodRequest {
        demand: Counts::one(GpuResource::GpuShared, all),
        memory: None,
        guarantees: Arc::new(Guarantees::without_limits("development")),
    };
    let kept = Purpose::Nominated { priority: 0 };
    app.reservations()
        .reserve("other", "n", pod_request, kept, Duration::ZERO);
    assert_eq!(names(&asked().unwrap()), 0);
}
