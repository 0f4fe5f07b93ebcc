//! The path of every request: one call of `authenticate`, with or without a
//! fiber.

use std::mem;

use wasmtime::{Store, component::TypedFunc};

use super::{
    call::{self, Answer, Call, CallError},
    output::{self, Decision},
    profile::{Step, Watch},
    strategy::{Lane, Strategy, leave},
};
use crate::{
    bindings::vestibule::auth::types as wit,
    capability::{Reach, secrets::Secret},
    identity::{Credential, OrgId, Outcome, PresentedKey, Request, Scheme, UserId},
};

/// What the component answered, not looked at yet.
type Raw = Result<wit::Decision, wit::Error>;

/// The one export that a request needs. The generated `instantiate` would look
/// up every export of the world, and compare all of its types, at each call.
type Authenticate<'a> = TypedFunc<(&'a wit::Request<'a>,), (Raw,)>;

impl Strategy {
    /// Decides who sent a request.
    pub async fn authenticate(&self, request: Request<'_>) -> Answer<Decision> {
        self.authenticate_watched(request, &mut ()).await
    }

    /// Decides who sent a request, and tells `watch` of every step.
    pub(super) async fn authenticate_watched(
        &self,
        request: Request<'_>,
        watch: &mut impl Watch,
    ) -> Answer<Decision> {
        let presented = !matches!(request.credential, Credential::Absent);
        let owner = match &request.credential {
            Credential::ApiKey(key) => Some(key.owner.user_id.clone()),
            _ => None,
        };
        let reach = Reach::of(owner.as_ref().and_then(Option::as_ref));
        let (lane, permit) = self.enter()?;
        let mut store = self.store(lane, request.id, reach);
        watch.passed(Step::Store);
        let answer = if lane.waits || self.suspicion.is_raised() {
            // Boxed, so that the future of the other path stays small.
            Box::pin(self.authenticate_on_a_fiber(lane, &mut store, request, watch)).await
        } else {
            self.authenticate_directly(lane, &mut store, request, watch)
        };
        watch.passed(Step::Call);
        leave(store, permit);
        watch.passed(Step::Drop);
        Ok(match answer? {
            Ok(decision) => {
                let local_owner = self.description.local_owner;
                let decision = output::decision(decision, local_owner, presented)?;
                if let (Some(owner), Outcome::Authenticated(who)) = (owner, &decision.outcome)
                    && who.user_id != owner
                {
                    // A key reaches its owner's rows, whoever the strategy thinks it is.
                    return Err(CallError::MalformedOutput("it gives a key to another user"));
                }
                Ok(decision)
            }
            Err(error) => Err(output::refusal(error)),
        })
    }

    fn authenticate_directly(
        &self,
        lane: &Lane,
        store: &mut Store<Call>,
        mut request: Request<'_>,
        watch: &mut impl Watch,
    ) -> Result<Raw, CallError> {
        let headers = mem::take(&mut request.headers);
        let credential = mem::take(&mut request.credential);
        let key = Key::of(&credential);
        store.epoch_deadline_callback(call::go_on);
        let answer = (|| {
            let request = lower(store, &request, &credential, key.as_ref(), &headers)?;
            let instance = lane.pre.instance_pre().instantiate(&mut *store)?;
            let authenticate: Authenticate<'_> =
                instance.get_typed_func(&mut *store, lane.authenticate)?;
            watch.passed(Step::Instantiate);
            Ok(authenticate.call(&mut *store, (&request,))?.0)
        })();
        answer.map_err(|error| {
            let error = self.classify(store, &error);
            if matches!(error, CallError::CpuBudget(_)) {
                self.suspicion.raise();
            }
            error
        })
    }

    async fn authenticate_on_a_fiber(
        &self,
        lane: &Lane,
        store: &mut Store<Call>,
        mut request: Request<'_>,
        watch: &mut impl Watch,
    ) -> Result<Raw, CallError> {
        let headers = mem::take(&mut request.headers);
        let credential = mem::take(&mut request.credential);
        let key = Key::of(&credential);
        let request = lower(store, &request, &credential, key.as_ref(), &headers)
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
    request: &Request<'a>,
    credential: &Credential,
    key: Option<&'a Key<'a>>,
    headers: &'a [Option<&'a str>],
) -> wasmtime::Result<wit::Request<'a>> {
    let credential = match (credential, key) {
        (Credential::Bearer(token), _) => {
            let table = &mut store.data_mut().context.table;
            wit::Credential::Bearer(table.push(Secret::new(token.clone()))?)
        }
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
        headers,
    })
}
