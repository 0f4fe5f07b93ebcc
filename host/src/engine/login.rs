//! Asking a strategy about a log-in: where the browser goes next, who has
//! arrived, and what a log-out leads to.

use std::sync::Arc;

use secrecy::SecretString;
use url::Url;
use wasmtime::Store;

use super::{
    call::{Answer, Call, CallError},
    output,
    strategy::Strategy,
};
use crate::{
    bindings::{self, exports::vestibule::auth::login as wit},
    capability::{
        Reach,
        log::denials::Denied,
        secrets::{Secret, handles},
    },
    identity::{
        Identity, LoginState, NamedSecrets, PresentedSession, RequestId, SessionContent, TokenPair,
        UserId,
    },
};

/// What a strategy may keep of a trip, in bytes.
const MAX_STATE_BYTES: usize = 16 * 1024;
/// The longest location that a browser is sent to, in bytes.
const MAX_LOCATION_BYTES: usize = 8 * 1024;
/// Tokens that may come with one log-in.
const MAX_TOKENS: usize = 16;
/// Selectors that may come of one log-out token.
const MAX_SELECTORS: usize = 64;

/// The values that the host made for one trip to an identity provider.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// The anti-forgery value.
    pub state: &'a str,
    /// The nonce of an OpenID Connect request.
    pub nonce: &'a str,
    /// The PKCE challenge, by the method `S256`.
    pub code_challenge: &'a str,
}

/// A browser that came back, its anti-forgery value checked.
pub struct Callback<'a> {
    /// The authorization code.
    pub code: Option<SecretString>,
    /// The PKCE verifier of the trip.
    pub verifier: Arc<SecretString>,
    /// The nonce of the trip.
    pub nonce: &'a str,
    /// The redirect URI of the trip.
    pub redirect_uri: &'a str,
    /// Every other parameter, `code` and `state` apart.
    pub parameters: &'a [(String, String)],
    /// What the strategy kept of the trip.
    pub kept: LoginState,
    /// For a further trip.
    pub next: Attempt<'a>,
}

/// Somebody who has logged in.
pub struct SignedIn {
    /// Who.
    pub identity: Identity,
    /// What to remember of the browser.
    pub session: SessionContent,
    /// Tokens to store for the user, by name.
    pub tokens: Vec<(String, TokenPair)>,
}

/// What happens next in a log-in.
pub enum LoginStep {
    /// The browser goes on a trip.
    Redirect {
        /// Where to.
        location: Url,
        /// What to find again.
        kept: LoginState,
    },
    /// The log-in is done.
    SignedIn(Box<SignedIn>),
}

/// The identity provider's own log-out page.
pub struct LogOutRedirect {
    /// Where it is.
    pub location: Url,
    /// Parameters to append whose values are secrets.
    pub parameters: NamedSecrets,
}

/// Which sessions an identity provider says are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionSelector {
    /// Every session of this user.
    User(UserId),
    /// Those with this id at the identity provider, and of this user where one is named.
    IdpSession {
        /// The user, where the identity provider names them.
        user: Option<UserId>,
        /// The identity provider's id of the session.
        id: String,
    },
}

impl<'a> Attempt<'a> {
    fn lower(self) -> wit::Attempt<'a> {
        let Self { redirect_uri, state, nonce, code_challenge } = self;
        wit::Attempt { redirect_uri, state, nonce, code_challenge }
    }
}

