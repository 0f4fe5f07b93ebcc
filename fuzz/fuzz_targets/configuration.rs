//! `cargo xtask fuzz configuration`: any file is read, or its mistakes are told.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::config::{Config, ConfigError, Environment};

fuzz_target!(|text: &str| {
    match Config::parse(None, text, Environment::fixed(&[])) {
        // Whatever was accepted can be shown without what is secret in it.
        Ok(config) => drop(format!("{config:?}")),
        Err(ConfigError::Mistakes(mistakes)) => {
            assert!(!mistakes.is_empty());
            assert!(mistakes.iter().all(|mistake| !mistake.is_empty()));
        }
        Err(other) => panic!("{other}"),
    }
});
