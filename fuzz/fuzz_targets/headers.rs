//! `cargo xtask fuzz headers`: credentials, and what gateways say.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vestibule::fuzzing::headers(bytes));
