//! Policy files and the CRD accept and refuse the same policies.

use apportion_core::policy::parse::parse;
use serde_json::{Value, json};

#[test]
fn files_and_the_crd_accept_the_same_policies() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/crd_cases.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<Value> = serde_saphyr::from_str(&text).unwrap();
    let mut refused = 0;
    for case in &cases {
        let mut document = json!({
            "apiVersion": "apportion.dev/v1alpha1",
            "kind": "GpuSharingPolicy",
            "metadata": {"name": case["name"].as_str().unwrap_or("p")},
        });
        if !case["spec"].is_null() {
            document["spec"] = case["spec"].clone();
        }
        // JSON is valid YAML.
        let read = parse("p.yaml", &document.to_string());
        let expected = case["refused"].is_null();
        refused += u32::from(!expected);
        assert_eq!(read.is_ok(), expected, "{}: {read:?}", case["what"]);
    }
    assert!(refused > 30 && cases.len() > 40, "the table was read");
}
