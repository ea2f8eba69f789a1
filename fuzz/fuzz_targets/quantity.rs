//! Any text: what is read is written so that it is read as the same.
#![no_main]

use apportion_mig::memory::MiB;
use apportion_core::k8s::Quantity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = MiB::from_bytes_quantity(text);
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    let shown = quantity.to_string();
    // What is beyond the range of a quantity with a suffix is shown in billionths, and those always fit.
    if let Ok(again) = shown.parse::<Quantity>() {
        assert_eq!(again, quantity, "{text} {shown}");
    }
    if let Some(count) = quantity.to_count() {
        assert_eq!(Quantity::from_count(count), quantity);
        assert_eq!(quantity.to_units_rounded_up(), i128::from(count));
    }
});
