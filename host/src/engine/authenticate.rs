//! The path of every request: one call of `authenticate`, with or without a
//! fiber.

use std::{mem, time::Instant};

use tracing::Instrument as _;
use wasmtime::{Store, component::TypedFunc};

use super::{
    call::{self, Answer, Call, CallError},
    output::{self, Decision},
    profile::{Step, Watch},
    quarantine::Source,
    span::told,
    strategy::{Lane, Strategy, end, leave},
    suspicion::Suspicion,
};
use crate::{
    bindings::vestibule::auth::types as wit,
    capability::{
        Reach, WouldWait,
        secrets::{Secret, handles},
        session_store::Renewing,
    },
    identity::{Credential, OrgId, Outcome, PresentedKey, Request, Scheme, UserId},
};

/// What the component answered, not looked at yet.
type Raw = Result<wit::Decision, wit::Error>;

/// The one export that a request needs. The generated `instantiate` would look
/// up every export of the world, and compare all of its types, at each call.
type Authenticate<'a> = TypedFunc<(&'a wit::Request<'a>,), (Raw,)>;

/// For how long a component that may wait is tried without a fiber: a thread is not
/// kept from others for longer.
const TRY_TICKS: u32 = 3;

impl Strategy {
    /// Decides who sent a request.
    pub async fn authenticate(&self, request: Request<'_>) -> Answer<Decision> {
        let span = self.span("authenticate");
        let answer = self.authenticate_watched(request, &mut ()).instrument(span.clone()).await;
        told(&span, &answer);
        answer
    }

    /// Decides who sent a request with a session that is due, and has the strategy
    /// renew it. Whoever asks holds the lease that makes this the only renewal.
    pub(crate) async fn renew(
        &self,
        request: Request<'_>,
        renewing: Renewing,
    ) -> (Answer<Decision>, Renewing) {
        let source = || Source::of_request(&request);
        let (lane, place) = match self.enter(source) {
            Ok(entered) => entered,
            Err(error) => return (Err(error), renewing),
        };
        let expected = Expected::of(&request.credential);
        let mut store = self.store(lane, request.id, Reach::of(expected.owner.user()));
        store.data_mut().context.renewing = Some(renewing);
        let started = Instant::now();
        let span = self.span("renew");
        let mut watch = ();
        let answer = self.authenticate_on_a_fiber(lane, &mut store, &request, &mut watch);
        let answer = answer.instrument(span.clone()).await;
        let decision = self.decision(&mut store, answer, &expected);
        self.count(started, &store, &decision);
        told(&span, &decision);
        let renewing = store.data_mut().context.renewing.take();
        leave(store, place);
        self.quarantine.ended(&decision, source);
        let renewing = renewing.unwrap_or_else(|| unreachable!("nobody else takes the lease"));
        (decision, renewing)
    }

    /// Decides who sent a request, and tells `watch` of every step.
    pub(super) async fn authenticate_watched(
        &self,
        request: Request<'_>,
        watch: &mut impl Watch,
    ) -> Answer<Decision> {
        let expected = Expected::of(&request.credential);
        let source = || Source::of_request(&request);
        let (lane, place) = self.enter(source)?;
        let new_store = || self.store(lane, request.id, Reach::of(expected.owner.user()));
        let started = Instant::now();
        let mut store = new_store();
        watch.passed(Step::Store);
        let mut answer = None;
        if self.may_go_directly(lane, &request.credential) {
            answer = self.authenticate_directly(lane, &mut store, &request, watch);
            if answer.is_none() {
                end(mem::replace(&mut store, new_store()));
            }
        }
        let answer = match answer {
            Some(answer) => answer,
            // Boxed, so that the future of the other path stays small.
            None => Box::pin(self.authenticate_on_a_fiber(lane, &mut store, &request, watch)).await,
        };
        watch.passed(Step::Call);
        let decision = self.decision(&mut store, answer, &expected);
        self.count(started, &store, &decision);
        leave(store, place);
        self.quarantine.ended(&decision, source);
        watch.passed(Step::Drop);
        decision
    }

