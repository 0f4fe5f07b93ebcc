//! `[[apps]]`: its mistakes, and what `check --explain` says of it.

use std::{fs, path::Path, process::Command};

use vestibule::config::{Config, Environment};
use vestibule_tests::{component, run::keep};

fn parsed(toml: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let text = format!("auth.strategy = 'none'\n{toml}");
    Config::parse(Some(Path::new("vestibule.toml")), &text, Environment::fixed(environment))
        .map_err(|error| error.to_string())
}

#[test]
fn every_mistake_is_told_with_its_line_and_its_mend() {
    let error = parsed(
        "server.trusted_proxies = ['10.0.0.0/33']\n\
         [[apps]]\n\
         host = 'wiki.example/path'\n\
         user = ['ada']\n\
         public = ['/a/../b', '^/x$', 'get /y', '/%70ublic/', 'z']\n\
         [[apps]]\n\
         users = 'ada'\n\
         [[apps]]\n\
         host = 'Blog.example'\n\
         [apps.headers]\n\
         user = 'Remote_User'\n\
         groups = 'Cookie'\n\
         email = 'Remote-Name'\n\
         [[apps]]\n\
         host = 'twice.example'\n\
         [[apps]]\n\
         host = 'twice.example:8443'\n",
        &[],
    )
    .unwrap_err();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(
        lines,
        [
            "vestibule.toml:2: [server] trusted_proxies: \"10.0.0.0/33\" is no address such as \
             \"10.0.0.7\", and no network such as \"10.0.0.0/8\"",
            "vestibule.toml:6: [[apps]] public: \"/a/../b\": it has a segment of dots; write the \
             path as browsers send it",
            "vestibule.toml:6: [[apps]] public: \"^/x$\": a path is no pattern; one that ends in a \
             slash stands for everything below it",
            "vestibule.toml:6: [[apps]] public: \"get /y\": what stands before the blank is no \
             method such as GET",
            "vestibule.toml:6: [[apps]] public: \"/%70ublic/\": it has an encoded character that \
             not everybody decodes alike; write the path as browsers send it",
            "vestibule.toml:6: [[apps]] public: \"z\": it does not begin with a slash; write the \
             path as browsers send it",
            "vestibule.toml:4: [[apps]] host: \"wiki.example/path\" is no host such as \
             \"wiki.example.com\"",
            "vestibule.toml:5: [[apps]] user: unknown key, did you mean \"users\"?",
            "vestibule.toml:8: [[apps]] users: invalid type: string \"ada\", expected a sequence",
            "vestibule.toml:7: [[apps]]: no host is named; add host = \"wiki.example.com\"",
            "vestibule.toml:12: [apps.headers] user: \"Remote_User\" has an underscore; write a \
             hyphen",
            "vestibule.toml:13: [apps.headers] groups: \"Cookie\" has a meaning of its own; choose \
             another name",
            "vestibule.toml:11: [[apps]] headers: two headers are called \"remote-name\"",
            "vestibule.toml:10: [[apps]] host: \"Blog.example\" is read as \"blog.example\"; write \
             it so",
            "vestibule.toml:17: [[apps]]: there is an app of the host \"twice.example\" already",
        ]
    );
}

#[test]
fn a_host_has_the_scheme_of_vestibule_unless_it_names_one() {
    let origins = |toml: &str| {
        let apps = parsed(toml, &[]).unwrap().apps;
        apps.iter().map(|app| app.origin.to_string()).collect::<Vec<_>>()
    };
    let apps = "[[apps]]\nhost = 'wiki.example'\n[[apps]]\nhost = 'http://old.example:8080'\n";
    assert_eq!(origins(apps), ["http://wiki.example/", "http://old.example:8080/"]);
    let apps = format!("server.public_url = 'https://auth.example'\n{apps}");
    assert_eq!(origins(&apps), ["https://wiki.example/", "http://old.example:8080/"]);
    for (host, mend) in [
        ("wiki.example.", "wiki.example"),
        ("WIKI.example", "wiki.example"),
        ("wíki.example", "xn--wki-rma.example"),
        ("http://wiki.example:80", "wiki.example"),
    ] {
        let error = parsed(&format!("[[apps]]\nhost = '{host}'"), &[]).unwrap_err();
        assert!(error.ends_with(&format!("is read as \"{mend}\"; write it so")), "{error}");
    }
    for host in
        ["", "a b", "user@wiki.example", "*.example", "wiki.example?x", "ftp://wiki.example"]
    {
        assert!(parsed(&format!("[[apps]]\nhost = '{host}'"), &[]).is_err(), "{host}");
    }
}

