//! What is kept of a browser, and how it goes on.
//!
//! The tokens of the browser's own grant are here; the offline token, which is
//! another grant, never is.

use vestibule_sdk::{
    Decision, Error, Identity, NamedSecret, Outcome, Secret, Session, SessionChange,
    SessionCredential, clock,
    oauth::{self, Answer, Failure, Tokens},
    session_store,
};

use crate::{
    idp::{Arrived, Idp},
    person,
    rules::Rules,
    settings::{self, Place, Settings},
};

/// The names of the secrets in a session.
const REFRESH: &str = "refresh";
pub(crate) const ID_TOKEN: &str = "id";

/// After how many seconds to renew what says that it is over at once.
const NONSENSE: u64 = 60;

/// After how many seconds to ask again where the identity provider gave no answer and
/// the access token has not expired.
const ASK_AGAIN: u64 = 10;

/// When the tokens of a session expire; `None` means never, or that there is none.
///
/// The end of the refresh token is no end for the host to keep: the next one lives on,
/// and a session never lasts longer than the host was told at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    access: Option<u64>,
    refresh: Option<u64>,
}

/// A session of a browser that has just arrived.
pub(crate) fn begun(
    idp: &Idp<'_>,
    arrived: Arrived,
    id: Secret,
    refresh: Option<Secret>,
    answer: &Answer,
) -> Session {
    let now = clock::now();
    let mut session = Session {
        idp_session_id: arrived.session_id,
        secrets: vec![NamedSecret::new(ID_TOKEN, id)],
        ..Session::new(Vec::new())
    };
    // Without a token to renew it with, it lasts as long as the host lets it.
    let mut ends = Ends::default();
    if let Some(refresh) = refresh {
        session.secrets.push(NamedSecret::new(REFRESH, refresh));
        session.refresh_at = due(now, answer.expires_in);
        ends = Ends {
            access: oauth::expires_at(now, answer.expires_in),
            refresh: oauth::expires_at(now, answer.refresh_expires_in),
        };
    }
    session.data = remember(&arrived.identity, idp, ends);
    session
}

/// When to renew what lives for so long.
fn due(now: u64, lifetime: Option<u64>) -> Option<u64> {
    lifetime.map(|seconds| match seconds {
        0 => now + NONSENSE,
        seconds => now + seconds - oauth::margin(seconds),
    })
}

fn remember(who: &Identity, idp: &Idp<'_>, ends: Ends) -> Vec<u8> {
    let number = |instant: Option<u64>| instant.map(|at| at.to_string()).unwrap_or_default();
    let mut data = format!("{} {}\n", number(ends.access), number(ends.refresh)).into_bytes();
    data.extend(person::remember(who, &idp.issuer.id));
    data
}

/// Who is in a session, and when its tokens expire.
fn recall(session: &Session, issuer: &str) -> Result<(Identity, Ends), Error> {
    let end = session.data.iter().position(|byte| *byte == b'\n');
    let read = || {
        let (ends, rest) = session.data.split_at(end?);
        let who = person::recall(rest.get(1..)?, issuer)?;
        let (access, refresh) = std::str::from_utf8(ends).ok()?.split_once(' ')?;
        Some((who, Ends { access: access.parse().ok(), refresh: refresh.parse().ok() }))
    };
    read().ok_or_else(|| Error::unauthenticated("the session is of another issuer"))
}

/// Who is in a session.
pub(crate) fn person(session: &Session, issuer: &str) -> Result<Identity, Error> {
    recall(session, issuer).map(|(who, _)| who)
}

/// Who sends a request with a session, without a word to the identity provider unless
/// the session is due.
pub(crate) fn decide(presented: SessionCredential) -> Result<Decision, Error> {
    if presented.refresh {
        let settings = Settings::read()?;
        return renew(&settings, &Idp::of(&settings)?, presented.session);
    }
    let place: Place = vestibule_sdk::settings::parse()?;
    let who = person(&presented.session, &place.issuer()?.id)?;
    admitted(&vestibule_sdk::settings::parse()?, who).map(Decision::authenticated)
}

/// Who may no longer come in has no session and no key.
pub(crate) fn admitted(rules: &Rules, who: Identity) -> Result<Identity, Error> {
    match rules.admit(&who) {
        Ok(()) => Ok(who),
        Err(Error::Forbidden(reason)) => Err(Error::Unauthenticated(reason)),
        Err(error) => Err(error),
    }
}

