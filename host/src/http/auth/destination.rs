//! Where a browser goes when it is signed in.

use http::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{Query, return_to::target};
use crate::{
    config::Config,
    host::Host,
    http::{Problem, authz::hosts::Wanted, session::Cookies},
    store::SessionKey,
};

/// Where a browser goes when it is signed in.
pub(super) enum Destination {
    /// What a page of this host, or of an allowed origin, asked for by name.
    Named(String),
    /// What a gateway was asked for, and as it was sealed then.
    App(Wanted, String),
}

impl Destination {
    pub(super) fn of(
        query: &Query,
        host: &Host,
        config: &Config,
        origin: &Url,
    ) -> Result<Option<Self>, Problem> {
        if let Some(sealed) = query.only("to")? {
            let wanted = Wanted::opened(host, config, sealed);
            return Ok(wanted.map(|wanted| Self::App(wanted, sealed.to_owned())));
        }
        let allowed = &config.server.allowed_origins;
        let named = query.only("return_to")?.and_then(|to| target(to, origin, allowed));
        Ok(named.map(Self::Named))
    }

    /// As people know it.
    pub(super) fn shown(&self) -> &str {
        match self {
            Self::Named(to) => to,
            Self::App(wanted, _) => wanted.url(),
        }
    }

    /// Where the trip to the identity provider begins.
    pub(super) fn start(&self) -> String {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        match self {
            Self::Named(to) => format!("/auth/login/start?return_to={}", encoded(to)),
            Self::App(_, sealed) => format!("/auth/login/start?to={}", encoded(sealed)),
        }
    }

    /// Where a browser goes that has just signed in. To an app by way of the log-in
    /// page, which looks at the session's cookie.
    pub(super) fn after_log_in(self) -> String {
        match self {
            Self::Named(to) => to,
            Self::App(_, sealed) => format!("/auth/login?to={sealed}"),
        }
    }

    /// Where a browser goes that is signed in; nowhere where an app could not know it.
    pub(super) fn reached(
        self,
        host: &Host,
        config: &Config,
        headers: &HeaderMap,
    ) -> Option<String> {
        match self {
            Self::Named(to) => Some(to),
            Self::App(wanted, _) => {
                let cookies = Cookies::of(&config.server);
                let key = cookies.session(headers).ok().flatten().and_then(SessionKey::parse)?;
                wanted.reached_with(host, config, &key)
            }
        }
    }
}
