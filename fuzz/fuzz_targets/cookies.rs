//! `cargo xtask fuzz cookies`: what browsers carry, ours and others'.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vestibule::fuzzing::cookies(bytes));