fn renew(settings: &Settings, idp: &Idp<'_>, session: Session) -> Result<Decision, Error> {
    let (who, ends) = recall(&session, &idp.issuer.id)?;
    let who = admitted(&settings.rules, who)?;
    if ends.refresh.is_some_and(|end| end <= clock::now()) {
        return Err(Error::unauthenticated("the refresh token has expired"));
    }
    let refresh = session.secret(REFRESH);
    let refresh = refresh.ok_or_else(|| Error::unauthenticated("nothing renews the session"))?;
    let reason = match ask(settings, idp, refresh)? {
        Ok(tokens) => return go_on(settings, idp, session, who, tokens),
        Err(Failure::Definite(reason)) => return Err(given_up(refresh, reason)),
        Err(failure) => failure.told("the identity provider"),
    };
    session_store::abandon_rotation().map_err(of_store)?;
    let now = clock::now();
    let Some(end) = ends.access.filter(|&end| now < end) else {
        return Err(Error::unavailable(format!("the session cannot be renewed now: {reason}")));
    };
    // Renewal begins before the end: until then nothing is amiss.
    let later = Session { refresh_at: Some(end.min(now + ASK_AGAIN)), ..session };
    Ok(Decision { outcome: Outcome::Authenticated(who), session: SessionChange::Replace(later) })
}

/// Sends the refresh token, which may work once.
fn ask(
    settings: &Settings,
    idp: &Idp<'_>,
    refresh: &Secret,
) -> Result<Result<Tokens, Failure>, Error> {
    let client_secret = settings::client_secret()?;
    let metadata = match idp.metadata() {
        Ok(metadata) => metadata,
        Err(Error::Unavailable(reason)) => return Ok(Err(Failure::Transient(reason))),
        Err(error) => return Err(error),
    };
    let url = Idp::token_url(&metadata)?;
    session_store::begin_rotation().map_err(of_store)?;
    Ok(settings.token_endpoint(url, &client_secret).refresh(refresh))
}

/// The refresh token is refused for good, unless somebody else has a newer one by now.
fn given_up(refresh: &Secret, reason: String) -> Error {
    match session_store::current() {
        Ok(current) if current.secret(REFRESH).is_some_and(|newer| !newer.equals(refresh)) => {
            Error::unavailable("another call renewed the session in the meantime")
        }
        _ => Error::Unauthenticated(reason),
    }
}

/// Saves the new tokens before anything else can go wrong, and only then looks at them.
fn go_on(
    settings: &Settings,
    idp: &Idp<'_>,
    session: Session,
    before: Identity,
    tokens: Tokens,
) -> Result<Decision, Error> {
    let Tokens { access, refresh, id, answer } = tokens;
    let now = clock::now();
    let (_, before_ends) = recall(&session, &idp.issuer.id)?;
    let renewed = id.is_some();
    let ends = Ends {
        access: oauth::expires_at(now, answer.expires_in),
        refresh: match refresh {
            Some(_) => oauth::expires_at(now, answer.refresh_expires_in),
            // RFC 6749 section 6: the old one goes on.
            None => before_ends.refresh,
        },
    };
    let mut secrets = session.secrets;
    for (name, newer) in [(REFRESH, refresh), (ID_TOKEN, id)] {
        if let Some(newer) = newer {
            secrets.retain(|secret| secret.name != name);
            secrets.push(NamedSecret::new(name, newer));
        }
    }
    session_store::save(Session {
        data: remember(&before, idp, ends),
        secrets,
        refresh_at: due(now, answer.expires_in),
        expires_at: session.expires_at,
        idp_session_id: session.idp_session_id,
    })
    .map_err(of_store)?;
    if !renewed {
        return Ok(Decision::authenticated(before));
    }
    let current = session_store::current().map_err(of_store)?;
    let id = current.secret(ID_TOKEN).ok_or_else(|| Error::internal("the session lost a token"))?;
    let who = idp.arrived(id, &access, None)?.identity;
    if who.user_id != before.user_id {
        return Err(Error::unauthenticated("the renewed tokens are of another person"));
    }
    let who = admitted(&settings.rules, who)?;
    let session = if who == before {
        SessionChange::Keep
    } else {
        SessionChange::Replace(Session { data: remember(&who, idp, ends), ..current })
    };
    Ok(Decision { outcome: Outcome::Authenticated(who), session })
}

fn of_store(error: session_store::SessionError) -> Error {
    match error {
        session_store::SessionError::NotRenewing => Error::internal("the session is not due"),
        session_store::SessionError::LeaseLost => {
            Error::unavailable("another call may be renewing the session")
        }
        session_store::SessionError::Unavailable(reason) => Error::unavailable(reason),
    }
}
