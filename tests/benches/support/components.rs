//! Components that `cargo xtask plugins` has built, loaded as a server would.

use std::{
    env,
    path::{Path, PathBuf},
};

use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    engine::{Engine, Strategy},
};

/// Where a component is, `plugins/none` for instance: below `CARGO_TARGET_DIR`
/// where it is there, and else where `cargo xtask plugins` puts it.
pub(crate) fn path(name: &str) -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a bench has no configuration")]
    let chosen = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let file = |target: &PathBuf| target.join(name).with_extension("wasm");
    let [chosen, usual] = [chosen.as_ref().map(file), Some(file(&usual))];
    [chosen, usual]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name}.wasm is missing: run `cargo xtask plugins`"))
}

/// The configuration of a server with this component and what it cannot do without.
pub(crate) fn config(component: &Path) -> Config {
    let needed = match component.file_stem().and_then(|name| name.to_str()) {
        Some("hello-strategy") => "[auth.settings]\nteam = 'engines'\n",
        Some("mu-keycloak") => MU_KEYCLOAK,
        _ => "",
    };
    let text = format!(
        "database.url = 'sqlite::memory:'\n[auth]\nstrategy = '{}'\n{needed}",
        component.display()
    );
    Config::parse(None, &text, Environment::fixed(&[])).expect("the configuration is valid")
}

const MU_KEYCLOAK: &str = "[auth.settings]\nurl = 'https://id.example'\nrealm = 'team'\n\
    client_id = 'vestibule'\nclient_secret = 'none of anybody'\n\
    [auth.grants]\nhttp = ['https://id.example']\nbrowser = ['https://id.example']\n\
    jose = ['https://id.example/realms/team']\n\
    token_store = ['offline', 'github', 'gitlab', 'bitbucket']\n";

/// Loads a component.
pub(crate) async fn load(engine: &Engine, name: &str) -> Strategy {
    let path = path(name);
    engine.load(&path, &config(&path), Clock::System).await.expect("the component loads")
}
