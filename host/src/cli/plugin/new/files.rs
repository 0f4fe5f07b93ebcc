//! The files of a new strategy, as they are at the time when this program is built.

/// A file's place in the project, and its text.
type File = (&'static str, &'static str);

macro_rules! from {
    ($folder:literal, $here:literal: $($path:literal),+ $(,)?) => {
        &[$((
            concat!($folder, "/", $path),
            include_str!(concat!("../../../../../", $here, "/", $path)),
        )),+]
    };
}

/// Written for the project.
const OWN: &[File] = &[
    (".cargo/config.toml", include_str!("templates/cargo-config.toml.template")),
    (".gitignore", "/target\n/*.wasm\n"),
    ("Cargo.toml", include_str!("templates/Cargo.toml.template")),
    ("README.md", include_str!("templates/README.md.template")),
    ("settings.toml", include_str!("templates/settings.toml.template")),
    ("src/lib.rs", include_str!("templates/lib.rs.template")),
    ("vendor/vestibule-sdk/Cargo.toml", include_str!("templates/sdk-Cargo.toml.template")),
    ("vendor/vestibule-sdk/LICENSE", include_str!("../../../../../LICENSE")),
    ("xtask/Cargo.toml", include_str!("templates/xtask-Cargo.toml.template")),
    ("xtask/src/main.rs", include_str!("templates/xtask-main.rs.template")),
];

/// From a core module to a component, and the compilers that there are for it.
const XTASK: &[File] = from!("xtask/src", "xtask/src/guests":
    "component.rs",
    "toolchain.rs",
);

const SDK: &[File] = from!("vendor/vestibule-sdk/src", "plugins/sdk/src":
    "allocator.rs",
    "bindings.rs",
    "clock.rs",
    "description.rs",
    "entropy.rs",
    "error.rs",
    "export.rs",
    "http.rs",
    "identity.rs",
    "jose.rs",
    "lib.rs",
    "log.rs",
    "login.rs",
    "net.rs",
    "oauth.rs",
    "oauth/answer.rs",
    "oauth/lifetime.rs",
    "oauth/refusal.rs",
    "panic.rs",
    "provider_tokens.rs",
    "provider_tokens/due.rs",
    "provider_tokens/provider.rs",
    "random.rs",
    "secrets.rs",
    "session.rs",
    "session_store.rs",
    "settings.rs",
    "strategy.rs",
    "text.rs",
    "token_provider.rs",
    "token_store.rs",
);

const CONTRACT: &[File] = from!("wit", "wit":
    "clock.wit",
    "http-client.wit",
    "jose.wit",
    "log.wit",
    "login.wit",
    "plugin.wit",
    "random.wit",
    "secrets.wit",
    "session-store.wit",
    "settings.wit",
    "token-provider.wit",
    "token-store.wit",
    "types.wit",
    "user-auth.wit",
    "world.wit",
);

/// Every file of the project; `{{name}}` stands for its name.
pub(super) fn all() -> impl Iterator<Item = File> {
    [OWN, XTASK, SDK, CONTRACT].into_iter().flatten().copied()
}
