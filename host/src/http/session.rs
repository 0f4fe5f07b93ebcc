//! Cookies: the only place that reads and writes them (RFC 6265bis).
//!
//! Over https their names begin with `__Host-`: such a cookie was set by this
//! very host over https, and no other host can plant one. On a plain localhost,
//! where browsers refuse that, they have no prefix and no `Secure`.

use http::{HeaderMap, HeaderValue, header};

use super::Problem;
use crate::{
    config::{App, Server},
    hex,
    http::shown::shown,
    secret,
    store::NewSession,
};

/// Log-ins that one browser may have on their way.
const MAX_LOGINS: usize = 5;
/// What the cookies of all of them may take, in bytes: servers refuse headers
/// that are not much longer.
const MAX_LOGIN_BYTES: usize = 3_500;

/// How this host's cookies look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookies {
    secure: bool,
    /// The host is that of an app.
    app: bool,
}

impl Cookies {
    pub(super) fn of(server: &Server) -> Self {
        Self { secure: server.is_https(), app: false }
    }

    /// Those of an app on another host.
    pub(super) fn of_app(app: &App) -> Self {
        Self { secure: app.origin.scheme() == "https", app: true }
    }

    const fn session_name(self) -> &'static str {
        match (self.secure, self.app) {
            (true, false) => "__Host-vestibule-session",
            (false, false) => "vestibule-session",
            (true, true) => "__Host-vestibule-app",
            (false, true) => "vestibule-app",
        }
    }

    const fn browser_name(self) -> &'static str {
        if self.secure { "__Host-vestibule-browser" } else { "vestibule-browser" }
    }

    const fn login_prefix(self) -> &'static str {
        if self.secure { "__Host-vestibule-login-" } else { "vestibule-login-" }
    }

    /// One cookie for each log-in, so that several tabs do not meet.
    fn login_name(self, state: &str) -> String {
        let digest = hex::encode(&secret::digest_of(state)[..6]);
        format!("{}{digest}", self.login_prefix())
    }

    /// What the session's cookie holds. Two that differ are refused: somebody
    /// has planted one of them.
    pub(super) fn session(self, headers: &HeaderMap) -> Result<Option<&str>, Problem> {
        let mut values =
            cookies(headers).filter(|(name, _)| *name == self.session_name().as_bytes());
        let Some((_, value)) = values.next() else { return Ok(None) };
        if values.any(|(_, other)| other != value) {
            return Err(Problem::ambiguous("two session cookies differ"));
        }
        let text = str::from_utf8(value).map_err(|_| self.bad_session("it is not ASCII"))?;
        Ok(Some(text))
    }

    /// A session cookie is bad or over: a 401 that deletes it.
    pub(super) fn bad_session(self, reason: &str) -> Problem {
        Problem::bad_credential(format!("the session cookie: {reason}")).clearing(self.no_session())
    }

    /// Deletes the session's cookie.
    pub(super) const fn no_session(self) -> &'static str {
        match (self.secure, self.app) {
            (true, false) => {
                "__Host-vestibule-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"
            }
            (false, false) => "vestibule-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
            (true, true) => {
                "__Host-vestibule-app=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
            }
            (false, true) => "vestibule-app=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
        }
    }

    /// Sets the session's cookie. `Strict`, so that no other site's link or form
    /// comes with it; a plain localhost is for development, where pages of other
    /// ports count as one site anyway and a link from elsewhere should work. `Lax`
    /// for an app: links lead to it from everywhere, and what it does with a form of
    /// another site is its own to say.
    pub(super) fn new_session(self, session: &NewSession, now: u64) -> HeaderValue {
        let value = shown(session.key.text());
        let age = session.expires_at.saturating_sub(now);
        let name = self.session_name();
        let secure = if self.secure { "; Secure" } else { "" };
        let site = if self.secure && !self.app { "Strict" } else { "Lax" };
        ours(&format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly{secure}; SameSite={site}"))
    }

    /// What tells this browser from others while it is on its way to a log-in.
    pub(super) fn browser(self, headers: &HeaderMap) -> Option<&str> {
        let (_, value) =
            cookies(headers).find(|(name, _)| *name == self.browser_name().as_bytes())?;
        str::from_utf8(value).ok()
    }

    /// Has the browser keep what tells it from others, for as long as a log-in may take.
    pub(super) fn new_browser(self, value: &str, seconds: u64) -> HeaderValue {
        let name = self.browser_name();
        let secure = if self.secure { "; Secure" } else { "" };
        ours(&format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly{secure}; SameSite=Lax"))
    }

    /// What the browser carries of the log-in with this anti-forgery value.
    pub(super) fn login(self, headers: &HeaderMap, state: &str) -> Option<String> {
        let name = self.login_name(state);
        let (_, value) = cookies(headers).find(|(found, _)| *found == name.as_bytes())?;
        String::from_utf8(value.to_vec()).ok()
    }

    /// Has the browser carry a log-in, for as long as it may take; the oldest
    /// ones go where there are too many beside the one that is done. `Lax`, because
    /// the browser comes back from another site.
    pub(super) fn new_login(
        self,
        headers: &HeaderMap,
        state: &str,
        sealed: &str,
        seconds: u64,
        done: Option<&str>,
    ) -> Vec<HeaderValue> {
        let name = self.login_name(state);
        let done = done.map(|state| self.login_name(state));
        let secure = if self.secure { "; Secure" } else { "" };
        let mut set = vec![ours(&format!(
            "{name}={sealed}; Path=/; Max-Age={seconds}; HttpOnly{secure}; SameSite=Lax"
        ))];
        let mut count = 1;
        let mut bytes = name.len() + sealed.len();
        // Browsers send the oldest first (RFC 6265bis section 5.8.3).
        let pending: Vec<_> = cookies(headers)
            .filter(|(found, _)| {
                found.starts_with(self.login_prefix().as_bytes())
                    && *found != name.as_bytes()
                    && done.as_ref().is_none_or(|done| *found != done.as_bytes())
            })
            .collect();
        for (found, value) in pending.into_iter().rev() {
            count += 1;
            bytes += found.len() + value.len();
            if (count > MAX_LOGINS || bytes > MAX_LOGIN_BYTES)
                && let Ok(found) = str::from_utf8(found)
            {
                set.push(self.deleted_login(found));
            }
        }
        set
    }

    /// Deletes what the browser carries of a log-in.
    pub(super) fn no_login(self, state: &str) -> HeaderValue {
        self.deleted_login(&self.login_name(state))
    }

    fn deleted_login(self, name: &str) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        ours(&format!("{name}=; Path=/; Max-Age=0; HttpOnly{secure}; SameSite=Lax"))
    }
}

