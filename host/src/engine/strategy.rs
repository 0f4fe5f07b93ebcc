//! One generation of a strategy: a component with its grants, settings and
//! limits, ready to be called.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument as _;
use wasmtime::{
    Store,
    component::{ComponentExportIndex, InstancePre, ResourceTable},
};

use super::{
    call::{self, Answer, Call, CallError, new_store},
    description::Description,
    limits::{Limits, metered},
    load::{Examined, LoadError},
    output,
    place::{Place, Shares},
    quarantine::{Quarantine, Source},
    suspicion::Suspicion,
};
use crate::{
    bindings,
    capability::{Context, Granted, Probe, Reach, Show},
    config::{Config, Grants},
    identity::{Credential, Identity, Request, RequestId, Scheme, UserId},
    metrics::{Failure, Metrics, part_of_this_thread},
    store,
};

/// A strategy on one shard.
pub(super) struct Lane {
    pub(super) engine: wasmtime::Engine,
    pub(super) pre: bindings::StrategyPre<Call>,
    /// Where the component exports `authenticate`.
    pub(super) authenticate: ComponentExportIndex,
    /// The component for calls that cannot wait.
    pub(super) direct: InstancePre<Call>,
    /// It imports something asynchronous, and may so have to run on a fiber.
    pub(super) waits: bool,
    pub(super) granted: Arc<Granted>,
    pub(super) permits: Semaphore,
}

/// A strategy, ready to be called.
pub struct Strategy {
    pub(super) description: Description,
    pub(super) digest: String,
    pub(super) limits: Limits,
    pub(super) lanes: Box<[Lane]>,
    /// The configuration that it was loaded with: the two change together.
    pub(super) config: Arc<Config>,
    /// What it was made of, to be made anew with another configuration.
    pub(super) examined: Arc<Examined>,
    /// What it is granted.
    pub(super) grants: Grants,
    pub(super) quarantine: Quarantine,
    pub(super) shares: Shares,
    pub(super) suspicion: Suspicion,
    /// Calls that could not wait have wanted to: those by bearer tokens are the second.
    pub(super) waiting: [Suspicion; 2],
    /// Places for log-ins among all calls.
    pub(super) log_ins: Semaphore,
    /// Origins that browsers may be sent to.
    pub(super) destinations: Vec<url::Origin>,
    /// Names under which tokens may be stored.
    pub(super) token_names: Vec<String>,
    pub(super) metrics: Arc<Metrics>,
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strategy")
            .field("name", &self.description.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Strategy {
    /// What the strategy says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The SHA-256 of the component file, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How each origin that it may reach answers.
    pub(crate) async fn probe(&self) -> Vec<(String, Result<Probe, String>)> {
        match self.lanes.first().and_then(|lane| lane.granted.http.as_ref()) {
            Some(client) => client.probe_all().await,
            None => Vec::new(),
        }
    }

    /// What it is made of.
    pub(crate) fn examined(&self) -> &Arc<Examined> {
        &self.examined
    }

    /// The configuration that it was loaded with.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What it is granted.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Whether it broke for many, and is out of service.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.quarantine.is_closed()
    }

    /// Has it decide a request that presents nothing, before anybody's request is.
    /// Whatever it decides is well, as long as it decides.
    pub(crate) async fn try_out(&self) -> Result<(), LoadError> {
        let request = Request {
            method: "GET",
            scheme: Scheme::Http,
            host: "localhost",
            path: "/",
            query: None,
            client_address: None,
            credential: Credential::Absent,
            headers: vec![None; self.description.headers.len()],
            id: RequestId::new(0),
        };
        self.authenticate(request).await.map(drop).map_err(LoadError::Canary)
    }

    /// Whether it may store tokens under this name.
    pub(crate) fn may_store(&self, name: &str) -> bool {
        self.token_names.iter().any(|granted| granted == name)
    }

    /// How many calls run now, and how many can.
    pub(crate) fn places(&self) -> (usize, usize) {
        let free: usize = self.lanes.iter().map(|lane| lane.permits.available_permits()).sum();
        let all = self.limits.concurrency.get();
        (all.saturating_sub(free), all)
    }

    /// How long a call may take.
    pub(crate) fn wall(&self) -> Duration {
        self.limits.wall
    }

    /// Gives its calls a database. Those before had none, so that a component
    /// that cannot serve is refused before a database is made.
    pub(crate) fn keep_in(&mut self, store: &store::Store) {
        for lane in &mut self.lanes {
            Arc::make_mut(&mut lane.granted).store = Some(store.clone());
        }
    }

    /// Establishes a user's identity with no request at hand.
    pub async fn restore(
        &self,
        user: Option<&UserId>,
        last_known: Option<&Identity>,
        request: RequestId,
    ) -> Answer<Identity> {
        let reach = Reach::of(user);
        let user = user.map(UserId::as_str);
        let lists = last_known.map(output::Lists::of);
        let last_known = last_known
            .zip(lists.as_ref())
            .map(|(identity, lists)| output::lower_identity(identity, lists));
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            instance.vestibule_auth_user_auth().call_restore(store, user, last_known).await
        };
        self.call(request, reach, asked, |_, answer| {
            Ok(match answer {
                Ok(identity) => Ok(output::identity(identity, self.description.local_owner)?),
                Err(error) => Err(output::refusal(error)),
            })
        })
        .await
    }

