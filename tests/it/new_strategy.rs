//! `plugin new`: what a new strategy begins with. That it builds and serves is for
//! `cargo xtask e2e new-strategy`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;
use vestibule_tests::workspace;

fn new(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"))
        .args(["plugin", "new"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_new_strategy_has_the_sdk_and_the_contract_as_they_are_here() {
    let folder = TempDir::new().unwrap();
    let output = new(folder.path(), &["my-strategy", "--dir", "."]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    for command in ["cargo test", "cargo xtask build", "vestibule plugin test my-strategy.wasm"] {
        assert!(told.contains(command), "{told}");
    }
    let project = folder.path().join("my-strategy");
    for (theirs, ours) in [("vendor/vestibule-sdk/src", "plugins/sdk/src"), ("wit", "wit")] {
        let (theirs, ours) = (project.join(theirs), workspace().join(ours));
        assert_eq!(files(&theirs), files(&ours));
        for file in files(&ours) {
            let (theirs, ours) = (theirs.join(&file), ours.join(&file));
            assert!(fs::read(theirs).unwrap() == fs::read(ours).unwrap(), "{}", file.display());
        }
    }
    for file in files(&project) {
        let text = fs::read_to_string(project.join(&file)).unwrap();
        let gap = text.contains("{{name}}") || text.contains("{{version}}");
        assert!(!gap, "{} has a gap", file.display());
    }
}

#[test]
fn a_new_strategy_depends_on_what_this_workspace_does() {
    let folder = TempDir::new().unwrap();
    assert!(new(folder.path(), &["a"]).status.success());
    let ours = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    for manifest in ["vendor/vestibule-sdk/Cargo.toml", "xtask/Cargo.toml"] {
        let text = fs::read_to_string(folder.path().join("a").join(manifest)).unwrap();
        let section = text.split("[dependencies]\n").nth(1).unwrap();
        let lines = section.lines().take_while(|line| !line.starts_with("[lints"));
        for line in lines.filter(|line| line.contains(" = ") && !line.starts_with('[')) {
            // Of clap, a program of one command needs less.
            let line = line.split(", default-features").next().unwrap();
            assert!(ours.contains(line), "{manifest}: {line}");
        }
    }
}

#[test]
fn what_is_there_is_left_alone_and_a_bad_name_is_refused() {
    let folder = TempDir::new().unwrap();
    let mine = folder.path().join("mine");
    fs::create_dir(&mine).unwrap();
    let output = new(folder.path(), &["mine"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is there already"));
    assert!(files(&mine).is_empty());
    for name in ["My-Strategy", "my_strategy", "../elsewhere", "xtask", ""] {
        let output = new(folder.path(), &[name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("such as my-"), "{told}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
