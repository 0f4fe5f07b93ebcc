//! Where browsers and proxies are.

use ipnet::IpNet;

use super::{Finding, clocks};
use crate::{capability::Probe, clock::Clock, config::Config};

const PROXIES: &str = "proxies";
const PUBLIC_URL: &str = "public URL";

/// Networks that are larger than these hold more than proxies.
const WIDEST_V4: u8 = 16;
const WIDEST_V6: u8 = 48;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let server = &config.server;
    let mut findings = Vec::new();
    for network in &server.trusted_proxies {
        let (wide, everybody) = match network {
            IpNet::V4(network) => (network.prefix_len() < WIDEST_V4, network.prefix_len() == 0),
            IpNet::V6(network) => (network.prefix_len() < WIDEST_V6, network.prefix_len() == 0),
        };
        let mend = "list the addresses of your proxies in [server] trusted_proxies";
        if everybody {
            let found = format!("{network} is everybody: any client can say who it is");
            findings.push(Finding::error(PROXIES, found, mend));
        } else if wide {
            let found = format!("whoever has an address in {network} is believed");
            findings.push(Finding::warning(PROXIES, found, mend));
        }
    }
    let proxied = server.is_https() && server.trusted_proxies.is_empty();
    if proxied {
        findings.push(Finding::warning(
            PROXIES,
            "public_url is https, so that something in front ends TLS, and no proxy is trusted: \
             everybody seems to have its address, in the log and in limits",
            "add the address of what is in front: [server] trusted_proxies = [\"127.0.0.1\"]",
        ));
    }
    if server.is_https() && !server.listen.ip().is_loopback() {
        findings.push(Finding::warning(
            PROXIES,
            format!("{} listens to the network without TLS, beside the proxy", server.listen),
            "listen on 127.0.0.1, or let nobody but the proxy reach this port",
        ));
    }
    if !config.apps.is_empty() && server.trusted_proxies.is_empty() {
        findings.push(Finding::error(
            PROXIES,
            "there are [[apps]], and no gateway may ask about them",
            "add the gateway's address to [server] trusted_proxies",
        ));
    }
    if server.envoy_listen.is_some_and(|address| !address.ip().is_loopback()) {
        findings.push(Finding::warning(
            PROXIES,
            "envoy_listen is open to the network without TLS",
            "let nobody but Envoy reach this port",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(PROXIES, "those that are trusted are few"));
    }
    findings
}

/// Whether whoever asks at the public URL reaches a Vestibule.
pub(super) async fn public_url(config: &Config, clock: &Clock) -> Finding {
    let Some(origin) = config.server.public_origin() else {
        return Finding::warning(
            PUBLIC_URL,
            "there is none, and browsers cannot log in",
            "set [server] public_url",
        );
    };
    let asked = origin.join("/healthz").unwrap_or_else(|_| origin.clone());
    let shown = origin.origin().ascii_serialization();
    match Probe::of(config, asked).await {
        Ok(probe) if probe.status == 200 && probe.body.starts_with(b"{\"status\":\"ok\"") => {
            match clocks::off(&probe, clock) {
                None => Finding::ok(PUBLIC_URL, format!("{shown} leads here")),
                Some(seconds) => Finding::warning(
                    PUBLIC_URL,
                    format!("{shown} answers, and its clock is {seconds} seconds off"),
                    clocks::SYNCHRONISE,
                ),
            }
        }
        Ok(probe) => Finding::error(
            PUBLIC_URL,
            format!("{shown} answers {} to /healthz, and is no Vestibule", probe.status),
            "set [server] public_url to the origin that leads here, or have the proxy pass on \
             everything of it",
        ),
        Err(error) => Finding::warning(
            PUBLIC_URL,
            format!("{shown} cannot be reached from here: {error}"),
            "where the server is running, browsers may not reach it either",
        ),
    }
}
