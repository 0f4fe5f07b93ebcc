//! The browser's way to the identity provider and back: once for the browser's own
//! session, and once more for the offline token where there is none that is usable.

use vestibule_sdk::{
    Error, Identity, NamedSecret, NewToken, Secret, Session, clock, log,
    login::{Attempt, Callback, LoginState, LoginStep, Redirect, SignedIn},
    oauth::{self, Answer, Tokens},
    token_store::{self, TokenState},
};

use crate::{
    idp::{Arrived, Idp},
    offline, provider_tokens, session,
    settings::{self, Settings},
};

/// For people.
const WHO: &str = "the identity provider";

/// What the state of a log-in says of its trip.
const FIRST: &[u8] = b"1";
const SECOND: &[u8] = b"2\n";

/// The access token of the first trip, in the state of the second.
const ACCESS: &str = "access";

/// Sends the browser to the identity provider.
pub(crate) fn begin(
    settings: &Settings,
    attempt: &Attempt,
    hint: Option<&str>,
) -> Result<LoginStep, Error> {
    let hint = hint.or(settings.client.idp_hint.as_deref());
    let state = LoginState { data: FIRST.into(), secrets: Vec::new() };
    trip(settings, attempt, &settings.scope(false), hint, state)
}

fn trip(
    settings: &Settings,
    attempt: &Attempt,
    scope: &str,
    hint: Option<&str>,
    state: LoginState,
) -> Result<LoginStep, Error> {
    let metadata = Idp::of(settings)?.metadata()?;
    let endpoint = metadata.authorization_endpoint.as_deref().ok_or_else(|| {
        Error::unavailable("the discovery document names no authorization endpoint")
    })?;
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", settings.client.id.as_str()),
        ("redirect_uri", &attempt.redirect_uri),
        ("scope", scope),
        ("state", &attempt.state),
        ("nonce", &attempt.nonce),
        ("code_challenge", &attempt.code_challenge),
        ("code_challenge_method", "S256"),
    ];
    if let Some(hint) = hint {
        parameters.push(("kc_idp_hint", hint));
    }
    let location = oauth::authorization_url(endpoint, &parameters);
    Ok(LoginStep::Redirect(Redirect { location, state }))
}

/// Finds out who has come back, and whether they may come in.
pub(crate) fn complete(settings: &Settings, callback: Callback) -> Result<LoginStep, Error> {
    if callback.state.data.starts_with(SECOND) {
        return complete_second(settings, callback);
    }
    let idp = Idp::of(settings)?;
    let Tokens { access, refresh, id, answer } = exchange(settings, &idp, &callback)?;
    let id = id.ok_or_else(|| {
        Error::unavailable("there is no ID token: is `openid` a scope that the client may have?")
    })?;
    let arrived = idp.arrived(&id, &access, Some(&callback.nonce))?;
    settings.rules.admit(&arrived.identity)?;
    let identity = arrived.identity.clone();
    let is_enough = !wants_offline(settings, &arrived)?;
    let session = session::begun(&idp, arrived, id, refresh, &answer);
    if is_enough {
        return Ok(signed_in(settings, identity, session, &access, None));
    }
    let state = suspended(session, access);
    trip(
        settings,
        &callback.next,
        &settings.scope(true),
        settings.client.idp_hint.as_deref(),
        state,
    )
}

fn exchange(settings: &Settings, idp: &Idp<'_>, callback: &Callback) -> Result<Tokens, Error> {
    let metadata = idp.metadata()?;
    idp.check_callback(&metadata, callback.parameter("iss"))?;
    if let Some(error) = callback.parameter("error") {
        return Err(oauth::declined(WHO, error));
    }
    let code = callback.code.as_ref();
    let code = code.ok_or_else(|| Error::unauthenticated("there is no code in the callback"))?;
    let secret = settings::client_secret()?;
    settings
        .token_endpoint(Idp::token_url(&metadata)?, &secret)
        .exchange(code, &callback.code_verifier, &callback.redirect_uri)
        .map_err(|failure| failure.of_code_exchange(WHO))
}

