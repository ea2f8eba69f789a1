//! Any text: a quantity that was parsed and printed parses to the same value.
#![no_main]

use apportion_core::gpu::demand::parse_memory;
use apportion_core::k8s::Quantity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = parse_memory(text);
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    let shown = quantity.to_string();
    // A value beyond the range of the suffixes is printed in billionths, and may not parse.
    if let Ok(again) = shown.parse::<Quantity>() {
        assert_eq!(again, quantity, "{text} {shown}");
    }
    if let Some(count) = quantity.to_count() {
        assert_eq!(Quantity::from_count(count), quantity);
        assert_eq!(quantity.to_units_rounded_up(), i128::from(count));
    }
});
