//! `cargo xtask fuzz tokens`: API keys, signed tokens and the keys that sign them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    vestibule::fuzzing::key_text(text);
    let (token, keys) = text.split_once('\n').unwrap_or((text, text));
    vestibule::fuzzing::tokens(token, keys.as_bytes());
});
