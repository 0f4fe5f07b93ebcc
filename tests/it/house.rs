//! The house rules that a search can hold: who may import what, and which words
//! may stand where.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vestibule_tests::workspace;

/// The ground floor: open to every room, and using none.
const GROUND: [&str; 4] = ["clock", "config", "hex", "identity"];

/// Each room of the host, and the rooms above the ground that it may use.
const ROOMS: [(&str, &[&str]); 8] = [
    ("main", &["cli"]),
    ("cli", &["http", "engine", "store", "host"]),
    ("http", &["host", "engine", "store"]),
    ("host", &["engine", "store"]),
    ("engine", &["capability", "bindings"]),
    ("capability", &["bindings", "store"]),
    ("bindings", &["capability"]),
    ("store", &[]),
];

/// Each dependency that has one door, and the room with the door.
const DOORS: [(&str, &[&str]); 6] = [
    ("axum", &["http"]),
    ("tower_http", &["http"]),
    ("clap", &["cli"]),
    ("wasmtime", &["engine", "capability", "bindings"]),
    ("sqlx", &["store"]),
    ("tracing_subscriber", &["cli"]),
];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no source in {folder}");
    found
}

/// The room that a file of the host belongs to: `engine/load/file.rs` is of `engine`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(workspace().join("host/src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// What stands before a file's own tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    without_tests(text).lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

#[test]
fn every_room_imports_downward_only() {
    for (path, text) in sources("host/src") {
        let room = room(&path);
        let may_use: &[&str] = match ROOMS.iter().find(|(name, _)| *name == room) {
            Some((_, may_use)) => may_use,
            None if GROUND.contains(&room.as_str()) || room == "lib" => &[],
            None => panic!("{room} has no place in the house"),
        };
        let above_ground = ROOMS.iter().map(|(name, _)| *name);
        let ground = GROUND.into_iter().filter(|_| GROUND.contains(&room.as_str()));
        for other in above_ground.chain(ground) {
            if other == room || may_use.contains(&other) || room == "lib" {
                continue;
            }
            for line in code_lines(&text) {
                let names_it = line.contains(&format!("crate::{other}"))
                    // Inside a grouped `use crate::{…}`.
                    || (text.contains("use crate::{") && line.starts_with(&format!("{other}::")));
                assert!(!names_it, "{} may not use {other}: {line}", path.display());
            }
        }
    }
}

#[test]
fn every_dependency_has_one_door() {
    for (path, text) in sources("host/src") {
        let room = room(&path);
        for (dependency, doors) in DOORS {
            if doors.contains(&room.as_str()) {
                continue;
            }
            for line in code_lines(&text) {
                let names_it = line.contains(&format!("{dependency}::"))
                    && !line.contains(&format!("_{dependency}::"));
                assert!(!names_it, "{} may not use {dependency}: {line}", path.display());
            }
        }
    }
}

#[test]
fn the_host_knows_no_strategy_by_name() {
    for (path, text) in sources("host/src") {
        if path.ends_with("identity.rs") {
            continue;
        }
        let lower = text.to_lowercase();
        for word in ["github", "keycloak"] {
            assert!(!lower.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn status_codes_are_chosen_in_one_place() {
    for (path, text) in sources("host/src") {
        if path.ends_with("http/error.rs") {
            continue;
        }
        let named = code_lines(&text).find(|line| line.contains("StatusCode"));
        assert_eq!(named, None, "{}", path.display());
    }
}

#[test]
fn a_secret_is_laid_bare_in_at_most_five_places() {
    let mut places = Vec::new();
    for (path, text) in sources("host/src").into_iter().chain(sources("plugins")) {
        for line in code_lines(&text).filter(|line| line.contains(".expose_secret()")) {
            places.push(format!("{}: {line}", path.display()));
        }
    }
    assert!(!places.is_empty() && places.len() <= 5, "{places:#?}");
}

#[test]
fn plugins_use_nothing_of_the_host_and_nothing_of_each_other() {
    for (path, text) in sources("plugins") {
        let foreign = code_lines(&text)
            .find(|line| line.contains("use vestibule::") || line.contains("vestibule_none"));
        assert_eq!(foreign, None, "{}", path.display());
    }
}

#[test]
fn no_file_is_longer_than_anybody_wants_to_read() {
    for folder in ["host/src", "plugins", "xtask/src"] {
        for (path, text) in sources(folder) {
            let lines = without_tests(&text).lines().count();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
            assert!(!path.ends_with("mod.rs"), "{}: name it after the module", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for folder in ["host/src", "plugins", "xtask/src", "tests/harness", "tests/it", "examples"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//! "), "{} opens with no purpose", path.display());
        }
    }
}
