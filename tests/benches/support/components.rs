//! Components that `cargo xtask plugins` has built, loaded as a server would.

use std::path::{Path, PathBuf};

use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    engine::{Engine, Strategy},
};

/// Where a component is, `plugins/none` for instance.
pub fn path(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(name).with_extension("wasm");
    assert!(path.is_file(), "{} is missing: run `cargo xtask plugins`", path.display());
    path
}

/// The configuration of a server with this component and nothing else.
pub fn config(component: &Path) -> Config {
    let text =
        format!("database.url = 'sqlite::memory:'\n[auth]\nstrategy = '{}'\n", component.display());
    Config::parse(None, &text, Environment::fixed(&[])).expect("the configuration is valid")
}

/// Loads a component.
pub async fn load(engine: &Engine, name: &str) -> Strategy {
    let path = path(name);
    engine.load(&path, &config(&path), Clock::System).await.expect("the component loads")
}
