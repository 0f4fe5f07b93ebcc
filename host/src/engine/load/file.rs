//! A component file: read once, and told apart from what is taken for one.

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{LoadError, MAX_FILE_BYTES};
use crate::{engine::off_the_runtime, hex};

/// The largest signature that is read; minisign's have some 300 bytes.
const MAX_SIGNATURE_BYTES: u64 = 4096;

/// A component file, read once: what is digested and verified is what is compiled.
pub(crate) struct ComponentFile {
    /// Where it was.
    pub(crate) path: PathBuf,
    /// The component.
    pub(crate) bytes: Vec<u8>,
    /// Its SHA-256 in hexadecimal digits.
    pub(crate) digest: String,
    /// What the `.minisig` beside it says, where there is one.
    pub(crate) signature: Option<String>,
}

impl ComponentFile {
    /// Reads a component and its signature.
    pub(crate) async fn read(path: &Path) -> Result<Arc<Self>, LoadError> {
        let path = path.to_owned();
        off_the_runtime(move || {
            let bytes = read(&path)?;
            let digest = hex::encode(&Sha256::digest(&bytes));
            let signature = signature_beside(&path)?;
            Ok(Arc::new(Self { path, bytes, digest, signature }))
        })
        .await
    }

    /// Tells a component from what is taken for one.
    pub(super) fn check_kind(&self) -> Result<(), LoadError> {
        check_kind(&self.bytes)
    }
}

/// Where a component's signature is: `x.wasm.minisig` beside `x.wasm`.
pub(crate) fn signature_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".minisig");
    PathBuf::from(name)
}

fn signature_beside(path: &Path) -> Result<Option<String>, LoadError> {
    let file = match File::open(signature_path(path)) {
        Ok(file) => file,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(LoadError::Read(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_SIGNATURE_BYTES).read_to_end(&mut text).map_err(LoadError::Read)?;
    // What is no text is no signature either.
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// By what a change of a file shows without reading it.
pub(crate) type Stamp = [i64; 4];

/// A file as it is now.
pub(crate) fn stamp_of(path: &Path) -> Option<Stamp> {
    Some(stamp(&std::fs::metadata(path).ok()?))
}

fn stamp(metadata: &Metadata) -> Stamp {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    [number(metadata.ino()), number(metadata.len()), metadata.ctime(), metadata.ctime_nsec()]
}

/// The component files of a folder, in the order of their names.
pub(crate) fn components_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files =
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    Ok(files)
}

/// Reads a file once; what is digested is what is compiled.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => LoadError::NotFound(format!(
            "{}: there is no such file; put the component there, or name another with [auth] strategy",
            path.display()
        )),
        _ => LoadError::Read(error),
    };
    // Before it is opened: opening a pipe waits for whoever writes to it.
    let metadata = std::fs::metadata(path).map_err(missing)?;
    if !metadata.is_file() {
        return Err(LoadError::NotAFile);
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(metadata.len()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(missing)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(LoadError::Read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(bytes.len() as u64));
    }
    let now = std::fs::metadata(path).map_err(missing)?;
    if stamp(&now) != stamp(&metadata) {
        return Err(LoadError::Changing);
    }
    Ok(bytes)
}

/// Tells a component from what is taken for one, by its first bytes.
fn check_kind(bytes: &[u8]) -> Result<(), LoadError> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
    let what = if bytes.starts_with(COMPONENT) {
        return Ok(());
    } else if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        "precompiled machine code, which is never run; use the .wasm that it was made from"
    } else if bytes.starts_with(CORE_MODULE) {
        "a core module; make a component of it (`wasm-tools component new`, or build it with xtask)"
    } else if bytes.is_empty() {
        "empty; copy or build it again"
    } else if COMPONENT.starts_with(bytes) || bytes.starts_with(b"\0asm") {
        "not a component of a version that this engine knows; copy or build it again"
    } else if bytes.starts_with(b"(") {
        "WebAssembly text; translate it (`wasm-tools parse`)"
    } else {
        "not WebAssembly; name a component file"
    };
    Err(LoadError::NotAComponent(what))
}