    /// Whether a call is worth a try without a fiber, whose stack alone costs more than
    /// the rest of such a call. Hardly ever has a strategy to wait: the keys of issuers are
    /// at hand. What wants to wait, or takes long, is called once more on a fiber, and so
    /// are the calls of its kind after it for a while.
    fn may_go_directly(&self, lane: &Lane, credential: &Credential) -> bool {
        let waits = lane.waits && self.waiting_by(credential).is_raised();
        !waits && !self.suspicion.is_raised()
    }

    /// Whether calls that could not wait have wanted to. A strategy that asks somebody
    /// about every bearer token has no reason to wait for a session.
    fn waiting_by(&self, credential: &Credential) -> &Suspicion {
        let [others, bearer] = &self.waiting;
        if matches!(credential, Credential::Bearer(_)) { bearer } else { others }
    }

    fn decision(
        &self,
        store: &mut Store<Call>,
        answer: Result<Raw, CallError>,
        expected: &Expected,
    ) -> Answer<Decision> {
        let decision = match answer? {
            Ok(decision) => decision,
            Err(error) => return Ok(Err(output::refusal(error))),
        };
        let table = &mut store.data_mut().context.table;
        let local_owner = self.description.local_owner;
        let decision = output::decision(table, decision, local_owner, expected.presented)?;
        if let (Owner::Only(owner), Outcome::Authenticated(who)) =
            (&expected.owner, &decision.outcome)
            && who.user_id != *owner
        {
            // A key or a session reaches its owner's rows, whoever the strategy
            // thinks it is.
            return Err(CallError::MalformedOutput("it gives a key or a session to another user"));
        }
        Ok(Ok(decision))
    }

    /// `None` where a fiber is needed after all: nothing came of the call.
    fn authenticate_directly(
        &self,
        lane: &Lane,
        store: &mut Store<Call>,
        request: &Request<'_>,
        watch: &mut impl Watch,
    ) -> Option<Result<Raw, CallError>> {
        let key = Key::of(&request.credential);
        store.epoch_deadline_callback(call::go_on);
        if lane.waits {
            store.data_mut().meter.try_for(TRY_TICKS);
        }
        let answer = (|| {
            let secrets = lower_secrets(store, &request.credential)?;
            let request = lower(store, request, &secrets, key.as_ref())?;
            let instance = lane.direct.instantiate(&mut *store)?;
            let authenticate: Authenticate<'_> =
                instance.get_typed_func(&mut *store, lane.authenticate)?;
            watch.passed(Step::Instantiate);
            Ok(authenticate.call(&mut *store, (&request,))?.0)
        })();
        let error = match answer {
            Ok(answer) => return Some(Ok(answer)),
            Err(error) => error,
        };
        let error: wasmtime::Error = error;
        let waits = error.downcast_ref::<WouldWait>().is_some();
        let error = self.classify(store, &error);
        if waits || (lane.waits && matches!(error, CallError::CpuBudget(_))) {
            self.waiting_by(&request.credential).raise();
            return None;
        }
        if matches!(error, CallError::CpuBudget(_)) {
            self.suspicion.raise();
        }
        Some(Err(error))
    }

    async fn authenticate_on_a_fiber(
        &self,
        lane: &Lane,
        store: &mut Store<Call>,
        request: &Request<'_>,
        watch: &mut impl Watch,
    ) -> Result<Raw, CallError> {
        let key = Key::of(&request.credential);
        let secrets = lower_secrets(store, &request.credential)
            .map_err(|error| self.classify(store, &error))?;
        let request = lower(store, request, &secrets, key.as_ref())
            .map_err(|error| self.classify(store, &error))?;
        self.within_wall(store, async |store| {
            let instance = lane.pre.instance_pre().instantiate_async(&mut *store).await?;
            let authenticate: Authenticate<'_> =
                instance.get_typed_func(&mut *store, lane.authenticate)?;
            watch.passed(Step::Instantiate);
            Ok(authenticate.call_async(store, (&request,)).await?.0)
        })
        .await
    }
}

