//! Which generation of the strategy is serving, and which one did before.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::{ArcSwap, Guard};
use serde::Serialize;

use super::strategy::Strategy;
use crate::config::Config;

/// What ends a quarantine. Time does not: what breaks for many would break for them again.
pub(crate) const WAY_OUT: &str = "put another component in its place, approve this one again \
                                  with `vestibule plugin approve`, or have the configuration \
                                  read again (SIGHUP)";

/// The generation that serves now. Publishing another is one atomic swap; calls
/// that are running finish on the generation they began with.
pub struct Registry {
    current: ArcSwap<Strategy>,
    behind: Mutex<Behind>,
}

/// What stands behind the generation that serves.
#[derive(Default)]
struct Behind {
    /// The last good generation, ready to be called.
    previous: Option<Arc<Strategy>>,
    /// The generation that was taken out of service last.
    quarantined: Option<Quarantined>,
}

/// A generation that broke for too many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The strategy's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the component.
    pub digest: String,
    /// What serves in its place; `None` is nothing, and nobody gets in.
    pub in_its_place: Option<String>,
}

impl Registry {
    /// A registry that serves this generation.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Self { current: ArcSwap::from_pointee(strategy), behind: Mutex::default() }
    }

    /// The generation that serves now.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Strategy>> {
        let current = self.current.load();
        if current.quarantine.is_closed() {
            return self.fall_back(current);
        }
        current
    }

    /// The configuration of the generation that serves now.
    pub(crate) fn config(&self) -> CurrentConfig {
        CurrentConfig(self.current())
    }

    /// The last good generation, where there is one.
    pub(crate) fn previous(&self) -> Option<Arc<Strategy>> {
        self.behind().previous.clone()
    }

    /// The generation that was taken out of service, until another takes its place.
    #[must_use]
    pub fn quarantined(&self) -> Option<Quarantined> {
        self.behind().quarantined.clone()
    }

    /// Serves another generation from now on, and keeps `previous` ready behind it.
    pub(crate) fn publish(&self, strategy: Strategy, previous: Option<Arc<Strategy>>) {
        let mut behind = self.behind();
        let new = Arc::new(strategy);
        let old = self.current.swap(Arc::clone(&new));
        *behind = Behind { previous, quarantined: None };
        tracing::info!(
            strategy.name = new.description().name,
            strategy.version = new.description().version,
            plugin.digest = new.digest(),
            plugin.replaced = old.digest(),
            "another generation of the strategy is serving"
        );
    }

    /// Puts the last good generation in the place of the one that is quarantined.
    #[cold]
    fn fall_back(&self, broken: Guard<Arc<Strategy>>) -> Guard<Arc<Strategy>> {
        let mut behind = self.behind();
        // Somebody else was faster.
        if !Arc::ptr_eq(&self.current.load(), &broken) {
            return self.current.load();
        }
        let told = behind.quarantined.as_ref().is_some_and(|known| known.digest == broken.digest());
        let good = behind.previous.take().filter(|previous| !previous.quarantine.is_closed());
        if !told || good.is_some() {
            let in_its_place = good.as_ref().map(|good| good.digest().to_owned());
            let description = broken.description();
            tracing::error!(
                strategy.name = description.name,
                strategy.version = description.version,
                plugin.digest = broken.digest(),
                plugin.in_its_place = in_its_place.as_deref().unwrap_or("nothing"),
                "the strategy breaks for many, and is out of service; {WAY_OUT}"
            );
            behind.quarantined = Some(Quarantined {
                name: description.name.clone(),
                version: description.version.clone(),
                digest: broken.digest().to_owned(),
                in_its_place,
            });
        }
        match good {
            Some(good) => {
                self.current.store(good);
                self.current.load()
            }
            None => broken,
        }
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The configuration of the generation that serves, as it was when it was asked for.
pub struct CurrentConfig(Guard<Arc<Strategy>>);

impl Deref for CurrentConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0.config
    }
}
