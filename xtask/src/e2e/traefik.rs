//! Traefik, built from its Go module, because no registry has it as a program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::{process::succeed, root::Root};

const MODULE: &str = "github.com/traefik/traefik/v3";
const VERSION: &str = "3.7.13";

/// What Traefik checks passwords with, as its author published it. Traefik has a commit of a
/// fork, which not every module proxy hands out.
const PASSWORDS: (&str, &str) = ("github.com/abbot/go-http-auth", "v0.4.0");

/// What adds to the configuration elsewhere. It is a module inside of Traefik's, and archives
/// leave such out.
const ADDITIONS: [(&str, &str); 2] = [
    ("go.mod", "module github.com/traefik/traefik/dynamic/ext\n"),
    ("ext.go", "package ext\n\ntype HTTP struct{}\n\ntype Router struct{}\n"),
];

/// What gets certificates by DNS: the clients of some 200 services, large ones among them, and
/// not every module proxy hands out each.
const DNS: &str = "\"github.com/go-acme/lego/v5/providers/dns\"";
const NO_DNS: &str = r#"package dns

import (
	"errors"

	"github.com/go-acme/lego/v5/challenge"
)

func NewDNSChallengeProviderByName(string) (challenge.Provider, error) {
	return nil, errors.New("there is no client of a DNS service in this Traefik")
}
"#;

/// Traefik below `target`. What routes, asks and forwards is as it was published.
pub(super) fn traefik(root: &Root) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/traefik");
    let program = folder.join(format!("traefik-v{VERSION}"));
    if !fs::exists(&program)? {
        println!("building Traefik {VERSION}, which takes minutes the first time");
        let source = folder.join("source");
        let _ = fs::remove_dir_all(&source);
        fs::create_dir_all(&folder)?;
        // Not where Go keeps it, which is not to be written to.
        let copy = ["--recursive", "--no-preserve=mode"];
        succeed(Command::new("cp").args(copy).arg(fetched(&folder)?).arg(&source))?;
        trim(&source)?;
        build(&source, &program)?;
        fs::remove_dir_all(&source)?;
    }
    Ok(program)
}

/// The module's source, held against Go's database of checksums.
fn fetched(folder: &Path) -> anyhow::Result<PathBuf> {
    let module = format!("{MODULE}@v{VERSION}");
    let fetch = Command::new("go")
        .args(["mod", "download", "-json", &module])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .context("there is no Go")?;
    let told = String::from_utf8_lossy(&fetch.stdout);
    ensure!(fetch.status.success(), "Go does not get {module}: {told}");
    let told: serde_json::Value = serde_json::from_str(&told)?;
    told["Dir"].as_str().map(PathBuf::from).context("Go does not say where it is")
}

/// Leaves out what cannot be fetched everywhere, and is not in the way of a request.
fn trim(source: &Path) -> anyhow::Result<()> {
    let go = |arguments: &[String]| {
        succeed(Command::new("go").arg("mod").args(arguments).current_dir(source))
    };
    let (name, version) = PASSWORDS;
    go(&["edit".into(), format!("-dropreplace={name}"), format!("-require={name}@{version}")])?;
    let additions = source.join("pkg/config/dynamic/ext");
    fs::create_dir(&additions)?;
    for (name, text) in ADDITIONS {
        fs::write(additions.join(name), text)?;
    }
    // Takes the checksum down.
    go(&["download".into(), format!("{name}@{version}")])?;

    let user = source.join("pkg/provider/acme/provider.go");
    let text = fs::read_to_string(&user)?;
    ensure!(text.contains(DNS), "{} has no {DNS}", user.display());
    fs::write(&user, text.replace(DNS, &format!("\"{MODULE}/pkg/provider/acme/dns\"")))?;
    let none = source.join("pkg/provider/acme/dns");
    fs::create_dir(&none)?;
    Ok(fs::write(none.join("dns.go"), NO_DNS)?)
}

fn build(source: &Path, program: &Path) -> anyhow::Result<()> {
    let version = format!("-s -w -X {MODULE}/pkg/version.Version={VERSION}");
    let build = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", &version, "-o"];
    let mut nice = Command::new("nice");
    nice.args(build).arg(program).arg("./cmd/traefik");
    succeed(nice.current_dir(source).env("CGO_ENABLED", "0"))?;
    let told = Command::new(program).arg("version").output()?.stdout;
    let told = String::from_utf8_lossy(&told);
    ensure!(told.contains(VERSION), "this is no Traefik {VERSION}: {told}");
    Ok(())
}