/// Whose the presented key or session is.
enum Owner {
    /// Nothing was presented that has one.
    Anybody,
    /// This user; `None` is the local owner.
    Only(Option<UserId>),
}

impl Owner {
    /// The user whose tokens the call may touch.
    fn user(&self) -> Option<&UserId> {
        match self {
            Self::Anybody => None,
            Self::Only(user) => user.as_ref(),
        }
    }
}

/// What an answer is held against.
struct Expected {
    presented: output::Presented,
    owner: Owner,
}

impl Expected {
    fn of(credential: &Credential) -> Self {
        use output::Presented;
        let (presented, owner) = match credential {
            Credential::Absent => (Presented::Nothing, Owner::Anybody),
            Credential::Bearer(_) => (Presented::Other, Owner::Anybody),
            Credential::ApiKey(key) => (Presented::Other, Owner::Only(key.owner.user_id.clone())),
            Credential::Session(session) => {
                (Presented::Session, Owner::Only(Some(session.user.clone())))
            }
        };
        Self { presented, owner }
    }
}

/// The secrets of a session as the contract has them.
fn lower_secrets<'a>(
    store: &mut Store<Call>,
    credential: &'a Credential,
) -> wasmtime::Result<Vec<wit::NamedSecretParam<'a>>> {
    let Credential::Session(session) = credential else { return Ok(Vec::new()) };
    let table = &mut store.data_mut().context.table;
    Ok(handles::lower_secrets(table, &session.content.secrets)?)
}

/// A presented key with its lists as the contract has them.
struct Key<'a> {
    presented: &'a PresentedKey,
    scopes: Vec<&'a str>,
    owner: output::Lists<'a>,
}

impl<'a> Key<'a> {
    fn of(credential: &'a Credential) -> Option<Self> {
        let Credential::ApiKey(key) = credential else { return None };
        let scopes = key.scopes.iter().map(String::as_str).collect();
        Some(Self { presented: key, scopes, owner: output::Lists::of(&key.owner) })
    }

    fn lower(&'a self) -> wit::ApiKey<'a> {
        let Self { presented: key, scopes, owner } = self;
        wit::ApiKey {
            id: &key.id,
            user_id: key.owner.user_id.as_ref().map(UserId::as_str),
            org_id: key.org_id.as_ref().map(OrgId::as_str),
            name: &key.name,
            system: key.system,
            scopes,
            owner: Some(output::lower_identity(&key.owner, owner)),
        }
    }
}

/// A request as the contract has it. Nothing is copied but a bearer token.
fn lower<'a>(
    store: &mut Store<Call>,
    request: &'a Request<'a>,
    secrets: &'a [wit::NamedSecretParam<'a>],
    key: Option<&'a Key<'a>>,
) -> wasmtime::Result<wit::Request<'a>> {
    let credential = match (&request.credential, key) {
        (Credential::Bearer(token), _) => {
            let table = &mut store.data_mut().context.table;
            wit::Credential::Bearer(table.push(Secret::new(token.clone()))?)
        }
        (Credential::Session(session), _) => wit::Credential::Session(wit::SessionCredential {
            session: handles::lower_session(&session.content, secrets),
            refresh: store.data().context.renewing.is_some(),
        }),
        (_, Some(key)) => wit::Credential::ApiKey(key.lower()),
        _ => wit::Credential::Absent,
    };
    Ok(wit::Request {
        method: output::lower_method(request.method),
        scheme: match request.scheme {
            Scheme::Http => wit::Scheme::Http,
            Scheme::Https => wit::Scheme::Https,
        },
        host: request.host,
        path: request.path,
        query: request.query,
        client_address: request.client_address.map(output::lower_address),
        credential,
        headers: &request.headers,
    })
}