    /// Checks the operator's settings; the text of a refusal is for the operator.
    pub(super) async fn check_settings(&self) -> Result<Result<(), String>, CallError> {
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            instance.vestibule_auth_plugin().call_check_settings(store).await
        };
        self.call(RequestId::new(0), Reach::Nobody, asked, |_, answer| Ok(answer)).await
    }

    /// Instantiates the component once on every shard.
    pub(super) async fn trial(&self) -> Result<(), CallError> {
        for lane in &self.lanes {
            let mut store = self.store(lane, RequestId::new(0), Reach::Nobody);
            self.within_wall(&mut store, async |store| {
                lane.pre.instantiate_async(store).await.map(drop)
            })
            .await?;
        }
        Ok(())
    }

    /// A place to run a call, on this thread's shard where one is free there.
    pub(super) fn enter(
        &self,
        source: impl Fn() -> Source,
    ) -> Result<(&Lane, Place<'_>), CallError> {
        if self.quarantine.is_closed() {
            self.metrics.failed(Failure::Quarantined);
            return Err(CallError::Quarantined);
        }
        let saturated = || self.saturated(self.limits.concurrency.get());
        let held = self.shares.take(&source).map_err(|()| saturated())?;
        let mine = part_of_this_thread(self.lanes.len());
        let (before, after) = self.lanes.split_at(mine);
        let found = after
            .iter()
            .chain(before)
            .find_map(|lane| Some((lane, lane.permits.try_acquire().ok()?)));
        let Some((lane, permit)) = found else {
            self.shares.refused(source());
            return Err(saturated());
        };
        Ok((lane, Place::new(permit, held)))
    }

    /// A place for a log-in. Strangers begin and end them, and have them wait for
    /// an identity provider: the other half of the places is for who is in.
    pub(super) fn enter_to_log_in(&self) -> Result<SemaphorePermit<'_>, CallError> {
        let places = Self::log_ins(&self.limits);
        self.log_ins.try_acquire().map_err(|_| self.saturated(places))
    }

    fn saturated(&self, places: usize) -> CallError {
        self.metrics.failed(Failure::Saturated);
        CallError::Saturated(places)
    }

    pub(super) fn log_ins(limits: &Limits) -> usize {
        limits.concurrency.get().div_ceil(2)
    }

    /// The only place that makes a store for a call.
    pub(super) fn store(&self, lane: &Lane, request: RequestId, reach: Reach) -> Store<Call> {
        let context = Context::new(Arc::clone(&lane.granted), request, reach);
        new_store(&lane.engine, &self.limits, context)
    }

    /// One call on a fiber: its own store and instance, and a place among the calls.
    /// `read` takes what the component answered out of the store.
    pub(super) async fn call<A, T>(
        &self,
        request: RequestId,
        reach: Reach,
        call: impl AsyncFnOnce(&mut Store<Call>, bindings::Strategy) -> wasmtime::Result<A>,
        read: impl FnOnce(&mut ResourceTable, A) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let source = Source::of_user(match &reach {
            Reach::User(user) => Some(user),
            Reach::Anyone | Reach::Nobody => None,
        });
        let (lane, place) = self.enter(|| source)?;
        let started = Instant::now();
        let mut store = self.store(lane, request, reach);
        let span = self.span("call");
        let answer = self
            .within_wall(&mut store, async |store| {
                let instance = lane.pre.instantiate_async(&mut *store).await?;
                call(store, instance).await
            })
            .instrument(span.clone())
            .await;
        let read = answer.and_then(|answer| read(&mut store.data_mut().context.table, answer));
        self.count(started, &store, &read);
        if let Err(error) = &read {
            span.record("outcome", error.kind().text());
        }
        leave(store, place);
        self.quarantine.ended(&read, || source);
        read
    }

    /// Runs a call on a fiber, for as long as it may take.
    pub(super) async fn within_wall<T>(
        &self,
        store: &mut Store<Call>,
        call: impl AsyncFnOnce(&mut Store<Call>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        store.epoch_deadline_callback(call::give_way);
        store.data_mut().context.ends_at = Instant::now().checked_add(self.limits.wall);
        match tokio::time::timeout(self.limits.wall, metered(call(store))).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.classify(store, &error)),
            Err(_) => Err(CallError::WallBudget(self.limits.wall)),
        }
    }

    /// Counts a call that is over.
    pub(super) fn count<T>(
        &self,
        started: Instant,
        store: &Store<Call>,
        answer: &Result<T, CallError>,
    ) {
        let waited = store.data().context.waited;
        self.metrics.ran(started.elapsed().saturating_sub(waited));
        if let Err(error) = answer {
            self.metrics.failed(error.kind());
            if !matches!(error, CallError::Saturated(_) | CallError::Quarantined) {
                let Context { granted, request, .. } = &store.data().context;
                granted.broke(*request, error.kind(), error.to_string());
            }
        }
    }

    pub(super) fn classify(&self, store: &Store<Call>, error: &wasmtime::Error) -> CallError {
        call::classify(&self.limits, store.data(), error)
    }
}

/// Ends a call: what it left in memory goes before its place is free again.
pub(super) fn leave(store: Store<Call>, place: Place<'_>) {
    end(store);
    drop(place);
}

/// Ends a call that keeps its place for another try.
pub(super) fn end(mut store: Store<Call>) {
    if let Some(show) = store.data().context.granted.hooks.memory.clone() {
        show_memories(&mut store, &show);
    }
    let context = &store.data().context;
    if context.log.dropped > 0 {
        context.granted.metrics.dropped_lines(context.log.dropped.into());
        tracing::warn!(
            strategy.name = context.granted.strategy,
            request.id = %context.request,
            lines = context.log.dropped,
            "the strategy wrote more than its share of the log, lines were dropped"
        );
    }
}

fn show_memories(store: &mut Store<Call>, show: &Show) {
    for instance in store.debug_all_instances() {
        let memories = (0..).map_while(|index| instance.debug_memory(&mut *store, index));
        for memory in memories.collect::<Vec<_>>() {
            show(memory.data(&*store));
        }
    }
}
