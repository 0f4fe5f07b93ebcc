//! Attacks the engine before it serves anybody: each limit has to bite.
//!
//! A limit that was set up and does not hold looks like one that does, until a
//! component runs away. So a small component that wants too much in every way is
//! run first, under small limits, as strategies are run.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tracing::{Dispatch, dispatcher};
use wasmtime::{
    Store,
    component::{Component, InstancePre, Linker},
};

use super::{
    Engine,
    call::{self, Call, CallError, classify, new_store},
    limits::{Limits, metered},
};
use crate::{
    capability::{self, Context, Granted, Reach},
    identity::RequestId,
};

/// `attacks.wat`, translated; a test holds the two together.
const COMPONENT: &[u8] = include_bytes!("self_attack/attacks.wasm");

/// A limit does not hold, so that nothing may be run under it.
#[derive(Debug, thiserror::Error)]
pub enum SelfAttackError {
    /// An attack was not stopped, or not by the limit that is meant for it.
    #[error(
        "the limit on {limit} does not hold: the attack `{attack}` ended with {ended}; nothing is \
         served by an engine that a component could break: use a release build on a system that \
         it is made for"
    )]
    Survived {
        /// What is limited.
        limit: &'static str,
        /// The attack on it.
        attack: &'static str,
        /// How it ended.
        ended: String,
    },
    /// The attacks cannot be carried out.
    #[error("the engine cannot be tried out: {0:#}")]
    Engine(#[source] wasmtime::Error),
}

/// How a call is run.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Without a fiber, as most requests are.
    Direct,
    /// On a fiber, as what may have to wait.
    Fiber,
}

/// How an attack ended.
#[derive(Debug)]
struct Ended {
    answer: Result<(), CallError>,
    /// Lines of the log that did not fit.
    dropped: u32,
}

/// One attack.
#[derive(Clone, Copy)]
struct Attack {
    limit: &'static str,
    export: &'static str,
    way: Way,
    limits: Limits,
    /// Whether it ended as it has to.
    is_stopped: fn(&Ended) -> bool,
}

/// Small, so that attacks are soon over.
const LIMITS: Limits = Limits {
    memory: 1 << 20,
    cpu: Duration::from_millis(1),
    wall: Duration::from_secs(10),
    concurrency: NonZeroUsize::MIN,
};

/// For attacks on something else than time.
const PATIENT: Limits = Limits { cpu: Duration::from_secs(5), ..LIMITS };

fn trapped(ended: &Ended) -> bool {
    matches!(ended.answer, Err(CallError::Trap(_)))
}

fn out_of_memory(ended: &Ended) -> bool {
    matches!(ended.answer, Err(CallError::Memory(_)))
}

fn out_of_time(ended: &Ended) -> bool {
    matches!(ended.answer, Err(CallError::CpuBudget(_)))
}

const ATTACKS: [Attack; 11] = [
    Attack {
        limit: "CPU time, called directly",
        export: "spin",
        way: Way::Direct,
        limits: LIMITS,
        is_stopped: out_of_time,
    },
    Attack {
        limit: "CPU time, on a fiber",
        export: "spin",
        way: Way::Fiber,
        limits: LIMITS,
        is_stopped: out_of_time,
    },
    Attack {
        limit: "the time of a call",
        export: "spin",
        way: Way::Fiber,
        limits: Limits { wall: Duration::from_millis(1), ..PATIENT },
        is_stopped: |ended| matches!(ended.answer, Err(CallError::WallBudget(_))),
    },
    Attack {
        limit: "the stack",
        export: "recurse",
        way: Way::Direct,
        limits: PATIENT,
        is_stopped: trapped,
    },
    Attack {
        limit: "what goes on after a trap",
        export: "trap",
        way: Way::Direct,
        limits: PATIENT,
        is_stopped: trapped,
    },
    Attack {
        limit: "memory",
        export: "grow-memory",
        way: Way::Direct,
        limits: PATIENT,
        is_stopped: out_of_memory,
    },
    Attack {
        limit: "tables",
        export: "grow-table",
        way: Way::Direct,
        limits: PATIENT,
        is_stopped: out_of_memory,
    },
    Attack {
        limit: "the size of an answer",
        export: "answer-much",
        way: Way::Direct,
        limits: Limits { memory: 8 << 20, ..PATIENT },
        is_stopped: |ended| matches!(ended.answer, Err(CallError::MalformedOutput(_))),
    },
    Attack {
        limit: "handles that were never given",
        export: "forge-handle",
        way: Way::Direct,
        limits: PATIENT,
        is_stopped: |ended| {
            matches!(ended.answer, Err(CallError::Trap(_) | CallError::MalformedOutput(_)))
        },
    },
    Attack {
        limit: "the number of handles",
        export: "hoard-handles",
        way: Way::Direct,
        limits: PATIENT,
        is_stopped: trapped,
    },
    Attack {
        limit: "log lines",
        export: "flood-log",
        way: Way::Direct,
        limits: PATIENT,
        is_stopped: |ended| ended.answer.is_ok() && ended.dropped > 900,
    },
];

