//! Secrets that can be found again wherever they should not be.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use memchr::memmem;
use secrecy::SecretString;

use crate::{engine::Show, hex};

/// The longest name of a secret.
const MAX_NAME: usize = 32;

/// Secrets of one examination. They all begin alike, so that one search finds them.
#[derive(Clone)]
pub(super) struct Canaries {
    prefix: Arc<str>,
    made: Arc<AtomicUsize>,
    /// Secrets that cannot begin so, such as signed tokens, with their names.
    others: Arc<Mutex<Vec<(&'static str, String)>>>,
    in_memory: Arc<Mutex<Vec<String>>>,
    memories: Arc<AtomicUsize>,
}

impl Canaries {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        Ok(Self {
            prefix: format!("canary{}", hex::encode(&random)).into(),
            made: Arc::default(),
            others: Arc::default(),
            in_memory: Arc::default(),
            memories: Arc::default(),
        })
    }

    /// A new secret; `what` is told where it is found.
    pub(super) fn make(&self, what: &str) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        format!("{}-{what}-{number}", self.prefix)
    }

    pub(super) fn secret(&self, what: &str) -> SecretString {
        self.make(what).into()
    }

    /// Has a secret looked for that another made.
    pub(super) fn note(&self, what: &'static str, text: &str) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push((what, text.to_owned()));
    }

    /// The names of the secrets that stand in these bytes.
    pub(super) fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let mut found: Vec<String> = memmem::find_iter(bytes, self.prefix.as_bytes())
            .map(|at| {
                let name = bytes[at + self.prefix.len()..].iter().skip(1).take(MAX_NAME);
                let name = name.take_while(|byte| byte.is_ascii_lowercase() || **byte == b' ');
                name.map(|byte| char::from(*byte)).collect()
            })
            .collect();
        for (what, text) in &*self.others.lock().unwrap_or_else(PoisonError::into_inner) {
            if memmem::find(bytes, text.as_bytes()).is_some() {
                found.push((*what).to_owned());
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// Looks through each memory that it is shown.
    pub(super) fn search(&self) -> Show {
        let this = self.clone();
        Arc::new(move |memory| {
            this.memories.fetch_add(1, Ordering::Relaxed);
            let mut found = this.found_in(memory);
            this.in_memory.lock().unwrap_or_else(PoisonError::into_inner).append(&mut found);
        })
    }

    /// How many memories were looked through, and the names of what was found there.
    pub(super) fn in_memory(&self) -> (usize, Vec<String>) {
        let mut found = self.in_memory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        found.sort();
        found.dedup();
        (self.memories.load(Ordering::Relaxed), found)
    }
}

/// Where a process logs, for the kit to look through.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_its_name() {
        let canaries = Canaries::new().unwrap();
        let bytes = format!("\0{}\0{}\0", canaries.make("refresh token"), canaries.make("code"));
        assert_eq!(canaries.found_in(bytes.as_bytes()), ["code", "refresh token"]);
        canaries.note("id token", "a.b.c");
        assert_eq!(canaries.found_in(b"xa.b.cx"), ["id token"]);
        assert_eq!(canaries.found_in(b"canary"), [""; 0]);
    }
}
