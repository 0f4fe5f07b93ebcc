//! `cargo xtask fuzz public_paths`: what is public is so in everybody's reading.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::config::{PublicPath, canonical};

#[path = "../../tests/harness/readings.rs"]
mod readings;

fuzz_target!(|input: &str| {
    let rule = PublicPath { method: None, path: "/public/".to_owned() };
    for path in [input.to_owned(), format!("/public/{input}")] {
        let Ok(path) = canonical(&path) else { continue };
        if rule.covers("GET", path) {
            for reading in readings::readings(path) {
                assert!(readings::is_below(&reading, b"/public/"), "{path}");
            }
        }
    }
});
