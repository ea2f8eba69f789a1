//! Any text: policies that can be used, or findings with a place; never both, and never a policy without a strategy.
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
