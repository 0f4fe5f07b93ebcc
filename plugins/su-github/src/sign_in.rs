//! The browser's way to GitHub and back.

use vestibule_sdk::{
    Error, NewToken, Secret, Session, clock,
    http::{self, Authorization, Field, Method, Response},
    log,
    login::{Attempt, Callback, LoginStep, SignedIn},
    oauth::{self, Tokens},
};

use crate::{
    account::Account,
    allowed::Allowed,
    owner,
    settings::{self, Settings},
    tokens,
};

/// How long the API may take, in seconds: a log-in asks it after the token
/// endpoint, within one call.
pub(crate) const PATIENCE: u32 = 4;

/// Sends the browser to GitHub.
pub(crate) fn begin(settings: &Settings, attempt: &Attempt) -> Result<LoginStep, Error> {
    // Nobody needs to go there whom the settings cannot let in.
    settings.allowed()?;
    let scope = settings.scopes.join(" ");
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", &attempt.redirect_uri),
        ("state", &attempt.state),
        ("code_challenge", &attempt.code_challenge),
        ("code_challenge_method", "S256"),
    ];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    let page = settings.page("/login/oauth/authorize");
    Ok(LoginStep::redirect(oauth::authorization_url(&page, &parameters), *b""))
}

/// Finds out who has come back, and whether they may come in.
pub(crate) fn complete(settings: &Settings, callback: &Callback) -> Result<LoginStep, Error> {
    if let Some(error) = callback.parameter("error") {
        return Err(oauth::declined("GitHub", error));
    }
    let code = callback.code.as_ref();
    let code = code.ok_or_else(|| Error::unauthenticated("there is no code in the callback"))?;
    let secret = settings::client_secret()?;
    let url = settings.page("/login/oauth/access_token");
    let tokens = settings
        .token_endpoint(&url, &secret)
        .exchange(code, &callback.code_verifier, &callback.redirect_uri)
        .map_err(|failure| failure.of_code_exchange("GitHub"))?;
    warn_of_fewer_scopes(settings, tokens.answer.scope.as_deref());

    let account = whose(settings, &tokens.access)?;
    let allowed = settings.allowed()?;
    if !allowed.admits(account.id, &account.login) {
        return Err(Error::forbidden(format!(
            "the account {} ({}) is not the one that is allowed",
            account.id, account.login
        )));
    }
    if let Allowed::Login(_) = allowed {
        owner::confirm(settings, &account)?;
    }
    Ok(LoginStep::SignedIn(SignedIn {
        session: Session::new(account.remember(settings.host())),
        tokens: vec![provider_token(settings, &account, tokens)],
        identity: account.into_identity(),
    }))
}

/// The account that a token belongs to.
fn whose(settings: &Settings, token: &Secret) -> Result<Account, Error> {
    let reply = ask_user(settings, token)?;
    match reply.status {
        200 if is_json(&reply) => Account::read(&reply.body),
        401 => Err(Error::unauthenticated("GitHub does not know its own token")),
        status => Err(Error::unavailable(format!("GitHub describes no account: status {status}"))),
    }
}

fn is_json(reply: &Response) -> bool {
    let kind = reply.header("content-type").and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Asks GitHub about the owner of a token.
pub(crate) fn ask_user(settings: &Settings, token: &Secret) -> Result<Response, http::HttpError> {
    http::send(&http::Request {
        headers: api_headers(),
        authorization: Authorization::Bearer(token),
        timeout_seconds: Some(PATIENCE),
        ..http::Request::new(Method::Get, settings.api("/user"))
    })
}

/// What the API wants of every request.
pub(crate) fn api_headers() -> Vec<Field<'static>> {
    vec![
        Field::text("accept", "application/vnd.github+json"),
        Field::text("x-github-api-version", "2022-11-28"),
    ]
}

fn provider_token(settings: &Settings, account: &Account, tokens: Tokens) -> NewToken {
    let now = clock::now();
    NewToken {
        name: tokens::NAME.into(),
        access: Some(tokens.access),
        access_expires_at: oauth::expires_at(now, tokens.answer.expires_in),
        refresh_expires_at: tokens
            .refresh
            .is_some()
            .then(|| oauth::expires_at(now, tokens.answer.refresh_expires_in))
            .flatten(),
        refresh: tokens.refresh,
        host: settings.other_host().map(Into::into),
        account_id: Some(account.id.to_string()),
    }
}

/// A visitor can take scopes away at GitHub; what is left is stored as it is.
fn warn_of_fewer_scopes(settings: &Settings, granted: Option<&str>) {
    let missing = missing_scopes(&settings.scopes, granted.unwrap_or_default());
    if !missing.is_empty() {
        log::warn("GitHub granted less than was asked for", &[("missing", &missing.join(" "))]);
    }
}

/// What was asked for and not granted. GitHub separates by commas, the standard
/// by spaces; a scope includes those below it, which GitHub then leaves out.
fn missing_scopes<'a>(asked: &'a [String], granted: &str) -> Vec<&'a str> {
    let granted: Vec<&str> = granted.split([',', ' ']).collect();
    let covered = |scope: &str| {
        let whole = scope.split_once(':').map_or(scope, |(area, below)| match area {
            "read" | "write" | "admin" => below,
            _ => area,
        });
        granted.iter().any(|held| {
            *held == scope
                || *held == whole
                || held.split_once(':').is_some_and(|(_, h)| h == whole)
        })
    };
    asked.iter().map(String::as_str).filter(|scope| !covered(scope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_was_taken_away_is_named() {
        let asked = ["repo".to_owned(), "read:org".to_owned(), "user:email".to_owned()];
        assert_eq!(missing_scopes(&asked, "repo,read:org,user:email"), [""; 0]);
        assert_eq!(missing_scopes(&asked, "repo,admin:org,user"), [""; 0]);
        assert_eq!(missing_scopes(&asked, "read:org"), ["repo", "user:email"]);
        assert_eq!(missing_scopes(&asked, ""), ["repo", "read:org", "user:email"]);
        assert_eq!(missing_scopes(&[], ""), [""; 0]);
    }
}
