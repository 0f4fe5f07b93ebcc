//! A component file: read once, and told apart from what is taken for one.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{LoadError, MAX_FILE_BYTES};

/// The component files of a folder, in the order of their names.
pub(crate) fn components_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files =
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    Ok(files)
}

/// Reads a file once; what is digested is what is compiled.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
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
    Ok(bytes)
}

/// Tells a component from what is taken for one, by its first bytes.
pub(super) fn check_kind(bytes: &[u8]) -> Result<(), LoadError> {
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
