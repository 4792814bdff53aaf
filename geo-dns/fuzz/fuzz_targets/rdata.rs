//! `TYPE data`, as a person writes it into a World, goes in: bytes that fit into a message, or a reason, come out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::TypeNumber;

fuzz_target!(|text: &str| {
    let (rtype, value) = text.split_once(' ').unwrap_or((text, ""));
    let Ok(rtype) = TypeNumber::parse(rtype) else { return };
    match rtype.wire(value) {
        Ok(bytes) => assert!(bytes.len() <= 65_535),
        Err(reason) => assert!(!reason.is_empty()),
    }
});
