//! `token-store`: users' durable tokens.

mod lease;

use wasmtime::component::Resource;

#[expect(unreachable_pub, reason = "the generated bindings name it as public")]
pub use self::lease::Lease;
use super::{
    Context, Reach, Violation,
    log::denials::Denied,
    secrets::{Secret, handles},
};
use crate::{
    bindings::vestibule::auth::{
        token_store::{Host, HostLease, StoreError, StoredToken, TokenState},
        types::NewToken,
    },
    identity::{LOCAL_OWNER, UserId},
    metrics::Refresh,
    store::{self, Store},
    text::{cut, escape},
};

/// The longest host and account id, in bytes.
const MAX_TEXT_BYTES: usize = 255;

/// The longest reason for `reconnect`, in bytes.
const MAX_REASON_BYTES: usize = 512;

impl Host for Context {
    async fn load(
        &mut self,
        user: Option<String>,
        name: String,
    ) -> wasmtime::Result<Result<Option<StoredToken>, StoreError>> {
        let (store, user) = match self.reached(user, &name) {
            Ok(reached) => reached,
            Err(error) => return Ok(Err(error)),
        };
        let loaded = store.tokens(&user).load(&name).await;
        self.lower(loaded)
    }

    async fn names(
        &mut self,
        user: Option<String>,
    ) -> wasmtime::Result<Result<Vec<String>, StoreError>> {
        let (store, user) = match self.whose(user).and_then(|user| Ok((self.database()?, user))) {
            Ok(reached) => reached,
            Err(error) => return Ok(Err(error)),
        };
        let granted = &self.granted.grants.token_store;
        let names = store.tokens(&user).names().await.map(|mut names| {
            names.retain(|name| granted.contains(name));
            names
        });
        Ok(names.map_err(told))
    }

    async fn acquire_lease(
        &mut self,
        user: Option<String>,
        name: String,
    ) -> wasmtime::Result<Result<Resource<Lease>, StoreError>> {
        let (store, user) = match self.reached(user, &name) {
            Ok(reached) => reached,
            Err(error) => return Ok(Err(error)),
        };
        match store.tokens(&user).lease(&name, self.time_left()).await {
            Ok(lease) => Ok(Ok(self.table.push(Lease::new(lease, name))?)),
            Err(error) => Ok(Err(told(error))),
        }
    }
}

impl HostLease for Context {
    async fn current(
        &mut self,
        this: Resource<Lease>,
    ) -> wasmtime::Result<Result<Option<StoredToken>, StoreError>> {
        let current = self.table.get_mut(&this)?.held()?.current().await;
        self.lower(current)
    }

    async fn begin_rotation(
        &mut self,
        this: Resource<Lease>,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        Ok(self.table.get_mut(&this)?.held()?.begin_rotation().await.map_err(told))
    }

    async fn abandon_rotation(
        &mut self,
        this: Resource<Lease>,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        self.granted.metrics.refreshed(Refresh::TokenKept);
        Ok(self.table.get_mut(&this)?.held()?.abandon_rotation().await.map_err(told))
    }

    async fn save(
        &mut self,
        this: Resource<Lease>,
        token: NewToken,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        let (name, pair) = handles::take_token(&mut self.table, token).map_err(violation)?;
        let lease = self.table.get_mut(&this)?;
        if lease.name() != name {
            return Ok(Err(StoreError::NotGranted(short(name))));
        }
        let saved = lease.save(pair).await?;
        if saved.is_ok() {
            self.granted.metrics.refreshed(Refresh::TokenRenewed);
        }
        Ok(saved.map_err(told))
    }

    async fn mark_reconnect(
        &mut self,
        this: Resource<Lease>,
        reason: String,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        self.granted.metrics.refreshed(Refresh::TokenReconnect);
        let reason = escape(&cut(reason, MAX_REASON_BYTES));
        Ok(self.table.get_mut(&this)?.held()?.mark_reconnect(&reason).await.map_err(told))
    }

    async fn drop(&mut self, this: Resource<Lease>) -> wasmtime::Result<()> {
        // In its place until the end, so that a call that breaks off here leaves
        // nothing undone that the end of the call would not do.
        self.table.get_mut(&this)?.store_unsaved().await;
        self.table.delete(this)?.give_back().await;
        Ok(())
    }
}

impl Context {
    /// The database and the user, where the name is granted and the user may be
    /// touched in this call.
    fn reached(&self, user: Option<String>, name: &str) -> Result<(Store, UserId), StoreError> {
        if !self.granted.grants.token_store.iter().any(|granted| granted == name) {
            self.granted.deny(self.request, Denied::Token(name));
            return Err(StoreError::NotGranted(short(name.to_owned())));
        }
        let user = self.whose(user)?;
        Ok((self.database()?, user))
    }

    fn whose(&self, user: Option<String>) -> Result<UserId, StoreError> {
        let Some(user) = user else { return Ok(UserId::local_owner()) };
        let user = UserId::new(user).map_err(|_| StoreError::WrongUser)?;
        let reached = match &self.reach {
            // Nobody can be given that id.
            Reach::Anyone => user.as_str() != LOCAL_OWNER,
            Reach::User(own) => *own == user,
            Reach::Nobody => false,
        };
        if reached { Ok(user) } else { Err(StoreError::WrongUser) }
    }

    fn database(&self) -> Result<Store, StoreError> {
        let missing = || StoreError::Unavailable("there is no database here".to_owned());
        self.granted.store.clone().ok_or_else(missing)
    }

    /// A token as the component sees it.
    fn lower(
        &mut self,
        loaded: Result<Option<store::StoredToken>, store::StoreError>,
    ) -> wasmtime::Result<Result<Option<StoredToken>, StoreError>> {
        let token = match loaded {
            Ok(Some(token)) => token,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(told(error))),
        };
        let pair = token.pair;
        let mut handle =
            |text: Option<_>| text.map(|text| self.table.push(Secret::new(text))).transpose();
        Ok(Ok(Some(StoredToken {
            access: handle(pair.access)?,
            refresh: handle(pair.refresh)?,
            access_expires_at: pair.access_expires_at,
            refresh_expires_at: pair.refresh_expires_at,
            stored_at: token.stored_at,
            host: pair.host,
            account_id: pair.account_id,
            state: match token.state {
                store::TokenState::Active => TokenState::Active,
                store::TokenState::Reconnect { .. } => TokenState::Reconnect,
            },
        })))
    }
}

fn violation(what: &str) -> wasmtime::Error {
    Violation(what.to_owned()).into()
}

/// A name that may be anything.
fn short(name: String) -> String {
    escape(&cut(name, MAX_TEXT_BYTES))
}

/// What a component learns of a failure; the operator's log has the rest.
fn told(error: store::StoreError) -> StoreError {
    match error {
        store::StoreError::Busy => StoreError::Busy,
        store::StoreError::LeaseLost => StoreError::LeaseLost,
        error => {
            tracing::error!(%error, "a strategy's tokens cannot be reached");
            StoreError::Unavailable("the database cannot do this now".to_owned())
        }
    }
}