#[test]
fn what_an_assertion_names_is_configured() {
    let apps = "[[apps]]\nhost = 'wiki.example'\n";
    let error = parsed(&format!("server.listen = '0.0.0.0:3000'\n{apps}"), &[]).unwrap_err();
    let what = "vestibule.toml:3: [[apps]]: apps need public_url in [server]: log-ins and assertions \
                name it";
    assert_eq!(error, what);
    let url = "server.public_url = 'https://auth.example'\n";
    assert!(parsed(&format!("server.listen = '0.0.0.0:3000'\n{url}{apps}"), &[]).is_ok());
}

#[test]
fn apps_can_come_from_the_environment() {
    let apps = r#"[{host = "wiki.example", users = ["ada"], headers = {user = "X-User"}}]"#;
    let variables =
        [("VESTIBULE_APPS", apps), ("VESTIBULE_SERVER_TRUSTED_PROXIES", "10.0.0.0/8,::1")];
    let config = parsed("", &variables).unwrap();
    assert_eq!(config.apps[0].users, ["ada"]);
    assert_eq!(config.apps[0].headers.user, "x-user");
    assert!(config.server.trusts("10.9.8.7".parse().unwrap()));
    assert!(config.server.trusts("::1".parse().unwrap()));
    assert!(!config.server.trusts("11.0.0.1".parse().unwrap()));
}

const EXPLAINED: &str = "[auth]\nstrategy = 'none'\n[database]\nurl = 'sqlite://v.db'\n[[apps]]\n\
    host = 'wiki.example'\nusers = ['ada']\nroles = ['staff']\norganisations = ['acme']\n\
    public = ['/public/']\n";

fn explain(arguments: &[&str]) -> (i32, String) {
    explain_with(EXPLAINED, arguments)
}

/// What `check --explain` says of a request, by this configuration.
pub(super) fn explain_with(toml: &str, arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vestibule.toml"), toml).unwrap();
    assert!(component("none").exists());
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"))
        .args(["check", "--explain"])
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .output()
        .unwrap();
    let output = keep(output);
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    assert!(!folder.path().join("v.db").exists(), "nothing is made");
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn the_rule_that_decides_is_told_with_its_place() {
    let at = |path: &'static str| ["--host", "wiki.example", "--path", path];
    let ask = |path: &'static str, rest: &[&str]| {
        let (status, text) = explain(&[&at(path)[..], rest].concat());
        assert_eq!(status, 0, "{text}");
        text
    };
    assert_eq!(
        ask("/a", &["--user", "ada"]),
        "GET wiki.example/a by ada (organisation ada, roles none): allowed, as the user\n\
         vestibule.toml:5: [[apps]]: users names \"ada\"\n"
    );
    let told = ask("/a", &["--user", "bob", "--role", "staff", "--org", "other"]);
    assert!(told.contains("roles names \"staff\""), "{told}");
    let told = ask("/a", &["--user", "bob", "--org", "acme", "--method", "POST"]);
    assert!(told.contains("organisations names \"acme\""), "{told}");
    let told = ask("/a", &["--user", "bob"]);
    assert!(told.contains("forbidden\n"), "{told}");
    assert!(told.contains("neither users nor roles nor organisations names the user"), "{told}");
    let told = ask("/public/x?y", &[]);
    assert!(told.contains("by nobody: allowed, as nobody\n"), "{told}");
    assert!(told.contains("public names \"/public/\""), "{told}");
    let told = ask("/public/../a", &[]);
    assert!(told.contains("a log-in is asked for"), "{told}");
    assert!(told.contains("because it has a segment of dots"), "{told}");
}

#[test]
fn what_cannot_be_explained_says_what_is_missing() {
    let (status, text) = explain(&["--host", "blog.example", "--path", "/"]);
    assert_eq!(status, 2);
    assert!(text.contains("there are [\"wiki.example\"]"), "{text}");
    let (status, text) = explain(&["--host", "wiki.example"]);
    assert_eq!(status, 2);
    assert!(text.contains("--path"), "{text}");
}
