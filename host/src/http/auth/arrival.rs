//! A browser that is in, or goes on another trip.

use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderMap, header, request::Parts};

use super::{NO_REFERRER, attempt::Trip};
use crate::{
    engine::{LoginStep, SignedIn, Strategy},
    host::Host,
    http::{Problem, pages, session::Cookies, trail::Trail},
    store::{AuditEntry, LOGIN_SECONDS, SessionKey},
};

/// A browser in the middle of a log-in.
pub(super) struct Arrival<'a> {
    host: &'a Host,
    cookies: Cookies,
    headers: &'a HeaderMap,
    trail: Trail,
}

impl<'a> Arrival<'a> {
    pub(super) fn of(parts: &'a Parts, host: &'a Host, generation: &Strategy) -> Self {
        let cookies = Cookies::of(&generation.config().server);
        let trail = Trail::of(parts, host, generation);
        Self { host, cookies, headers: &parts.headers, trail }
    }

    /// On to the identity provider, or in. `done` is the trip that ended here.
    pub(super) async fn go_on(
        &self,
        step: LoginStep,
        trip: Trip,
        done: Option<&str>,
    ) -> Result<Response, Problem> {
        let mut response = match step {
            LoginStep::Redirect { location, kept } => {
                let pending = trip.pending(kept, self.host.clock().now());
                // Who has not been anywhere yet gets no room in the database.
                let carried = self.host.store().keep_login(&pending, done.is_some()).await?;
                let carried = carried.ok_or_else(|| {
                    Problem::broken()
                        .because("the strategy keeps more of a log-in than a cookie can hold")
                })?;
                let mut response = Redirect::to(location.as_str()).into_response();
                let (state, seconds) = (&pending.state, LOGIN_SECONDS);
                let set = self.cookies.new_login(self.headers, state, &carried, seconds, done);
                for cookie in set {
                    response.headers_mut().append(header::SET_COOKIE, cookie);
                }
                response
            }
            LoginStep::SignedIn(arrived) => self.let_in(*arrived, &trip.return_to).await?,
        };
        if let Some(done) = done {
            response.headers_mut().append(header::SET_COOKIE, self.cookies.no_login(done));
        }
        // Nothing of the callback's address goes anywhere (RFC 9700 section 4.2).
        response.headers_mut().insert(header::REFERRER_POLICY, NO_REFERRER);
        Ok(response)
    }

    /// Begins the session, under a new id.
    async fn let_in(&self, arrived: SignedIn, to: &str) -> Result<Response, Problem> {
        let store = self.host.store();
        // Whatever the browser presents is not asked who it is; it ends.
        let before = self.cookies.session(self.headers).ok().flatten().and_then(SessionKey::parse);
        let user = store.establish_user(&arrived.identity).await?;
        let begun =
            store.begin_session(&user.id, &arrived.session, &arrived.tokens, before.as_ref()).await;
        let scope = user.scope();
        let entry = AuditEntry {
            actor: Some(user.id.to_string()),
            org: Some(scope.org.to_string()),
            ..self.trail.entry("log-in", None)
        };
        let session = match begun {
            Ok(session) => session,
            Err(error) => {
                let (outcome, reason) = ("refused".to_owned(), Some(error.to_string()));
                self.trail.note(&AuditEntry { outcome, reason, ..entry }).await;
                return Err(error.into());
            }
        };
        // Nobody comes in unseen.
        if let Err(problem) = self.trail.require(&entry).await {
            store.end_session(&session.key).await?;
            return Err(problem);
        }
        let mut response = pages::onward(to).into_response();
        let cookie = self.cookies.new_session(&session, self.host.clock().now());
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    }
}
