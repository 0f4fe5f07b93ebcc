//! A lease in a component's hands, and what becomes of it when they let go.

use super::violation;
use crate::store::{StoreError, TokenLease, TokenPair};

/// The sole right to change one token.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings name it as public")]
pub struct Lease {
    name: String,
    /// `None` once the call is over.
    held: Option<TokenLease>,
    /// A pair whose storing has begun, and was not acknowledged.
    unsaved: Option<TokenPair>,
}

impl Lease {
    pub(super) fn new(held: TokenLease, name: String) -> Self {
        Self { name, held: Some(held), unsaved: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn held(&mut self) -> wasmtime::Result<&mut TokenLease> {
        self.held.as_mut().ok_or_else(|| violation("the lease is over"))
    }

    /// Stores a pair. Should the call end before the database has answered, the
    /// pair is stored once more: what it replaces may be used up already.
    pub(super) async fn save(
        &mut self,
        pair: TokenPair,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        let pair = self.unsaved.insert(pair);
        let held = self.held.as_mut().ok_or_else(|| violation("the lease is over"))?;
        let saved = held.save(pair).await;
        if matches!(saved, Ok(()) | Err(StoreError::LeaseLost)) {
            self.unsaved = None;
        }
        Ok(saved)
    }

    /// Stores what a failure or the end of the call has kept from being stored.
    pub(super) async fn store_unsaved(&mut self) {
        let (Some(held), Some(pair)) = (&mut self.held, &self.unsaved) else { return };
        match held.save(pair).await {
            Ok(()) => self.unsaved = None,
            Err(error) => tracing::error!(%error, "a renewed token could not be stored"),
        }
    }

    /// Gives the lease back. Where that fails, it ends by itself.
    pub(super) async fn give_back(self) {
        let Some(held) = self.held else { return };
        if let Err(error) = held.release().await {
            tracing::warn!(%error, "a lease could not be given back");
        }
    }

    /// Takes the lease from a call that is over.
    pub(crate) fn take(&mut self) -> Option<Self> {
        let name = std::mem::take(&mut self.name);
        let (held, unsaved) = (Some(self.held.take()?), self.unsaved.take());
        Some(Self { name, held, unsaved })
    }

    /// Does what the call has left undone.
    pub(crate) async fn settle(mut self) {
        self.store_unsaved().await;
        self.give_back().await;
    }
}
