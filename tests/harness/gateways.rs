//! Gateways, as far as Vestibule can tell them: each asks in its own dialect.

use crate::{
    Caller, Reply, TestApp,
    envoy::{self, Asked},
};

/// Where the gateways of the tests are.
pub const ADDRESS: &str = "127.0.0.1";

/// A gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// By `/authz/nginx`.
    Nginx,
    /// By `/authz/caddy`.
    Caddy,
    /// By `/authz/traefik`.
    Traefik,
    /// By `/authz/envoy/…`.
    Envoy,
    /// By gRPC.
    EnvoyGrpc,
}

/// All of them.
pub const GATEWAYS: [Gateway; 5] =
    [Gateway::Nginx, Gateway::Caddy, Gateway::Traefik, Gateway::Envoy, Gateway::EnvoyGrpc];

/// The headers by which an app learns who is calling, where it names no others.
pub const IDENTITY: [&str; 5] =
    ["remote-user", "remote-groups", "remote-name", "remote-email", "remote-assertion"];

impl Gateway {
    /// Asks about a request of `client`'s, who is behind the gateway.
    pub async fn asks(self, client: &Caller, method: &str, url: &str) -> Reply {
        let (scheme, rest) = url.split_once("://").expect("an absolute URL");
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        self.says(client, method, scheme, host, path).await
    }

    /// Asks with these words, whatever they are.
    pub async fn says(
        self,
        client: &Caller,
        method: &str,
        scheme: &str,
        host: &str,
        path: &str,
    ) -> Reply {
        let client = client.clone().at(ADDRESS);
        match self {
            Self::Nginx => {
                let url = format!("{scheme}://{host}{path}");
                let asks = client.with("x-original-url", &url).with("x-original-method", method);
                asks.get("/authz/nginx").await
            }
            Self::Caddy | Self::Traefik => {
                let path_here = if self == Self::Caddy { "/authz/caddy" } else { "/authz/traefik" };
                client
                    .with("x-forwarded-method", method)
                    .with("x-forwarded-proto", scheme)
                    .with("x-forwarded-host", host)
                    .with("x-forwarded-uri", path)
                    .get(path_here)
                    .await
            }
            Self::Envoy => {
                let asks = client.with("host", host).with("x-forwarded-proto", scheme);
                asks.send(method, &format!("/authz/envoy{path}")).await
            }
            Self::EnvoyGrpc => {
                let asked = Asked { method, scheme, host, path, headers: client.headers() };
                envoy::ask(client.host(), &asked).await
            }
        }
    }

    /// The status by which it is told what the others are told by this one.
    #[must_use]
    pub fn status(self, others: u16) -> u16 {
        match (self, others) {
            (Self::Nginx, 302 | 303 | 401) => 401,
            (Self::Nginx, 400 | 403 | 429) => 403,
            (Self::Nginx, 500..) => 500,
            (_, others) => others,
        }
    }
}

/// What an app that is asked for by `client` learns; nothing where the request does not
/// pass.
pub async fn learned(client: &Caller, url: &str) -> Option<Vec<String>> {
    let reply = Gateway::Caddy.asks(client, "GET", url).await;
    (reply.status == 200).then(|| identity(&reply))
}

/// The values of the identity headers of an answer, without the signed one.
#[must_use]
pub fn identity(reply: &Reply) -> Vec<String> {
    for name in IDENTITY {
        let values = reply.headers.get_all(name).iter().count();
        assert_eq!(values, 1, "{name} in {:?}", reply.headers);
    }
    IDENTITY[..4].iter().map(|name| reply.header(name).to_owned()).collect()
}

/// Whether a request may not pass, and nothing is said of anybody.
pub fn assert_denied(reply: &Reply, what: &str) {
    assert!(!reply.status.is_success(), "{what}: {}", reply.status);
    for name in IDENTITY {
        assert_eq!(reply.header(name), "", "{what}: {name}");
    }
    assert!(reply.headers.get("set-cookie").is_none(), "{what}: {:?}", reply.headers);
}

/// A browser's request for a page.
#[must_use]
pub fn page(client: &Caller) -> Caller {
    client.clone().with("accept", "text/html,application/xhtml+xml")
}

/// Nobody in particular, behind a gateway.
#[must_use]
pub fn nobody(app: &TestApp) -> Caller {
    app.anonymous()
}
