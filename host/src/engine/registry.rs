//! Which generation of the strategy is serving.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::strategy::Strategy;

/// The generation that serves now. Publishing another is one atomic swap; calls
/// that are running finish on the generation they began with.
pub struct Registry {
    current: ArcSwap<Strategy>,
}

impl Registry {
    /// A registry that serves this generation.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Self { current: ArcSwap::from_pointee(strategy) }
    }

    /// The generation that serves now.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Strategy>> {
        self.current.load()
    }

    /// Serves another generation from now on.
    pub fn publish(&self, strategy: Strategy) {
        let old = self.current.swap(Arc::new(strategy));
        let new = self.current.load();
        tracing::info!(
            strategy.name = new.description().name,
            strategy.version = new.description().version,
            plugin.digest = new.digest(),
            plugin.replaced = old.digest(),
            "another generation of the strategy is serving"
        );
    }
}
