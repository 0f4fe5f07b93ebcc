//! A browser's session on a request: decided, and renewed where it is due.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    engine::{self, CallError, Decision, Renewing, SessionChange, Strategy},
    host::Host,
    identity::{Credential, PresentedSession, Refusal, Request, SessionContent},
    metrics::Refresh,
    store::{AuditEntry, Session, SessionLease, StoreError},
};

/// A session could not be decided about. It is kept.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The strategy gave no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// For how long the database is asked to store a renewed session.
const SAVE_PATIENCE: Duration = Duration::from_secs(10);

/// The time between two times.
const SAVE_PAUSE: Duration = Duration::from_millis(200);

type Decided = Result<Result<Decision, Refusal>, SessionError>;

impl Host {
    /// Decides a request that presents a live session.
    pub(crate) async fn decide_session(
        &self,
        strategy: &Arc<Strategy>,
        request: Request<'_>,
        session: Session,
    ) -> Decided {
        if !self.is_due(&session) {
            return self.decide_as_it_is(strategy, request, &session).await;
        }
        // To its end, even if the caller goes away: what the identity provider
        // gives in exchange for a token that works once must not be lost.
        let (host, strategy) = (self.clone(), Arc::clone(strategy));
        let request = OwnRequest::of(&request);
        engine::to_the_end(async move { host.renew_session(&strategy, &request, session).await })
            .await
    }

    fn is_due(&self, session: &Session) -> bool {
        session.content.refresh_at.is_some_and(|at| at <= self.clock().now())
    }

    async fn decide_as_it_is(
        &self,
        strategy: &Strategy,
        mut request: Request<'_>,
        session: &Session,
    ) -> Decided {
        request.credential = credential(session);
        let decision = strategy.authenticate(request).await?;
        match &decision {
            Ok(Decision { session: SessionChange::Replace(content), .. }) => {
                let mut lease = self.lease(strategy, session).await?;
                // Who renewed it meanwhile may have used up what this still has.
                let current = lease.current().await?.filter(|_| !lease.was_interrupted());
                if current.is_some_and(|current| current.content.equals(&session.content)) {
                    lease.save(content).await?;
                }
                lease.release().await?;
            }
            Ok(Decision { session: SessionChange::Clear, .. })
            | Err(Refusal::Unauthenticated(_)) => self.store().end_this(session).await?,
            // Nothing changes, or the session is not at fault.
            Ok(Decision { session: SessionChange::Keep, .. }) | Err(_) => {}
        }
        Ok(decision)
    }

    async fn lease(
        &self,
        strategy: &Strategy,
        session: &Session,
    ) -> Result<SessionLease, StoreError> {
        self.store().lease_session(session, strategy.wall()).await
    }

    /// One renewal, however many requests and replicas want it: the others wait,
    /// and find it done.
    async fn renew_session(
        &self,
        strategy: &Strategy,
        request: &OwnRequest,
        session: Session,
    ) -> Decided {
        let over = |why: &str| Ok(Err(Refusal::Unauthenticated(why.to_owned())));
        let lease = match self.lease(strategy, &session).await {
            Ok(lease) => lease,
            Err(StoreError::Busy) => {
                let why = "another call renews the session and takes long".to_owned();
                return Ok(Err(Refusal::Unavailable(why)));
            }
            Err(error) => return Err(error.into()),
        };
        if lease.was_interrupted() {
            // Giving the lease back ends the session.
            lease.release().await?;
            return over("a renewal was interrupted after it may have used up the refresh token");
        }
        let Some(session) = lease.current().await? else {
            lease.release().await?;
            return over("the session ended while it was to be renewed");
        };
        if !self.is_due(&session) {
            lease.release().await?;
            return self.decide_as_it_is(strategy, request.borrow(), &session).await;
        }
        let mut asked = request.borrow();
        asked.credential = credential(&session);
        let (answer, Renewing { mut lease, unsaved }) = strategy.renew(asked, lease.into()).await;
        let is_over = matches!(
            &answer,
            Ok(Ok(Decision { session: SessionChange::Clear, .. })
                | Err(Refusal::Unauthenticated(_)))
        );
        let renewed = match &answer {
            Ok(Ok(Decision { session: SessionChange::Replace(content), .. })) => Some(&**content),
            // What a failure or the end of the call has kept from being stored.
            _ => unsaved.as_ref(),
        };
        let became = if is_over {
            self.store().end_this(&session).await?;
            Refresh::SessionOver
        } else if let Some(content) = renewed {
            save_at_last(&mut lease, content).await?;
            Refresh::SessionRenewed
        } else {
            Refresh::SessionKept
        };
        self.metrics().refreshed(became);
        if let Some(reason) = failure(&answer) {
            let entry = AuditEntry {
                address: request.rest.client_address.map(|address| address.to_string()),
                reason: Some(reason),
                ..AuditEntry::default()
            };
            self.note_failed_refresh(&session.user, "session", request.rest.id, entry);
        }
        lease.release().await?;
        Ok(answer?)
    }
}

/// Stores a session as it goes on. What it was before may be used up, so that a database
/// that fails is asked again while the lease is sure to last.
async fn save_at_last(
    lease: &mut SessionLease,
    content: &SessionContent,
) -> Result<(), StoreError> {
    let started = Instant::now();
    loop {
        match lease.save(content).await {
            Ok(_) => return Ok(()),
            Err(StoreError::LeaseLost) => return Err(StoreError::LeaseLost),
            Err(error) if started.elapsed() >= SAVE_PATIENCE => return Err(error),
            Err(error) => tracing::warn!(%error, "a renewed session is to be stored once more"),
        }
        tokio::time::sleep(SAVE_PAUSE).await;
    }
}

/// Why a renewal came to nothing, where it did.
fn failure(answer: &Result<Result<Decision, Refusal>, CallError>) -> Option<String> {
    match answer {
        Ok(Ok(_)) => None,
        Ok(Err(refusal)) => Some(refusal.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

fn credential(session: &Session) -> Credential {
    Credential::Session(Box::new(PresentedSession {
        user: session.user.clone(),
        content: session.content.clone(),
    }))
}

/// A request that outlives the connection it came by.
struct OwnRequest {
    method: String,
    host: String,
    path: String,
    query: Option<String>,
    headers: Vec<Option<String>>,
    rest: Request<'static>,
}

impl OwnRequest {
    fn of(request: &Request<'_>) -> Self {
        Self {
            method: request.method.to_owned(),
            host: request.host.to_owned(),
            path: request.path.to_owned(),
            query: request.query.map(str::to_owned),
            headers: request.headers.iter().map(|value| value.map(str::to_owned)).collect(),
            rest: Request {
                method: "",
                scheme: request.scheme,
                host: "",
                path: "",
                query: None,
                client_address: request.client_address,
                credential: Credential::Absent,
                headers: Vec::new(),
                id: request.id,
            },
        }
    }

    fn borrow(&self) -> Request<'_> {
        Request {
            method: &self.method,
            scheme: self.rest.scheme,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            client_address: self.rest.client_address,
            credential: Credential::Absent,
            headers: self.headers.iter().map(Option::as_deref).collect(),
            id: self.rest.id,
        }
    }
}
