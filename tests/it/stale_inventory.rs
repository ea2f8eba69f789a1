//! A filter call about a node that is full by what is known, and not by the scheduler's count: one of the two is behind.

use std::sync::Arc;
use std::time::Duration;

use apportion::server::endpoints::{Answer, Endpoints as _};
use apportion::service::{App, Metrics, Settings, State};
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
fn what_the_scheduler_counted_otherwise_is_looked_at_again() {
    let metrics = Arc::new(Metrics::default());
    let all = node().allocatable[&format!("nvidia.com/{SHARES}")];
    let full = [pod_on("n", SHARES, &all.to_string())];
    let app = App::new(state(&full), Settings::default(), metrics);
    let question = args("development", &pod(&[(SHARES, "1")]), &["n"]).to_string();
    let (asked, told) = (
        || app.filter_unless_behind(question.as_bytes()),
        || app.filter(question.as_bytes()),
    );
    assert!(asked().is_none(), "a pod has gone, and nobody has told us yet");
    assert_eq!(names(&told()), 0, "and the last time the answer is what we know");
    app.replace(state(&[]));
    assert_eq!(names(&asked().unwrap()), 1);

    // What is reserved the scheduler does not know of: then nobody is behind.
    let pod_request = PodRequest {
        demand: Counts::one(GpuResource::GpuShared, all),
        memory: None,
        terms: Arc::new(Guarantees::none("development")),
    };
    let kept = Purpose::Kept { priority: 0 };
    app.reservations()
        .reserve("other", "n", pod_request, kept, Duration::ZERO);
    assert_eq!(names(&asked().unwrap()), 0);
}
