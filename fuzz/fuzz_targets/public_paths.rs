//! `cargo xtask fuzz public_paths`: what is public is so in everybody's reading.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use vestibule::config::{PublicPath, canonical};

#[path = "../../tests/harness/readings.rs"]
mod readings;

/// The longest input, in bytes: more segments say nothing that these do not.
const LONGEST: usize = 256;

static RULE: LazyLock<PublicPath> =
    LazyLock::new(|| PublicPath { method: None, path: "/public/".to_owned() });

fuzz_target!(|input: &str| -> Corpus {
    if input.len() > LONGEST {
        return Corpus::Reject;
    }
    for path in [input.to_owned(), format!("/public/{input}")] {
        let Ok(path) = canonical(&path) else { continue };
        if RULE.covers("GET", path) {
            for reading in readings::readings(path) {
                assert!(readings::is_below(&reading, b"/public/"), "{path}");
            }
        }
    }
    Corpus::Keep
});
