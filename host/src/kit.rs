//! The conformance kit: tries a component as no deployment would, and says how it fares.
//!
//! A component goes through the load pipeline and is called as the host calls it, in
//! front of a peer on loopback that stands for every identity provider and Git host:
//! first a good one, then one that answers everything wrong, then one that hardly
//! answers. All of it happens twice: as in earnest, and once more with every memory
//! looked through for secrets. Nothing leaves this machine.

mod body;
mod bounds;
mod canary;
mod desk;
mod given;
mod log_in;
mod mood;
mod peer;
mod report;
mod round;
mod tally;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use self::{
    canary::Canaries,
    mood::{KINDS, Mood, SLOW, Start},
    peer::Peer,
    round::{Known, Round},
    tally::Tally,
};
pub use self::{
    canary::Log,
    given::Given,
    report::{Check, Outcome, Report},
};
use crate::{
    clock::Clock,
    config::{Config, Environment},
    engine::{Description, Engine, EngineOptions, Hooks, LoadError, Strategy},
    store::Store,
};

/// When it takes place: seconds since the Unix epoch.
const NOW: u64 = 1_800_000_000;

/// How long after each other strategies forget what they have been told.
const LATER: u64 = 2 * 24 * 3600;

/// The limit on a call, so that a slow peer is soon over.
const WALL: Duration = Duration::from_secs(2);

/// The component cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// It does not load.
    #[error("{}", .source.at(.path))]
    Load {
        /// The component file.
        path: PathBuf,
        /// At which step and why.
        source: LoadError,
    },
    /// It says one thing of itself and then another.
    #[error("{}: it describes itself in two ways; `describe` may depend on nothing", .path.display())]
    Unsteady {
        /// The component file.
        path: PathBuf,
    },
    /// What it is to be given cannot be read.
    #[error("{0}")]
    Given(String),
    /// The kit itself cannot be set up.
    #[error("the kit cannot be set up: {0}")]
    Setup(String),
}

fn setup(error: impl std::fmt::Display) -> KitError {
    KitError::Setup(error.to_string())
}

/// Tries a component with these settings; `log` is where this process logs.
pub async fn examine(file: &Path, given: &Given, log: &Log) -> Result<Report, KitError> {
    let canaries = Canaries::new().map_err(setup)?;
    let mut tally = Tally::default();
    let in_earnest = Pass::begin(file, given, &canaries, Hooks::default(), 1).await?;
    in_earnest.run(&mut tally, true).await?;
    // Its calls are slower, because every memory can be looked at.
    let hooks = Hooks { memory: Some(canaries.search()), ..Hooks::default() };
    let looked_into = Pass::begin(file, given, &canaries, hooks, 20).await?;
    looked_into.run(&mut tally, false).await?;
    let strategy = looked_into.strategy.description();
    tally.judge_secrets(&canaries, log);
    Ok(tally.report(&strategy.name, &strategy.version, in_earnest.loaded_in))
}

/// One time through everything.
struct Pass {
    strategy: Strategy,
    store: Store,
    peer: Peer,
    clock: Clock,
    canaries: Canaries,
    loaded_in: Duration,
    _folder: given::Folder,
}

impl Pass {
    /// Loads the component with what it proposes granted, `times` its CPU time, and
    /// the peer in the place of the world.
    async fn begin(
        file: &Path,
        given: &Given,
        canaries: &Canaries,
        hooks: Hooks,
        times: u32,
    ) -> Result<Self, KitError> {
        let load = |source| KitError::Load { path: file.to_owned(), source };
        let clock = Clock::fixed(NOW);
        let peer = Peer::start(canaries.clone(), clock.clone()).await.map_err(setup)?;
        let hooks = Hooks { peer: Some(peer.address), ..hooks };
        let options = EngineOptions { shards: NonZeroUsize::MIN, ..EngineOptions::default() };
        let engine = Engine::hooked(options, hooks).map_err(setup)?;
        let folder = given::Folder::new().map_err(setup)?;
        let text = format!(
            "auth.strategy = {:?}\ndatabase.url = 'sqlite://{}/kit.db'\n",
            file.display().to_string(),
            folder.path().display()
        );
        let mut config = Config::parse(None, &text, Environment::fixed(&[])).map_err(setup)?;
        let described = engine.inspect(file).await.map_err(load)?.description;
        given.fill(&described, canaries, &mut config)?;
        config.auth.limits.cpu *= times;
        config.auth.limits.wall = WALL * times.min(5);
        peer.desk.vouch_for(&config.auth.grants.jose, &given.person);
        let started = Instant::now();
        let mut strategy = engine.load(file, &config, clock.clone()).await.map_err(load)?;
        let loaded_in = started.elapsed();
        let same = |one: &Description, other: &Description| {
            serde_json::to_value(one).ok() == serde_json::to_value(other).ok()
        };
        if !same(&described, strategy.description()) {
            return Err(KitError::Unsteady { path: file.to_owned() });
        }
        let store = Store::open(&config, clock.clone()).await.map_err(setup)?;
        strategy.keep_in(&store);
        let canaries = canaries.clone();
        Ok(Self { strategy, store, peer, clock, canaries, loaded_in, _folder: folder })
    }

    async fn run(&self, tally: &mut Tally, with_slow: bool) -> Result<(), KitError> {
        let round = |mood| Round::new(self, mood);
        let known = round(Mood::Good).play(tally, &Known::default()).await;
        bounds::credentials(self, tally, &known).await;
        // What is known already is not asked for again.
        for (kind, start) in KINDS.iter().flat_map(|kind| Start::ALL.map(|start| (*kind, start))) {
            round(Mood::Hostile(kind, start)).play(tally, &known).await;
        }
        // It has to ask for everything.
        for kind in KINDS {
            self.clock.advance(LATER);
            round(Mood::Hostile(kind, Start::AtOnce)).play(tally, &known).await;
        }
        if with_slow {
            for kind in SLOW {
                self.clock.advance(LATER);
                round(Mood::Slow(kind)).play(tally, &known).await;
            }
        }
        Ok(())
    }
}
