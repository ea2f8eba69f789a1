//! Any body: no panic, and JSON answers that name only nodes of the request.
#![no_main]

use apportion_core::extender::wire::Args;
use apportion_core::extender::{AnswerSize, ExtenderContext, filter, prioritize};
use apportion_core::inventory::Reserved;
use apportion_core::policy::OnUnknown;
use apportion_fuzz::{CLUSTER, POLICIES};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let Ok(args) = serde_json::from_slice::<Args<'_>>(body) else {
        return;
    };
    let reserved = Reserved::default();
    let context = ExtenderContext {
        policies: &POLICIES,
        inventory: &CLUSTER,
        reserved: &reserved,
        on_unknown: OnUnknown::Refuse,
    };
    for size in [AnswerSize::Best(1), AnswerSize::All] {
        let answer = filter(&args, &context, size, |result| {
            if let (Some(asked), Some(fit)) = (&args.node_names, &result.node_names) {
                assert!(fit.iter().all(|name| asked.iter().any(|one| &**one == *name)));
            }
            serde_json::to_vec(result).expect("the answer is JSON")
        });
        let _: Value = serde_json::from_slice(&answer).expect("the answer is JSON");
    }
    let _ = prioritize(&args, &context, |scores| {
        assert!(scores.iter().all(|one| (0..=10).contains(&one.score)));
    });
});
