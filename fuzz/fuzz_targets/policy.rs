//! Any text: either policies that have a strategy each, or findings that name the file.
#![no_main]

use apportion_core::policy::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match parse::parse("fuzz.yaml", text) {
        Ok(policies) => assert!(policies.iter().all(|policy| !policy.rules.is_empty())),
        Err(findings) => {
            assert!(!findings.is_empty());
            for finding in findings {
                assert!(finding.to_string().starts_with("fuzz.yaml"));
            }
        }
    }
});
