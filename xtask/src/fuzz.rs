//! `cargo xtask fuzz`: libFuzzer on what reads untrusted bytes.

mod smallest;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::{
    process::{cargo, succeed},
    root::Root,
};

/// The version that is installed where it is missing.
const CARGO_FUZZ: &str = "0.13.2";

/// Runs fuzz targets, one after the other.
///
/// What a target finds of interest joins its corpus in target/fuzz-corpus, which begins with
/// fuzz/corpus; `--minimise` keeps of both the few that reach most.
#[derive(Args, Debug)]
pub(crate) struct Fuzz {
    /// The target; every one where none is named.
    target: Option<String>,
    /// For how long each is run.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Keep in fuzz/corpus the few inputs that reach most of what all of them do, beside
    /// those that people have written, and run nothing.
    #[arg(long)]
    minimise: bool,
}

impl Fuzz {
    pub(crate) fn run(&self, root: &Root) -> anyhow::Result<()> {
        let mut targets: Vec<String> = fs::read_dir(root.join("fuzz/fuzz_targets"))?
            .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
            .collect();
        targets.sort();
        if let Some(target) = &self.target {
            ensure!(
                targets.contains(target),
                "no target {target}; there are {}",
                targets.join(", ")
            );
            targets.retain(|one| one == target);
        }
        let program = cargo_fuzz(root)?;
        for target in targets {
            let grown = root.join("target/fuzz-corpus").join(&target);
            let kept = root.join("fuzz/corpus").join(&target);
            fs::create_dir_all(&grown)?;
            println!("==> {target}");
            let mut fuzz = Command::new(&program);
            // The compiler of this workspace, which takes what coverage needs only so. Without
            // a sanitizer: there is no unsafe code to look after, and it is twice as fast.
            fuzz.current_dir(root.path()).env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run"]);
            fuzz.args(["--sanitizer", "none", "--target-dir"]).arg(root.join("target/fuzz"));
            fuzz.arg(&target);
            if self.minimise {
                let merged = root.join("target/fuzz-merged");
                let _ = fs::remove_dir_all(&merged);
                let (into, noted) = (merged.join("into"), merged.join("noted"));
                fs::create_dir_all(&into)?;
                // Of each input, all that it reaches is noted only so.
                fuzz.arg(&into).args([&grown, &kept]).args(["--", "-set_cover_merge=1"]);
                fuzz.arg(format!("-merge_control_file={}", noted.display()));
                succeed(&mut fuzz)?;
                println!("{} are kept", smallest::keep(&noted, &kept)?);
            } else {
                fuzz.arg(&grown).arg(&kept).arg("--");
                fuzz.args([format!("-max_total_time={}", self.seconds), "-timeout=10".to_owned()]);
                fuzz.args(["-max_len=16384", "-print_final_stats=1", "-verbosity=0"]);
                succeed(&mut fuzz)?;
            }
        }
        Ok(())
    }
}

/// cargo-fuzz, installed below `target` where this version is not there yet.
fn cargo_fuzz(root: &Root) -> anyhow::Result<PathBuf> {
    let tools = root.join("target/tools");
    let binary = tools.join("bin/cargo-fuzz");
    let installed = Command::new(&binary)
        .args(["fuzz", "--version"])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(CARGO_FUZZ));
    if !installed {
        println!("installing cargo-fuzz {CARGO_FUZZ} (some minutes the first time)");
        succeed(
            Command::new(cargo())
                .args(["install", "--locked", "--quiet", "cargo-fuzz", "--version", CARGO_FUZZ])
                .arg("--root")
                .arg(&tools),
        )
        .context("cargo-fuzz cannot be installed")?;
    }
    Ok(binary)
}
