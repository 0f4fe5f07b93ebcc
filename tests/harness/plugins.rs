//! A plugins folder, and a Vestibule that serves from it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vestibule::{engine::Hooks, host::StartError};

use crate::{TestApp, component, database::Database};

/// A plugins folder with one strategy in it, and a database.
pub struct Plugins {
    /// The database.
    pub database: Database,
    name: String,
}

impl Plugins {
    /// A folder with a component that `cargo xtask plugins` has built.
    #[must_use]
    pub fn with(name: &str) -> Self {
        let plugins = Self { database: Database::sqlite(), name: name.to_owned() };
        fs::create_dir(plugins.dir()).expect("a folder");
        plugins.put(&bytes_of(name));
        plugins
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.database.folder.path().join("plugins")
    }

    /// The component's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir().join(format!("{}.wasm", self.name))
    }

    /// Puts a component in the place of the one that is there, whole; answers its digest.
    #[expect(clippy::must_use_candidate, reason = "most tests know it, or do not care")]
    pub fn put(&self, bytes: &[u8]) -> String {
        let whole = self.dir().join("whole");
        fs::write(&whole, bytes).expect("the folder can be written");
        fs::rename(whole, self.file()).expect("it can be moved");
        digest(bytes)
    }

    /// The lock as it is.
    #[must_use]
    pub fn lock(&self) -> String {
        fs::read_to_string(self.dir().join("plugins.lock")).unwrap_or_default()
    }

    /// Somebody removes the lock.
    pub fn take_lock_away(&self) {
        let _ = fs::remove_file(self.dir().join("plugins.lock"));
    }

    /// The configuration, with `toml` after the usual lines.
    #[must_use]
    pub fn toml(&self, toml: &str) -> String {
        let (url, dir) = (&self.database.url, self.dir());
        let name = &self.name;
        format!(
            "rate_limits.user_second = 0\nrate_limits.user_minute = 0\n\
             database.url = '{url}'\nauth.strategy = '{name}'\nplugins.dir = '{}'\n{toml}",
            dir.display()
        )
    }

    /// Starts Vestibule on it.
    pub async fn start(&self, toml: &str) -> TestApp {
        self.try_start(toml).await.expect("the app starts")
    }

    /// Starts Vestibule on it, or says why it does not start.
    pub async fn try_start(&self, toml: &str) -> Result<TestApp, StartError> {
        TestApp::start_text(&self.database, &self.toml(toml), &[], Hooks::default()).await
    }
}

/// The bytes of a component that `cargo xtask plugins` has built.
#[must_use]
pub fn bytes_of(name: &str) -> Vec<u8> {
    fs::read(component(name)).expect("the component can be read")
}

/// The SHA-256 of a component.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let number = Sha256::digest(bytes);
    number.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

/// What `/readyz` says to whoever asks on this machine.
pub async fn ready(app: &TestApp) -> Value {
    app.anonymous().at("127.0.0.1").get("/readyz?verbose").await.json()
}

/// Somebody who signs as minisign does, the older of its two ways.
pub struct Signer {
    key: Ed25519KeyPair,
    id: [u8; 8],
}

impl Signer {
    /// One of many.
    #[must_use]
    pub fn number(number: u8) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).expect("a key");
        Self { key, id: [number; 8] }
    }

    /// The public key, as operators write it down.
    #[must_use]
    pub fn public_key(&self) -> String {
        BASE64_STANDARD.encode([b"Ed", &self.id[..], self.key.public_key().as_ref()].concat())
    }

    /// Puts a signature of these bytes beside a file.
    pub fn sign(&self, bytes: &[u8], file: &Path) {
        let signature = self.key.sign(bytes);
        let comment = "timestamp:1\tfile:component";
        let global = self.key.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        let text = format!(
            "untrusted comment: of a test\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64_STANDARD.encode([b"Ed", &self.id[..], signature.as_ref()].concat()),
            BASE64_STANDARD.encode(global.as_ref()),
        );
        let beside = file.with_extension("wasm.minisig");
        fs::write(beside, text).expect("the folder can be written");
    }
}
