//! What one run of the tests leaves behind, so that it can be searched for
//! secrets when all is over: databases, and logs at every level.
//!
//! `cargo xtask test` names the folder and does the search. Without one, nothing
//! is left behind.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{self, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

/// A secret of the tests: the search looks for how it begins.
#[must_use]
pub fn canary(name: &str) -> SecretString {
    SecretString::from(format!("plaintext-canary {name}"))
}

/// What a secret says, for a test that compares it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a test looks at what came out")]
pub fn text(secret: &SecretString) -> &str {
    secret.expose_secret()
}

/// Has the search look for a secret that the test did not choose.
pub fn note_secret(secret: &SecretString) {
    if let Some(run) = run() {
        append(&run.join("secrets.txt"), format!("{}\n", text(secret)).as_bytes());
    }
}

/// Keeps what a process printed for the search.
#[must_use]
pub fn keep(output: Output) -> Output {
    if let Some(run) = run() {
        append(&run.join("processes.log"), &output.stderr);
    }
    output
}

fn append(file: &Path, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.create(true).append(true).open(file).expect("the run's folder is there");
    file.write_all(bytes).expect("the run's folder can be written");
}

/// A folder of a test.
#[derive(Debug)]
pub enum Folder {
    /// It goes when the test ends.
    Passing(TempDir),
    /// It stays for the search.
    Kept(PathBuf),
}

impl Folder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Passing(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// A new folder for databases.
#[must_use]
pub fn folder() -> Folder {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(run) = run() else {
        return Folder::Passing(TempDir::new().expect("a temporary folder"));
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = run.join(format!("{}-{count}", process::id()));
    fs::create_dir(&path).expect("a folder of the run");
    Folder::Kept(path)
}

/// The run's folder; from the first time on, this process logs there.
fn run() -> Option<&'static Path> {
    static RUN: OnceLock<Option<PathBuf>> = OnceLock::new();
    let open = || {
        #[expect(clippy::disallowed_methods, reason = "xtask says so by the environment")]
        let run = PathBuf::from(env::var_os("VESTIBULE_TEST_RUN")?);
        let log = fs::File::create(run.join(format!("{}.log", process::id()))).ok()?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter("trace,cranelift=info,wasmtime=info,wasmtime_internal_cranelift=info")
            .with_ansi(false)
            .with_writer(log)
            .finish();
        tracing::subscriber::set_global_default(lines).expect("nobody was faster");
        tracing::info!("visible-canary");
        Some(run)
    };
    RUN.get_or_init(open).as_deref()
}

/// Runs all of these at once, and answers in their order.
pub async fn at_once<T: Send + 'static>(
    all: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    #[expect(clippy::disallowed_methods, reason = "a test wants them on several threads")]
    let tasks: Vec<_> = all.into_iter().map(tokio::spawn).collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(task.await.expect("the task does not panic"));
    }
    answers
}
