//! `[server]`: where Vestibule listens and how it is reached.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use super::{
    admin::Admin,
    source::{Mistakes, Section, Source},
    values::{self, Network, Span},
};

/// `[server]`: where Vestibule listens and how it is reached.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address where Envoy asks over gRPC, where it does.
    pub envoy_listen: Option<SocketAddr>,
    /// The origin by which browsers reach Vestibule, where that is not `listen`.
    pub public_url: Option<Url>,
    /// Origins of your own apps: browsers may be sent back to them after a log-in,
    /// and their pages may write with a session's cookie.
    pub allowed_origins: Vec<Url>,
    /// Where proxies of yours are: only they are believed when they say whose request
    /// they pass on or ask about.
    pub trusted_proxies: Vec<IpNet>,
    /// Listen beyond loopback even with a strategy that lets everybody in.
    pub allow_open: bool,
    /// How long a client may take to send the head of a request, and to keep a
    /// connection open between two.
    pub head_timeout: Duration,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long a shutdown goes on accepting, while `/readyz` says that it has begun.
    pub drain: Duration,
    /// How long a shutdown waits for requests that are running.
    pub shutdown_timeout: Duration,
    /// The key that other services present.
    pub service_key: Option<SecretString>,
    /// The listener for operators, where there is one.
    pub admin: Option<Admin>,
}

impl Server {
    /// The origin by which browsers reach Vestibule: `public_url`, or this
    /// machine where it listens on loopback.
    #[must_use]
    pub fn public_origin(&self) -> Option<Url> {
        self.public_url.clone().or_else(|| {
            let local = self.listen.ip().is_loopback();
            local.then(|| Url::parse(&format!("http://localhost:{}", self.listen.port())).ok())?
        })
    }

    /// Whether an address is that of a proxy of the operator's.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Whether browsers reach Vestibule over https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    pub(super) fn read(root: &mut Section<'_>, source: &Source, mistakes: &mut Mistakes) -> Self {
        let mut section = root.section("server", mistakes);
        let mut span =
            |name, usual: Duration| section.take(name, mistakes).map_or(usual, |Span(span)| span);
        let head_timeout = span("head_timeout", Duration::from_secs(30));
        let body_timeout = span("body_timeout", Duration::from_secs(10));
        let drain = span("drain", Duration::from_secs(2));
        let shutdown_timeout = span("shutdown_timeout", Duration::from_secs(10));
        let server = Self {
            head_timeout,
            body_timeout,
            drain,
            shutdown_timeout,
            listen: section.take("listen", mistakes).unwrap_or(([127, 0, 0, 1], 3000).into()),
            envoy_listen: section.take("envoy_listen", mistakes),
            public_url: section.take("public_url", mistakes),
            allowed_origins: section.take("allowed_origins", mistakes).unwrap_or_default(),
            trusted_proxies: section
                .take::<Vec<Network>>("trusted_proxies", mistakes)
                .unwrap_or_default()
                .into_iter()
                .map(|Network(network)| network)
                .collect(),
            allow_open: section.take("allow_open", mistakes).unwrap_or(false),
            service_key: section.shared_key(
                "service_key",
                "service_key_file",
                Some("AUTOMATIONS_SERVICE_KEY"),
                mistakes,
            ),
            admin: Admin::read(&mut section, mistakes),
        };
        section.finish(mistakes);
        if server.public_url.as_ref().is_some_and(|url| !values::is_origin(url)) {
            mistakes.push(source.mistake(
                &["server", "public_url"],
                "it is not an origin such as \"https://auth.example.com\"",
            ));
        }

        if let Some(other) = server.allowed_origins.iter().find(|url| !values::is_origin(url)) {
            let what = format!("{other} is not an origin such as \"https://app.example.com\"");
            mistakes.push(source.mistake(&["server", "allowed_origins"], &what));
        }
        server
    }
}
