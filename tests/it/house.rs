//! The house rules that a search can hold: who may import what, and which words
//! may stand where.

mod paths;

use std::{
    fs,
    path::{Path, PathBuf},
};

use vestibule_tests::workspace;

/// The ground floor: open to every room, and using none.
const GROUND: [&str; 8] =
    ["clock", "config", "hex", "identity", "metrics", "secret", "task", "text"];

/// Each room of the host, and the rooms above the ground that it may use.
const ROOMS: [(&str, &[&str]); 19] = [
    ("main", &["cli"]),
    ("cli", &["http", "engine", "store", "host", "authz", "doctor", "kit", "telemetry"]),
    ("doctor", &["host", "engine", "store", "capability"]),
    (
        "http",
        &[
            "context",
            "host",
            "engine",
            "limit",
            "sandbox",
            "store",
            "authz",
            "assertion",
            "telemetry",
        ],
    ),
    ("kit", &["engine", "host", "store"]),
    ("fuzzing", &["http", "engine", "capability", "store"]),
    ("provider", &["context", "engine"]),
    ("context", &["host", "engine", "store"]),
    ("host", &["engine", "limit", "sandbox", "store", "assertion"]),
    ("authz", &[]),
    ("assertion", &["store"]),
    ("sandbox", &[]),
    ("limit", &[]),
    ("engine", &["capability", "bindings", "store"]),
    ("telemetry", &["capability"]),
    ("capability", &["bindings", "store"]),
    ("bindings", &["capability"]),
    ("store", &["cipher"]),
    ("cipher", &[]),
];