impl Strategy {
    /// Begins a log-in.
    pub async fn begin_login(
        &self,
        attempt: Attempt<'_>,
        hint: Option<&str>,
        request: RequestId,
    ) -> Answer<LoginStep> {
        let _log_in = self.enter_to_log_in()?;
        let begun = wit::LoginRequest { attempt: attempt.lower(), hint };
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            instance.vestibule_auth_login().call_begin(store, begun).await
        };
        self.call(request, Reach::Anyone, asked, |table, answer| {
            self.login_step(table, answer, request)
        })
        .await
    }

    /// Goes on with a log-in when the browser comes back.
    pub async fn complete_login(
        &self,
        callback: Callback<'_>,
        request: RequestId,
    ) -> Answer<LoginStep> {
        let _log_in = self.enter_to_log_in()?;
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            let table = &mut store.data_mut().context.table;
            let secrets = handles::lower_secrets(table, &callback.kept.secrets)?;
            let code = callback.code.map(|code| table.push(Secret::new(code))).transpose()?;
            let code_verifier = table.push(Secret::new(callback.verifier))?;
            let parameters: Vec<_> = callback
                .parameters
                .iter()
                .map(|(name, value)| wit::Parameter { name, value })
                .collect();
            let lowered = wit::Callback {
                code,
                code_verifier,
                nonce: callback.nonce,
                redirect_uri: callback.redirect_uri,
                parameters: &parameters,
                state: wit::LoginStateParam { data: &callback.kept.data, secrets: &secrets },
                next: callback.next.lower(),
            };
            instance.vestibule_auth_login().call_complete(store, lowered).await
        };
        self.call(request, Reach::Anyone, asked, |table, answer| {
            self.login_step(table, answer, request)
        })
        .await
    }

    /// Tells the strategy that a browser logs out; its answer says whether the
    /// identity provider has a page to visit.
    pub async fn log_out(
        &self,
        session: &PresentedSession,
        return_to: &str,
        request: RequestId,
    ) -> Answer<Option<LogOutRedirect>> {
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            let table = &mut store.data_mut().context.table;
            let secrets = handles::lower_secrets(table, &session.content.secrets)?;
            let session = handles::lower_session(&session.content, &secrets);
            let leaving = wit::LogOutRequest { session, return_to };
            instance.vestibule_auth_login().call_log_out(store, leaving).await
        };
        self.call(request, Reach::of(Some(&session.user)), asked, |table, answer| match answer {
            Ok(None) => Ok(Ok(None)),
            Ok(Some(redirect)) => {
                let parameters = handles::take_secrets(table, redirect.parameters)
                    .map_err(CallError::MalformedOutput)?;
                let location = self.destination(&redirect.location, request)?;
                Ok(Ok(Some(LogOutRedirect { location, parameters })))
            }
            Err(error) => Ok(Err(output::refusal(error))),
        })
        .await
    }

    /// Has a log-out token of the identity provider read (OpenID Connect Back-Channel
    /// Logout 1.0); the answer names the sessions that are over.
    pub async fn back_channel(
        &self,
        token: SecretString,
        request: RequestId,
    ) -> Answer<Vec<SessionSelector>> {
        // As a log-in, it comes from anybody and may wait for the identity provider.
        let _log_in = self.enter_to_log_in()?;
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            let token = store.data_mut().context.table.push(Secret::new(token))?;
            instance.vestibule_auth_login().call_back_channel(store, token).await
        };
        self.call(request, Reach::Anyone, asked, |_, answer| match answer {
            Ok(selectors) if selectors.len() > MAX_SELECTORS => {
                malformed("it ends more than 64 sessions by one token")
            }
            Ok(selectors) => selectors.into_iter().map(selector).collect::<Result<_, _>>().map(Ok),
            Err(error) => Ok(Err(output::refusal(error))),
        })
        .await
    }

    fn login_step(
        &self,
        table: &mut wasmtime::component::ResourceTable,
        answer: Result<wit::LoginStep, wit::Error>,
        request: RequestId,
    ) -> Answer<LoginStep> {
        let step = match answer {
            Ok(step) => step,
            Err(error) => return Ok(Err(output::refusal(error))),
        };
        Ok(Ok(match step {
            wit::LoginStep::Redirect(redirect) => {
                let data = redirect.state.data;
                if data.len() > MAX_STATE_BYTES {
                    return malformed("it keeps more than 16 KiB of a log-in");
                }
                let secrets = handles::take_secrets(table, redirect.state.secrets)
                    .map_err(CallError::MalformedOutput)?;
                LoginStep::Redirect {
                    location: self.destination(&redirect.location, request)?,
                    kept: LoginState { data, secrets },
                }
            }
            wit::LoginStep::SignedIn(signed_in) => {
                let identity = output::identity(signed_in.identity, self.description.local_owner)?;
                if identity.user_id.is_none() {
                    return malformed("it says that the local owner has logged in");
                }
                if signed_in.tokens.len() > MAX_TOKENS {
                    return malformed("it stores more than 16 tokens");
                }
                let session = handles::take_session(table, signed_in.session)
                    .map_err(CallError::MalformedOutput)?;
                let tokens = signed_in
                    .tokens
                    .into_iter()
                    .map(|token| handles::take_token(table, token))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(CallError::MalformedOutput)?;
                if let Some((name, _)) = tokens.iter().find(|(name, _)| !self.may_store(name)) {
                    self.lanes[0].granted.deny(request, Denied::Token(name));
                    return malformed(
                        "it stores a token whose name is not in [auth.grants] token_store",
                    );
                }
                LoginStep::SignedIn(Box::new(SignedIn { identity, session, tokens }))
            }
        }))
    }

    /// Where a browser is sent: to an origin that the operator granted, whatever
    /// a component says.
    fn destination(&self, location: &str, request: RequestId) -> Result<Url, CallError> {
        if location.len() > MAX_LOCATION_BYTES {
            return malformed("it sends the browser to a location longer than 8 KiB");
        }
        let Ok(location) = Url::parse(location) else {
            return malformed("it sends the browser to what is no URL");
        };
        let origin = location.origin();
        let is_granted = self.destinations.contains(&origin);
        if !is_granted && origin.is_tuple() {
            let origin = origin.ascii_serialization();
            self.lanes[0].granted.deny(request, Denied::Browser(&origin));
        }
        if !is_granted || !location.username().is_empty() || location.password().is_some() {
            return malformed(
                "it sends the browser to an origin that is neither in [auth.grants] http nor in \
                 browser",
            );
        }
        Ok(location)
    }
}

fn selector(selector: wit::SessionSelector) -> Result<SessionSelector, CallError> {
    let user = |id: String| {
        UserId::new(id).or_else(|_| malformed("it ends the sessions of what is no user id"))
    };
    Ok(match selector {
        wit::SessionSelector::User(id) => SessionSelector::User(user(id)?),
        wit::SessionSelector::IdpSession(wit::IdpSession { user_id, id }) => {
            SessionSelector::IdpSession { user: user_id.map(user).transpose()?, id }
        }
    })
}

fn malformed<T>(what: &'static str) -> Result<T, CallError> {
    Err(CallError::MalformedOutput(what))
}
