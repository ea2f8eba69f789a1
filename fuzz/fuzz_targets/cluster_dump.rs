//! Any text: an inventory whose nodes have no more free shares than shares, or an error message.
#![no_main]

use apportion_core::inventory::dump;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match dump::read(text) {
        Ok(ledger) => {
            let inventory = ledger.inventory();
            for node in inventory.nodes() {
                for offer in &node.offers.offers {
                    assert!(node.free(offer) <= offer.total);
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
