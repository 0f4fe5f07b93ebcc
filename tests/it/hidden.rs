//! What a configuration keeps secret, no command shows.

use std::{collections::BTreeSet, fs, path::Path};

use vestibule_tests::{
    run::{canary, keep, text},
    workspace,
};

use crate::command_line::{installed, vestibule};

/// Every key with something secret in it, and a value that holds `{}`.
const SECRET: [(&str, &str); 5] = [
    ("server.admin_token", "'{}'"),
    ("server.service_key", "'{}'"),
    ("encryption.secret", "'{}'"),
    ("auth.settings.token", "'{}'"),
    ("database.url", "'postgres://me:{}@127.0.0.1:1/none'"),
];

const REST: &str = "auth.strategy = 'hostile'\nserver.admin_listen = '127.0.0.1:0'\n";

/// The canary of a key.
fn value(key: &str) -> String {
    text(&canary(&format!("hidden {key} of the configuration"))).to_owned()
}

fn line(key: &str, shape: &str) -> String {
    format!("{key} = {}\n", shape.replace("{}", &value(key)))
}

/// What a command says, in which no canary is.
fn said(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let mut command = vestibule(arguments, folder);
    let output = keep(command.envs(environment.iter().copied()).output().unwrap());
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!said.contains("canary"), "{arguments:?}: {said}");
    (output.status.code().unwrap(), said)
}

#[test]
fn these_are_all_the_secrets_of_a_configuration() {
    let config = workspace().join("host/src/config");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(config).unwrap() {
        // What apps are is nobody's secret, and in a folder of its own.
        let Ok(source) = fs::read_to_string(entry.unwrap().path()) else { continue };
        let fields = source.lines().filter_map(|line| line.trim().strip_prefix("pub "));
        for (name, kind) in fields.filter_map(|field| field.split_once(": ")) {
            if kind.contains("SecretString") {
                found.insert(name.to_owned());
            }
        }
    }
    // Besides them: the URL of a database, and settings, which a strategy calls secret.
    assert_eq!(Vec::from_iter(found), ["secret", "service_key", "token"]);
}

#[test]
fn no_command_shows_a_secret_of_a_configuration_that_is_well() {
    let own = SECRET.iter().filter(|(key, _)| !key.starts_with("database"));
    let lines: String = own.map(|(key, shape)| line(key, shape)).collect();
    let folder = installed(&format!("{REST}{lines}"));
    for (arguments, status) in [
        (&["check"][..], 0),
        // It is not closed to others.
        (&["doctor"], 2),
        (&["plugin", "list"], 0),
        (&["plugin", "list", "--json"], 0),
        (&["plugin", "verify", "plugins/hostile.wasm"], 0),
        (&["plugin", "inspect", "plugins/hostile.wasm"], 0),
        (&["users", "list"], 0),
        (&["db", "status"], 0),
        (&["audit", "list"], 0),
        (&["check", "--explain", "--host", "a.example", "--path", "/"], 2),
    ] {
        let (found, said) = said(folder.path(), arguments, &[]);
        assert_eq!(found, status, "{arguments:?}: {said}");
    }
}

#[test]
fn a_mistake_about_a_secret_is_told_without_it() {
    for (key, shape) in SECRET {
        let (own, name) = (value(key), key.rsplit_once('.').unwrap().1);
        for wrong in [
            // Of the wrong type, called otherwise, in the wrong place, and not ended.
            format!("{REST}{key} = ['{own}']\n"),
            format!("{REST}{key}n = '{own}'\n"),
            format!("{REST}[audit]\n{name} = '{own}'\n"),
            format!("{REST}{key} = '{own}\n"),
            format!("{REST}{key} = {own}\n"),
            format!("{REST}{key} = '{own}' '{own}'\n"),
            format!("{REST}{}{}", line(key, shape), line(key, shape)),
        ] {
            let folder = installed(&wrong);
            let (status, said) = said(folder.path(), &["check"], &[]);
            assert_eq!(status, 2, "{key}: {said}");
            assert!(said.contains("vestibule.toml:"), "{said}");
        }
        // Where there is no component, nothing is compiled.
        let folder = installed(&REST.replace("'hostile'", "'./none'"));
        let variable = format!("VESTIBULE_{}", key.to_uppercase().replace('.', "_"));
        for (variable, value) in [(format!("{variable}S"), own.clone()), (variable, own)] {
            said(folder.path(), &["check"], &[(&variable, &value)]);
        }
    }
    // A database that is away.
    let lines: String = SECRET.iter().map(|(key, shape)| line(key, shape)).collect();
    let folder = installed(&format!("{REST}{lines}"));
    for arguments in [&["serve"][..], &["db", "status"], &["users", "list"]] {
        let (_, said) = said(folder.path(), arguments, &[]);
        assert!(said.contains("postgres://…@127.0.0.1:1/none"), "{said}");
    }
}