impl Engine {
    /// Has every limit attacked, and answers how long that took.
    pub(crate) async fn attack_itself(&self) -> Result<Duration, SelfAttackError> {
        let started = Instant::now();
        let arena = Arena::new(self).map_err(SelfAttackError::Engine)?;
        for attack in &ATTACKS {
            arena.withstands(attack).await?;
        }
        let took = started.elapsed();
        tracing::info!(
            limits = ATTACKS.len(),
            took_ms = took.as_millis(),
            "every limit was attacked and held"
        );
        Ok(took)
    }
}

/// Where the attacks take place: the first shard, because all are set up alike.
struct Arena {
    component: InstancePre<Call>,
    granted: Arc<Granted>,
}

impl Arena {
    fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let shard = &engine.shards[0];
        let component = Component::from_binary(shard, COMPONENT)?;
        let mut linker = Linker::<Call>::new(shard);
        capability::link(&mut linker, |_| false, |call| &mut call.context)?;
        // The one secret that `hoard-handles` asks for.
        let hoarded = Some(Arc::new(SecretString::from("hoarded")));
        let granted = Granted {
            secrets: BTreeMap::from([("a".to_owned(), hoarded)]),
            ..Granted::nothing("(self-attack)", engine.fingerprints.clone())
        };
        let component = linker.instantiate_pre(&component)?;
        Ok(Self { component, granted: Arc::new(granted) })
    }

    async fn withstands(&self, attack: &Attack) -> Result<(), SelfAttackError> {
        let ended = self.attacked(attack).await;
        if (attack.is_stopped)(&ended) {
            return Ok(());
        }
        let ended = match ended.answer {
            Ok(()) => "an answer".to_owned(),
            Err(error) => format!("\u{201c}{error}\u{201d}"),
        };
        Err(SelfAttackError::Survived { limit: attack.limit, attack: attack.export, ended })
    }

    async fn attacked(&self, attack: &Attack) -> Ended {
        let context = Context::new(Arc::clone(&self.granted), RequestId::new(0), Reach::Nobody);
        let mut store = new_store(self.component.engine(), &attack.limits, context);
        let answer = match attack.way {
            Way::Direct => {
                store.epoch_deadline_callback(call::go_on);
                // A flood is counted all the same, and nobody has to read it.
                dispatcher::with_default(&Dispatch::none(), || self.call(&mut store, attack))
            }
            Way::Fiber => {
                store.epoch_deadline_callback(call::give_way);
                let call = metered(self.call_on_a_fiber(&mut store, attack));
                match tokio::time::timeout(attack.limits.wall, call).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        let answer = Err(CallError::WallBudget(attack.limits.wall));
                        return Ended { answer, dropped: 0 };
                    }
                }
            }
        };
        let answer = answer.map_err(|error| classify(&attack.limits, store.data(), &error));
        Ended { answer, dropped: store.data().context.log.dropped }
    }

    fn call(&self, store: &mut Store<Call>, attack: &Attack) -> wasmtime::Result<()> {
        let instance = self.component.instantiate(&mut *store)?;
        let export = instance.get_typed_func::<(), (Vec<u8>,)>(&mut *store, attack.export)?;
        export.call(store, ()).map(drop)
    }

    async fn call_on_a_fiber(
        &self,
        store: &mut Store<Call>,
        attack: &Attack,
    ) -> wasmtime::Result<()> {
        let instance = self.component.instantiate_async(&mut *store).await?;
        let export = instance.get_typed_func::<(), (Vec<u8>,)>(&mut *store, attack.export)?;
        export.call_async(store, ()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOptions;

    fn arena() -> Arena {
        let one = NonZeroUsize::MIN;
        let engine = Engine::new(EngineOptions { shards: one, concurrency: one }).unwrap();
        Arena::new(&engine).unwrap()
    }

    #[tokio::test]
    async fn every_attack_is_stopped() {
        let arena = arena();
        for attack in &ATTACKS {
            let ended = arena.attacked(attack).await;
            assert!((attack.is_stopped)(&ended), "{}: {ended:?}", attack.limit);
        }
    }

    #[tokio::test]
    async fn each_limit_that_stops_nothing_is_named() {
        let arena = arena();
        for attack in ATTACKS {
            let let_through = Attack { export: "calm", ..attack };
            let error = arena.withstands(&let_through).await.expect_err(attack.limit).to_string();
            assert!(error.starts_with(&format!("the limit on {} does not hold", attack.limit)));
        }
    }

    #[tokio::test]
    async fn a_limit_that_is_too_wide_for_its_attack_is_found() {
        let arena = arena();
        let wide = Limits { memory: 64 << 20, wall: Duration::from_mins(1), ..PATIENT };
        for attack in
            ATTACKS.into_iter().filter(|attack| ["spin", "grow-memory"].contains(&attack.export))
        {
            let error = arena.withstands(&Attack { limits: wide, ..attack }).await;
            assert!(matches!(error, Err(SelfAttackError::Survived { .. })), "{}", attack.limit);
        }
    }
}