/// Each dependency that has one door, and the room with the door.
const DOORS: [(&str, &[&str]); 27] = [
    ("axum", &["http"]),
    ("matchit", &["http"]),
    ("minisign_verify", &["engine"]),
    ("notify", &["host"]),
    ("prometheus_client", &["http"]),
    ("tower_http", &["http"]),
    ("utoipa", &["http"]),
    ("utoipa_axum", &["http"]),
    ("prost", &["http"]),
    ("tonic", &["http"]),
    ("tonic_prost", &["http"]),
    ("clap", &["cli"]),
    ("wasmtime", &["engine", "capability", "bindings"]),
    ("aws_lc_rs", &["capability", "assertion", "kit"]),
    ("hyper", &["capability", "http", "kit"]),
    ("hyper_rustls", &["capability"]),
    ("rustls", &["capability"]),
    ("webpki_roots", &["capability"]),
    ("sqlx", &["store"]),
    ("rusqlite", &["store"]),
    ("fernet", &["cipher"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_http", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["cli", "telemetry"]),
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

/// Where in the host a file stands: `engine/load/file.rs` is `engine::load::file`.
fn module(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(workspace().join("host/src")).unwrap().with_extension("");
    inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// What stands before a file's own tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    without_tests(text).lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// What a file of the host names that it may not, by the rooms and by the doors.
fn departures(module: &[String], text: &str) -> Vec<String> {
    let room = module[0].as_str();
    let may_use = match ROOMS.iter().find(|(name, _)| *name == room) {
        Some((_, may_use)) => *may_use,
        None if GROUND.contains(&room) || room == "lib" => &[],
        None => panic!("{room} has no place in the house"),
    };
    // The root of the crate is no module of its own.
    let module = if matches!(room, "lib" | "main") { &[] } else { module };
    let forbidden = |path: &paths::Names| match (path[0].as_str(), path.get(1)) {
        ("crate", _) if room == "lib" => false,
        ("crate", Some(other)) => {
            let other = other.as_str();
            let on_the_ground = GROUND.contains(&other) && !GROUND.contains(&room);
            other != room && !may_use.contains(&other) && !on_the_ground
        }
        // Under another name, the whole house.
        ("crate", None) => true,
        (dependency, _) => {
            DOORS.iter().any(|(name, doors)| *name == dependency && !doors.contains(&room))
        }
    };
    let named = paths::named(without_tests(text), module);
    named.iter().filter(|path| forbidden(path)).map(|path| path.join("::")).collect()
}

#[test]
fn every_room_imports_downward_only_and_every_dependency_has_one_door() {
    for (path, text) in sources("host/src") {
        let departures = departures(&module(&path), &text);
        assert!(departures.is_empty(), "{} may not use {departures:?}", path.display());
    }
}

#[test]
fn a_departure_is_found_however_it_is_written() {
    let of = |module: &str, text: &str| {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        departures(&module, text)
    };
    for (module, text, departure) in [
        ("store", "use crate::{engine::Engine, http::Problem};", "crate::engine::Engine"),
        ("store", "use crate::{engine::Engine, http::Problem};", "crate::http::Problem"),
        ("store", "use crate::{\n    clock,\n    engine::{self, Engine},\n};", "crate::engine"),
        ("store", "use crate::engine as machine;", "crate::engine"),
        ("store", "use crate as house;", "crate"),
        ("store", "use crate::*;", "crate::*"),
        ("store", "use super::engine;", "crate::engine"),
        ("store", "use super::*;", "crate::*"),
        ("store::users", "pub use super::super::http::Problem;", "crate::http::Problem"),
        ("store", "fn f() { crate::http::router(host) }", "crate::http::router"),
        ("clock", "use crate::config::Config;", "crate::config::Config"),
        ("main", "fn main() { vestibule::store::open() }", "crate::store::open"),
        ("http", "use wasmtime as w;", "wasmtime"),
        ("engine", "use axum as web;", "axum"),
        ("engine", "use ::{axum as web, std::fmt};", "axum"),
        ("engine", "extern crate axum as web;", "axum"),
        ("http", "use {std::fmt, sqlx::{Row, query}};", "sqlx::Row"),
        ("http", "#[derive(clap::Args)] struct A;", "clap::Args"),
        ("http", "fn f() -> Result<(), ::sqlx::Error> {}", "sqlx::Error"),
    ] {
        let found = of(module, text);
        assert!(found.iter().any(|path| path == departure), "{module}: {text}: {found:?}");
    }
    for (module, text) in [
        ("http", "use crate::{engine::Engine, identity::Request, store::{self, Store}};"),
        ("http::error", "use super::Problem; use axum::{Json, body::Body};"),
        ("store", "// use crate::http;\nlet x = \"crate::http::router, sqlx::query\";"),
        ("store", "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::http::Problem;\n}"),
        ("engine", "use crate::capability::clock; use wasmtime as w; let axum = my_axum::x();"),
        ("lib", "pub use crate::http::router;"),
    ] {
        assert_eq!(of(module, text), [""; 0], "{module}: {text}");
    }
}

#[test]
fn the_host_knows_no_strategy_by_name() {
    for (path, text) in sources("host/src") {
        // The names of Git providers, and of columns in a foreign database.
        if path.ends_with("identity.rs")
            || path.ends_with("store/import.rs")
            || path.ends_with("import/tables.rs")
        {
            continue;
        }
        let lower = text.to_lowercase();
        for word in ["github", "keycloak"] {
            assert!(!lower.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn every_route_is_declared_with_its_description() {
    // `routes!` takes both from the handler; what is routed otherwise is in no document.
    for (path, text) in sources("host/src") {
        let hidden = [".route(", ".route_service(", ".nest(", ".nest_service("];
        let found = code_lines(&text).find(|line| hidden.iter().any(|call| line.contains(call)));
        assert_eq!(found, None, "{}", path.display());
    }
}

#[test]
fn what_callers_send_is_read_in_one_place() {
    // Axum's own extractors refuse in plain text.
    for (path, text) in sources("host/src/http") {
        if path.ends_with("input.rs") {
            continue;
        }
        let extractors = ["Path", "Query", "Form", "Extension"];
        let named = paths::named(without_tests(&text), &module(&path));
        let found = named.iter().find(|path| {
            path[0] == "axum"
                && path[1] == "extract"
                && extractors.contains(&path.last().unwrap().as_str())
        });
        assert_eq!(found, None, "{}", path.display());
    }
}

#[test]
fn status_codes_are_chosen_in_one_place() {
    for (path, text) in sources("host/src") {
        let inside = module(&path).join("/");
        if inside == "http/error" || inside.starts_with("http/error/") {
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
    // The one way to show a secret to its owner is not a way around that.
    let shown: Vec<_> = sources("host/src")
        .into_iter()
        .filter(|(path, _)| !path.ends_with("src/secret.rs"))
        .flat_map(|(path, text)| {
            let lines = code_lines(&text).filter(|line| line.contains("reveal(")).count();
            vec![path.display().to_string(); lines]
        })
        .collect();
    assert!(!shown.is_empty() && shown.len() <= 5, "{shown:#?}");
}

/// The collections that belong to users within organisations.
const OWNED: [&str; 6] =
    ["secrets", "secret_sets", "settings", "setting_secrets", "api_keys", "sandboxes"];

#[test]
fn every_statement_on_what_users_own_says_whose_rows_it_means() {
    let mut seen = 0;
    for (path, text) in sources("host/src/store") {
        // These are about all rows, because they are about their keys, or for operators.
        let all_rows =
            ["rotate.rs", "status.rs", "import.rs", "source.rs", "keys.rs", "oversight.rs"];
        if all_rows.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        // What follows `Scope::query` and `Scope::rows`, which bind both, or stands
        // apart because two drivers are asked it.
        for call in [".query(", ".rows(", "const LOAD: &str ="]
            .iter()
            .flat_map(|name| text.split(name).skip(1))
        {
            let call = call.trim_start();
            let call = call.strip_prefix("select!(").unwrap_or(call).trim_start();
            let Some(sql) = call.strip_prefix('"') else { continue };
            let sql = sql.split('"').next().unwrap();
            let whose = sql.contains("org_id = $1") && sql.contains("user_id = $2");
            let inserts = sql.starts_with("insert") && sql.contains("(org_id, user_id");
            assert!(whose || inserts, "{}: {sql}", path.display());
            seen += 1;
        }
        // Everything else that names such a table is by a secret that was presented, or
        // about a user's keys in every organisation.
        for call in text.split("sqlx::query").skip(1) {
            let Some(sql) = call.split('"').nth(1) else { continue };
            let names = |table: &&&str| sql.split_ascii_whitespace().any(|word| word == **table);
            if let Some(table) = OWNED.iter().find(names) {
                let by_secret = sql.contains("session_key_hash = $1")
                    || sql.contains("from sandboxes where id = $1")
                    || sql.contains("from api_keys where hash = $1")
                    || sql.contains("api_keys where user_id = $1 and id = $2 and system = 0")
                    || sql.contains("api_keys k where k.user_id = $1 and k.system = 0")
                    || sql.contains("api_keys where user_id = $1 and system = 0")
                    || sql.contains("update api_keys set last_used_at");
                assert!(by_secret, "{}: {table}: {sql}", path.display());
            }
        }
    }
    assert!(seen > 20, "{seen}");
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
    for folder in ["host/src", "client/src", "plugins", "xtask/src"] {
        for (path, text) in sources(folder) {
            let lines = without_tests(&text).lines().count();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
            assert!(!path.ends_with("mod.rs"), "{}: name it after the module", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for folder in
        ["host/src", "client/src", "plugins", "xtask/src", "tests/harness", "tests/it", "examples"]
    {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//! "), "{} opens with no purpose", path.display());
        }
    }
}

#[test]
fn the_example_is_as_short_as_the_map_says() {
    let file = workspace().join("examples/hello-strategy/src/lib.rs");
    let text = fs::read_to_string(file).unwrap();
    let lines = code_lines(&text).filter(|line| !line.is_empty()).count();
    assert!(lines < 40, "{lines} lines of code");
    let map = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    assert!(map.contains("a strategy in under 40 lines of code"));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "client/README.md",
        "plugins/sdk/README.md",
        "examples/gateways/README.md",
    ]
    .map(|name| workspace().join(name))
    .into();
    documents.push(workspace().join("examples/hello-strategy/README.md"));
    for entry in fs::read_dir(workspace().join("docs")).unwrap() {
        documents.push(entry.unwrap().path());
    }
    for file in documents {
        let text = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", file.display()));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = file.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(path.exists(), "{} leads to {link}, which is not there", file.display());
        }
    }
}
