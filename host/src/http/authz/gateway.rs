//! What each gateway says of the request that it asks about.

use http::{HeaderMap, header, request::Parts};

use super::target::Target;
use crate::http::{Problem, credential::only_value};

/// Below it, Envoy asks by the request's own path.
const ENVOY: &str = "/authz/envoy";

/// A gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Gateway {
    /// nginx, by `auth_request`.
    Nginx,
    /// Caddy, by `forward_auth`.
    Caddy,
    /// Traefik, by `ForwardAuth`.
    Traefik,
    /// Envoy, by `ext_authz` over HTTP.
    Envoy,
}

impl Gateway {
    /// Reads the gateway's own headers; those of the others can be any client's.
    pub(super) fn target(self, parts: &Parts) -> Result<Target, Problem> {
        match self {
            Self::Nginx => original(&parts.headers),
            Self::Caddy | Self::Traefik => forwarded(&parts.headers),
            Self::Envoy => below(parts),
        }
    }

    /// The host and the path that are decided about.
    #[cfg(fuzzing)]
    pub(in crate::http) fn fuzzed(self, parts: &Parts) -> Result<(String, String), Problem> {
        self.target(parts).map(Target::fuzzed)
    }
}

fn original(headers: &HeaderMap) -> Result<Target, Problem> {
    let url = required(headers, "x-original-url")?;
    let method = required(headers, "x-original-method")?;
    let no_url = || Problem::ambiguous("X-Original-URL is no absolute URL");
    let (scheme, rest) = url.split_once("://").ok_or_else(no_url)?;
    let end = rest.find(['/', '?', '#']).ok_or_else(no_url)?;
    let (authority, path) = rest.split_at(end);
    Target::new(method, scheme, authority, path)
}

fn forwarded(headers: &HeaderMap) -> Result<Target, Problem> {
    let method = required(headers, "x-forwarded-method")?;
    let scheme = required(headers, "x-forwarded-proto")?;
    let authority = required(headers, "x-forwarded-host")?;
    let path = required(headers, "x-forwarded-uri")?;
    Target::new(method, scheme, authority, path)
}

fn below(parts: &Parts) -> Result<Target, Problem> {
    if parts.uri.authority().is_some() {
        return Err(Problem::ambiguous("the request names its host twice"));
    }
    let scheme = required(&parts.headers, "x-forwarded-proto")?;
    let authority = required(&parts.headers, header::HOST.as_str())?;
    let asked = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let path = asked.strip_prefix(ENVOY).unwrap_or_default();
    Target::new(parts.method.as_str(), scheme, authority, path)
}

fn required<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Problem> {
    only_value(headers, name)?.ok_or_else(|| {
        Problem::ambiguous("a header is missing that a gateway sends")
            .because(format!("{name} is missing; see examples/gateways for what to configure"))
    })
}