/// A cookie of our own: names, base64 and digits.
fn ours(cookie: &str) -> HeaderValue {
    HeaderValue::from_str(cookie).unwrap_or_else(|_| unreachable!("our own cookies are ASCII"))
}

/// Every cookie of a request, in the order sent. Bytes, because those of other
/// applications on the same host can hold anything.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let pair = pair.trim_ascii();
            let end = pair.iter().position(|byte| *byte == b'=')?;
            Some((&pair[..end], &pair[end + 1..]))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECURE: Cookies = Cookies { secure: true, app: false };

    fn with(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_session_s_cookie_is_found_among_others_and_by_its_whole_name() {
        for line in [
            "a=1; __Host-vestibule-session=key; b=2",
            "__Host-vestibule-session=key",
            "x__Host-vestibule-session=no;__Host-vestibule-session=key",
            "__Host-vestibule-session=key; __Host-vestibule-session=key",
            "vestibule-session=planted; __Host-vestibule-session=key",
        ] {
            assert_eq!(SECURE.session(&with(&[line])).unwrap(), Some("key"), "{line}");
        }
        for line in ["", "a=1", "vestibule-session=planted", "__host-vestibule-session=key"] {
            assert_eq!(SECURE.session(&with(&[line])).unwrap(), None, "{line}");
        }
    }

    #[test]
    fn two_session_cookies_that_differ_are_refused() {
        let name = "__Host-vestibule-session";
        assert!(SECURE.session(&with(&[&format!("{name}=a; {name}=b")])).is_err());
        let (one, other) = (format!("{name}=a"), format!("{name}=b"));
        assert!(SECURE.session(&with(&[&one, &other])).is_err());
    }

    #[test]
    fn the_oldest_log_ins_go_where_a_browser_has_too_many() {
        let name = |state: &str| SECURE.login_name(state);
        let pending: Vec<String> = ["1", "2", "3", "4", "5", "6"]
            .iter()
            .map(|state| format!("{}=x", name(state)))
            .collect();
        let set = SECURE.new_login(&with(&[&pending.join("; ")]), "7", "sealed", 600, None);
        let deleted: Vec<&str> = set[1..].iter().map(|cookie| cookie.to_str().unwrap()).collect();
        assert_eq!(deleted.len(), 2);
        for state in ["1", "2"] {
            let gone =
                deleted.iter().any(|cookie| cookie.starts_with(&format!("{}=;", name(state))));
            assert!(gone, "{state} of {deleted:?}");
        }
        let long = format!("{}={}", name("1"), "x".repeat(3_000));
        let set = SECURE.new_login(&with(&[&long]), "2", &"y".repeat(600), 600, None);
        assert_eq!(set.len(), 2, "a log-in too long for its fellow");
    }
}