/// Whether another trip is needed for the token that outlives the browser.
fn wants_offline(settings: &Settings, arrived: &Arrived) -> Result<bool, Error> {
    if !settings.client.offline {
        return Ok(false);
    }
    if let Some(alias) = &arrived.by_way_of {
        // Such as `saml`, or `corporate:saml` where the claim has the type as well.
        let kind = alias.rsplit(':').next();
        let none = |excepted: &String| excepted == alias || Some(excepted.as_str()) == kind;
        if settings.client.no_offline_for.iter().any(none) {
            return Ok(false);
        }
    }
    let stored = token_store::load(arrived.identity.user_id.as_deref(), offline::NAME)?;
    let usable = stored.is_some_and(|stored| {
        stored.state == TokenState::Active
            && stored.refresh.is_some()
            && stored.refresh_expires_at.is_none_or(|end| clock::now() < end)
    });
    Ok(!usable)
}

/// What the first trip brought, for the time of the second.
fn suspended(session: Session, access: Secret) -> LoginState {
    let number = |instant: Option<u64>| instant.map(|at| at.to_string()).unwrap_or_default();
    let mut data = SECOND.to_vec();
    let idp_session_id = session.idp_session_id.unwrap_or_default();
    let (refresh_at, expires_at) = (number(session.refresh_at), number(session.expires_at));
    data.extend(format!("{refresh_at}\n{expires_at}\n{idp_session_id}\n").into_bytes());
    data.extend(session.data);
    let mut secrets = session.secrets;
    secrets.push(NamedSecret::new(ACCESS, access));
    LoginState { data, secrets }
}

/// The session and the access token of the first trip.
fn resumed(state: LoginState) -> Option<(Session, Secret)> {
    let mut data = state.data.strip_prefix(SECOND)?;
    let mut line = || {
        let end = data.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = data.split_at(end);
        data = &rest[1..];
        std::str::from_utf8(line).ok()
    };
    let (refresh_at, expires_at, id) = (line()?, line()?, line()?);
    let mut secrets = state.secrets;
    let access = secrets.iter().position(|secret| secret.name == ACCESS)?;
    let access = secrets.swap_remove(access).value;
    let session = Session {
        secrets,
        refresh_at: refresh_at.parse().ok(),
        expires_at: expires_at.parse().ok(),
        idp_session_id: Some(id.to_owned()).filter(|id| !id.is_empty()),
        ..Session::new(data)
    };
    Some((session, access))
}

/// Back with the offline token, or without: the browser is let in all the same, unless
/// somebody else comes back.
fn complete_second(settings: &Settings, mut callback: Callback) -> Result<LoginStep, Error> {
    let idp = Idp::of(settings)?;
    let state = LoginState { data: Vec::new(), secrets: Vec::new() };
    let state = std::mem::replace(&mut callback.state, state);
    let (session, access) =
        resumed(state).ok_or_else(|| Error::internal("the state of the log-in is of no trip"))?;
    let identity = session::person(&session, &idp.issuer.id)?;
    // It was a while at the identity provider's.
    settings.rules.admit(&identity)?;
    let tokens = match exchange(settings, &idp, &callback) {
        Ok(tokens) => tokens,
        Err(error) => {
            let reason = format!("{error:?}");
            log::warn("there is no offline token for this user", &[("reason", &reason)]);
            return Ok(signed_in(settings, identity, session, &access, None));
        }
    };
    let id = tokens.id.as_ref();
    let id = id.ok_or_else(|| Error::unauthenticated("the second trip brought no ID token"))?;
    let again = idp.arrived(id, &tokens.access, Some(&callback.nonce))?;
    if again.identity.user_id != identity.user_id {
        return Err(Error::unauthenticated("somebody else came back from the second trip"));
    }
    let offline = offline_token(tokens.refresh, &tokens.answer);
    Ok(signed_in(settings, identity, session, &tokens.access, offline))
}

/// The offline token, where it is one.
fn offline_token(refresh: Option<Secret>, answer: &Answer) -> Option<NewToken> {
    if refresh.is_none() || !offline::is_granted(answer) {
        log::warn("the identity provider grants no offline access to this user or client", &[]);
        return None;
    }
    Some(NewToken {
        name: offline::NAME.into(),
        access: None,
        refresh,
        access_expires_at: None,
        refresh_expires_at: oauth::expires_at(clock::now(), answer.refresh_expires_in),
        host: None,
        account_id: None,
    })
}

fn signed_in(
    settings: &Settings,
    identity: Identity,
    session: Session,
    access: &Secret,
    offline: Option<NewToken>,
) -> LoginStep {
    let mut tokens = provider_tokens::at_log_in(settings, identity.user_id.as_deref(), access);
    tokens.extend(offline);
    LoginStep::SignedIn(SignedIn { identity, session, tokens })
}
