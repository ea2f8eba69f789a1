//! Malformed requests cause no panic, and answers are JSON.

use std::sync::LazyLock;

use apportion_core::admission::{admit, review};
use apportion_core::extender::wire::Args;
use apportion_core::extender::{AnswerSize, filter, prioritize};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseResult;
use serde_json::Value;

use super::fixtures::World;
use super::properties::config;
use super::recorded::{self, ADMISSION, EXTENDER, bytes};

static WORLD: LazyLock<World> = LazyLock::new(|| recorded::world(&[]));

/// A recorded body with some bits flipped, possibly truncated.
fn damaged(folder: &'static str, names: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let bodies: Vec<Vec<u8>> = names.iter().map(|name| bytes(folder, name)).collect();
    let flips = vec((any::<Index>(), 0..8u8), 0..4);
    (select(bodies), flips, proptest::option::weighted(0.3, any::<Index>())).prop_map(|(mut body, flips, end)| {
        for (at, bit) in flips {
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
        }
        if let Some(end) = end {
            body.truncate(end.index(body.len()));
        }
        body
    })
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        "[\\[\\]{}:,\"a-z0-9]{0,60}".prop_map(String::into_bytes)
    ]
}

fn answers_a_review(body: &[u8]) -> TestCaseResult {
    let Ok(request) = review::read(body) else { return Ok(()) };
    let response = admit(&request, &WORLD.admission()).response;
    let json: Value = serde_json::from_slice(&response.to_json(&request.uid)).unwrap();
    prop_assert_eq!(&json["response"]["uid"], &*request.uid);
    prop_assert_eq!(json["response"]["allowed"].as_bool(), Some(response.denial.is_none()));
    if !response.patch.is_empty() {
        let mut pod: Value = serde_json::from_str(request.object.unwrap().get()).unwrap();
        let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&response.patch).unwrap()).unwrap();
        prop_assert!(json_patch::patch(&mut pod, &patch).is_ok(), "{}", pod);
    }
    Ok(())
}

fn answers_the_scheduler(body: &[u8]) -> TestCaseResult {
    let Ok(args) = serde_json::from_slice::<Args<'_>>(body) else {
        return Ok(());
    };
    for size in [AnswerSize::Best(1), AnswerSize::All] {
        let answer = filter(&args, &WORLD.extender(), size, |result| {
            serde_json::to_vec(result).unwrap()
        });
        let json: Value = serde_json::from_slice(&answer).unwrap();
        prop_assert!(
            json["Error"] != "" || json["NodeNames"].is_array() != json["Nodes"].is_object(),
            "{}",
            json
        );
    }
    if let Ok(scores) = prioritize(&args, &WORLD.extender(), |scores| serde_json::to_value(scores).unwrap()) {
        prop_assert!(
            scores
                .as_array()
                .unwrap()
                .iter()
                .all(|one| (0..=10).contains(&one["Score"].as_i64().unwrap()))
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_reviews_get_json_answers(body in damaged("admission", ADMISSION)) {
        answers_a_review(&body)?;
        answers_the_scheduler(&body)?;
    }

    #[test]
    fn damaged_extender_arguments_get_json_answers(body in damaged("extender", EXTENDER)) {
        answers_the_scheduler(&body)?;
        answers_a_review(&body)?;
    }

    #[test]
    fn random_bytes_get_json_answers(body in noise()) {
        answers_a_review(&body)?;
        answers_the_scheduler(&body)?;
    }
}
