//! What a component may ask for: one file per imported interface, under the
//! interface's own name.
//!
//! A capability is linked only when it is granted, so that an ungranted import
//! fails at load; those that need a grant check it again at each call. This
//! module holds what all of them share: the grants of a generation and the
//! state of one call.

pub(crate) mod clock;
pub(crate) mod http_client;
pub(crate) mod jose;
pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod secrets;
pub(crate) mod session_store;
pub(crate) mod settings;
pub(crate) mod token_store;

pub(crate) use self::http_client::Probe;
#[cfg(fuzzing)]
pub use self::jose::fuzzing::token as jose_fuzzing;

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use wasmtime::component::{
    Component, HasSelf, Linker, ResourceTable, ResourceType, types::ComponentItem,
};

use crate::{
    bindings::vestibule::auth,
    clock::Clock,
    config::Grants,
    identity::{RequestId, UserId},
    metrics::Metrics,
    store::Store,
};

/// The most handles that one call may hold.
const MAX_HANDLES: usize = 256;

/// What is kept of a call's time for the component's last word.
const LAST_WORD: Duration = Duration::from_millis(200);

/// A capability as the load pipeline sees it.
pub(crate) struct Capability {
    /// The interface's name in the contract.
    pub(crate) interface: &'static str,
    /// The key in `[auth.grants]` that grants it; `None` is always granted.
    pub(crate) grant: Option<&'static str>,
    /// Its functions may wait, so that a component that imports it is called on
    /// a fiber.
    pub(crate) waits: bool,
}

/// Every interface that a component may import.
pub(crate) const CAPABILITIES: [Capability; 10] = [
    always("types"),
    always("clock"),
    always("random"),
    always("log"),
    always("settings"),
    always("secrets"),
    Capability { interface: "session-store", grant: None, waits: true },
    granted("http-client", "http"),
    granted("jose", "jose"),
    granted("token-store", "token_store"),
];

const fn always(interface: &'static str) -> Capability {
    Capability { interface, grant: None, waits: false }
}

const fn granted(interface: &'static str, grant: &'static str) -> Capability {
    Capability { interface, grant: Some(grant), waits: true }
}

/// What every call of one generation shares.
#[derive(Clone)]
pub(crate) struct Granted {
    /// The strategy's name, for its log lines.
    pub(crate) strategy: String,
    /// The SHA-256 of the component, for the audit.
    pub(crate) digest: String,
    /// The settings that are not secret, as JSON.
    pub(crate) settings: String,
    /// The secret settings that the description declares; `None` where the
    /// operator gave no value.
    pub(crate) secrets: BTreeMap<String, Option<Arc<SecretString>>>,
    /// The time.
    pub(crate) clock: Clock,
    /// The key of fingerprints.
    pub(crate) fingerprints: secrets::FingerprintKey,
    /// The database; `None` while a component is loaded or only looked at.
    pub(crate) store: Option<Store>,
    /// What `http-client` may reach; `None` is nothing.
    pub(crate) http: Option<Arc<http_client::Client>>,
    /// Whose tokens `jose` may verify; `None` is nobody's.
    pub(crate) issuers: Option<Arc<jose::Issuers>>,
    /// What the operator granted.
    pub(crate) grants: Grants,
    /// What was refused of late; `None` while a component is only looked at.
    pub(crate) denials: Option<Arc<log::denials::Denials>>,
    /// What tests look at and put in the place of the world.
    pub(crate) hooks: Hooks,
    /// What calls count.
    pub(crate) metrics: Arc<Metrics>,
    /// What all its calls may log.
    pub(crate) log_rate: Arc<log::Rate>,
}

impl Granted {
    /// What a component has that is only looked at.
    pub(crate) fn nothing(strategy: &str, fingerprints: secrets::FingerprintKey) -> Self {
        Self {
            strategy: strategy.to_owned(),
            digest: String::new(),
            settings: "{}".to_owned(),
            secrets: BTreeMap::new(),
            clock: Clock::System,
            fingerprints,
            store: None,
            http: None,
            issuers: None,
            grants: Grants::default(),
            denials: None,
            hooks: Hooks::default(),
            metrics: Arc::default(),
            log_rate: Arc::default(),
        }
    }
}

/// Is shown a memory.
pub type Show = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Knows the addresses of names.
pub type LookUp = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

/// What tests look at and put in the place of the world; empty in earnest.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Is shown every memory of an instance when its call is over. It has
    /// components compiled so that their memories can be found, which is slow.
    pub memory: Option<Show>,
    /// Answers in the place of the system's resolver.
    pub look_up: Option<LookUp>,
    /// Is sent every request, wherever it would go, in the clear. Which origin it is
    /// for stands in `host` and `x-forwarded-proto`.
    pub peer: Option<SocketAddr>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// Whose tokens a call may touch, those of the local owner apart, under whom a
