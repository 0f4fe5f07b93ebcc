//! `cargo xtask fuzz wit_values`: what a component answers, against the contract's bounds.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vestibule::fuzzing::answer(bytes));
