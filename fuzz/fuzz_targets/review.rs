//! Any body: no panic, and a JSON answer. Its patch applies, and a second pass changes nothing.
#![no_main]

use apportion_core::admission::{AdmissionContext, admit, review};
use apportion_core::inventory::PendingAdmissions;
use apportion_core::policy::OnUnknown;
use apportion_fuzz::{CLUSTER, POLICIES};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let Ok(request) = review::read(body) else { return };
    let pending = PendingAdmissions::default();
    let context = AdmissionContext {
        policies: &POLICIES,
        inventory: &CLUSTER,
        pending: &pending,
        on_unknown: OnUnknown::Refuse,
        own_namespace: None,
        scheduler_name: None,
    };
    let response = admit(&request, &context).response;
    let _: Value = serde_json::from_slice(&response.to_json(&request.uid)).expect("the answer is JSON");
    if response.patch.is_empty() {
        return;
    }
    let Some(object) = request.object else {
        panic!("a patch for nothing")
    };
    // serde also reads a list as a struct, and a patch cannot apply to one. The API server sends
    // objects.
    let mut pod: Value = serde_json::from_str(object.get()).expect("an object");
    let patch: json_patch::Patch =
        serde_json::from_value(serde_json::to_value(&response.patch).expect("JSON")).expect("a patch");
    if json_patch::patch(&mut pod, &patch).is_err() {
        assert!(object.get().contains('['), "the patch does not apply: {patch}");
        return;
    }
    let text = pod.to_string();
    let object = serde_json::from_str(&text).expect("JSON");
    let again = apportion_core::admission::Request {
        object: Some(object),
        ..request
    };
    assert!(
        admit(&again, &context).response.patch.is_empty(),
        "a second pass changes something"
    );
});