/// strategy keeps what belongs to no user.
pub(crate) enum Reach {
    /// Anybody's: only a log-in finds out who has arrived.
    Anyone,
    /// This user's.
    User(UserId),
    /// Nobody's: nobody is known yet.
    Nobody,
}

impl Reach {
    /// That of a call about a user; `None` is the local owner.
    pub(crate) fn of(user: Option<&UserId>) -> Self {
        user.map_or(Self::Nobody, |user| Self::User(user.clone()))
    }
}

/// The capabilities' state of one call.
pub(crate) struct Context {
    pub(crate) granted: Arc<Granted>,
    pub(crate) table: ResourceTable,
    pub(crate) log: log::Budget,
    pub(crate) request: RequestId,
    /// The session that this call renews.
    pub(crate) renewing: Option<session_store::Renewing>,
    pub(crate) reach: Reach,
    /// When the call has to end; `None` where it cannot wait.
    pub(crate) ends_at: Option<Instant>,
    /// How long it has waited for other servers.
    pub(crate) waited: Duration,
}

impl Context {
    pub(crate) fn new(granted: Arc<Granted>, request: RequestId, reach: Reach) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let log = log::Budget::default();
        Self {
            granted,
            table,
            log,
            request,
            renewing: None,
            reach,
            ends_at: None,
            waited: Duration::ZERO,
        }
    }

    /// Takes what the call still holds, to be given back when it is over.
    pub(crate) fn leases(&mut self) -> Vec<token_store::Lease> {
        let held =
            |entry: &mut (dyn Any + Send)| entry.downcast_mut::<token_store::Lease>()?.take();
        self.table.iter_mut().filter_map(held).collect()
    }

    /// How long a capability may wait: a little less than the call may last, so
    /// that the component can still say what became of it.
    fn time_left(&self) -> Duration {
        let now = Instant::now();
        let left = self.ends_at.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        left.saturating_sub(LAST_WORD.min(left / 10))
    }
}

/// Links what is always granted, and what needs a grant where `links` says so
/// of the grant's key.
pub(crate) fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    links: impl Fn(&str) -> bool,
    context: fn(&mut T) -> &mut Context,
) -> wasmtime::Result<()> {
    link_at_once(linker, context)?;
    auth::session_store::add_to_linker::<T, View>(linker, context)?;
    if links("http") {
        auth::http_client::add_to_linker::<T, View>(linker, context)?;
    }
    if links("jose") {
        auth::jose::add_to_linker::<T, View>(linker, context)?;
    }
    if links("token_store") {
        auth::token_store::add_to_linker::<T, View>(linker, context)?;
    }
    Ok(())
}

type View = HasSelf<Context>;

/// Links what never waits, which is always granted.
fn link_at_once<T: Send + 'static>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut Context,
) -> wasmtime::Result<()> {
    auth::types::add_to_linker::<T, View>(linker, context)?;
    auth::clock::add_to_linker::<T, View>(linker, context)?;
    auth::random::add_to_linker::<T, View>(linker, context)?;
    auth::log::add_to_linker::<T, View>(linker, context)?;
    auth::settings::add_to_linker::<T, View>(linker, context)?;
    auth::secrets::add_to_linker::<T, View>(linker, context)
}

/// Links what never waits as [`link`] does, and in the place of everything else what
/// ends the call with [`WouldWait`]; of `jose`, where it would have to wait.
pub(crate) fn link_without_waiting<T: Send + 'static>(
    linker: &mut Linker<T>,
    component: &Component,
    context: fn(&mut T) -> &mut Context,
) -> wasmtime::Result<()> {
    link_at_once(linker, context)?;
    let engine = component.engine().clone();
    let waits = |name: &str| {
        let known = |one: &&Capability| name.contains(&format!("/{}@", one.interface));
        CAPABILITIES.iter().find(known).is_some_and(|capability| capability.waits)
    };
    for (name, import) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        if !waits(name) {
            continue;
        }
        let mut instance = linker.instance(name)?;
        if name.contains("/jose@") {
            jose::link_without_waiting(&mut instance, context)?;
            continue;
        }
        for (name, item) in interface.exports(&engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => {
                    instance.func_new(name, |_, _, _, _| Err(WouldWait.into()))?;
                }
                // None is ever made.
                ComponentItem::Resource(_) if name == "lease" => {
                    let lease = ResourceType::host::<token_store::Lease>();
                    instance.resource(name, lease, |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A component asked for something that may wait, in a call that cannot.
#[derive(Debug, thiserror::Error)]
#[error("this call cannot wait")]
pub(crate) struct WouldWait;

/// A component asked a capability for something that the contract forbids; its
/// call ends as a trap.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Violation(pub(crate) String);

/// The interface of types has nothing to call.
impl auth::types::Host for Context {}
