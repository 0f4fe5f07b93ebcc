//! Looks through what a component has in its memory when a call is over.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use memchr::memmem;
use secrecy::SecretString;
use vestibule::engine::Hooks;

use crate::run;

/// A search of every memory of every call for what must not be there.
#[derive(Clone, Default)]
pub struct Search {
    sought: Arc<Mutex<Vec<SecretString>>>,
    found: Arc<Mutex<Vec<String>>>,
    memories: Arc<AtomicUsize>,
}

impl Search {
    /// Looks for a secret from now on.
    #[must_use]
    pub fn looking_for(self, secrets: &[&SecretString]) -> Self {
        let owned = secrets.iter().map(|secret| (*secret).clone());
        self.sought.lock().unwrap_or_else(PoisonError::into_inner).extend(owned);
        self
    }

    /// The hooks that carry the search out.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        let this = self.clone();
        Hooks { memory: Some(Arc::new(move |memory| this.look(memory))), ..Hooks::default() }
    }

    fn look(&self, memory: &[u8]) {
        self.memories.fetch_add(1, Ordering::Relaxed);
        for secret in &*self.sought.lock().unwrap_or_else(PoisonError::into_inner) {
            let text = run::text(secret);
            if memmem::find(memory, text.as_bytes()).is_some() {
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found.push(text.to_owned());
            }
        }
    }

    /// Which of the secrets were found. Without a memory to search this is no
    /// answer, and so a panic.
    #[must_use]
    pub fn found(&self) -> Vec<String> {
        assert!(self.memories.load(Ordering::Relaxed) > 0, "no memory was searched");
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
