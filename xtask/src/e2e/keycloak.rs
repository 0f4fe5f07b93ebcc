//! Tests with real identity providers: a Keycloak, and another.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};

use super::{CLIENT, browser, build, with_packages};
use crate::{debian, guests, postgres::Cluster, process::succeed, root::Root};

/// The Keycloak that is tested with.
const KEYCLOAK: &str = "26.7.3";

/// What fetches it.
const FETCH: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";

/// The other provider, and what drives Chromium.
const OIDC_PROVIDER: [&str; 2] = ["oidc-provider@9.13.3", browser::PLAYWRIGHT];

const STRATEGY: &str = "mu-keycloak";

/// The command line under test, and the strategy.
fn under_test(root: &Root) -> anyhow::Result<(PathBuf, PathBuf)> {
    guests::build(root, &guests::Selection::of(&[STRATEGY]))?;
    let program = build(root, "vestibule-under-test")?;
    Ok((program, root.join("target/plugins").join(STRATEGY).with_extension("wasm")))
}

/// A Keycloak goes through everything that can happen to a log-in, and an automation
/// notices none of it. Logs and pictures stay below `target/e2e`.
pub(super) fn keycloak(root: &Root) -> anyhow::Result<()> {
    let (program, component) = under_test(root)?;
    let keycloak = distribution(root)?;
    let python = with_packages(root, "openhands-client", &CLIENT, "500 MB")?.join("python");
    let packages = browser::with_packages(root, "playwright", &[browser::PLAYWRIGHT])?;
    let cluster = Cluster::start()?;
    let mut test = script(root, "keycloak.mjs")?;
    test.arg(program)
        .arg(component)
        .arg(&cluster.url)
        .arg(keycloak)
        .arg(root.join("tests/e2e/keycloak-realm.json"))
        .arg(python)
        .arg(packages)
        .arg(root.join("target/e2e/keycloak"));
    succeed(&mut test)
}

/// Logs in with npm's `oidc-provider`.
pub(super) fn oidc_provider(root: &Root) -> anyhow::Result<()> {
    let (program, component) = under_test(root)?;
    let packages = browser::with_packages(root, "oidc-provider", &OIDC_PROVIDER)?;
    let mut test = script(root, "oidc_provider.mjs")?;
    test.arg(program).arg(component).arg(packages).arg(root.join("target/e2e/oidc-provider"));
    succeed(&mut test)
}

fn script(root: &Root, name: &str) -> anyhow::Result<Command> {
    browser::with_chromium()?;
    let mut script = Command::new("node");
    script.arg(root.join("tests/e2e").join(name)).env("CHROMIUM", browser::CHROMIUM);
    Ok(script)
}

/// Keycloak below `target`, fetched by Maven as it is configured here.
fn distribution(root: &Root) -> anyhow::Result<PathBuf> {
    require("java", "Java", "openjdk-17-jre-headless")?;
    let folder = root.join("target/keycloak");
    let home = folder.join(format!("keycloak-{KEYCLOAK}"));
    let whole = home.join("fetched");
    if !fs::exists(&whole)? {
        require("mvn", "Maven", "maven")?;
        println!("fetching Keycloak {KEYCLOAK} (some 200 MB the first time)");
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&folder)?;
        succeed(
            Command::new("mvn")
                .args(["--batch-mode", "--quiet", FETCH])
                .arg(format!("-Dartifact=org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:tar.gz"))
                .arg(format!("-DoutputDirectory={}", folder.display()))
                .current_dir(&folder),
        )?;
        let archive = folder.join(format!("keycloak-quarkus-dist-{KEYCLOAK}.tar.gz"));
        succeed(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&folder))?;
        fs::remove_file(&archive)?;
        ensure!(home.join("bin/kc.sh").exists(), "there is no Keycloak in {}", home.display());
        fs::write(&whole, KEYCLOAK).context("Keycloak cannot be marked as fetched")?;
    }
    Ok(home)
}

/// Installs what provides a program, where it is not there.
fn require(program: &str, what: &str, package: &str) -> anyhow::Result<()> {
    let asked = Command::new(program).arg("-version").output();
    if asked.is_ok_and(|asked| asked.status.success()) {
        return Ok(());
    }
    debian::install(what, package)
}
