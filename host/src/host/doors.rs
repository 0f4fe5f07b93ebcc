//! What a strategy needs of the addresses that the server is reached by.

use super::StartError;
use crate::{config::Config, engine::Strategy};

/// A strategy that lets everybody in stays on loopback unless the operator insists.
pub(super) fn refuse_open_door(config: &Config, strategy: &Strategy) -> Result<(), StartError> {
    let listen = config.server.listen;
    let open = strategy.description().local_owner && !listen.ip().is_loopback();
    if open && !config.server.allow_open {
        return Err(StartError::Open { listen, strategy: strategy.description().name.clone() });
    }
    Ok(())
}

/// A session's cookie is kept over https, or on this very machine; and the way
/// back from an identity provider is never what a request says it is.
pub(super) fn refuse_lost_sessions(config: &Config, strategy: &Strategy) -> Result<(), StartError> {
    let origin = config.server.public_origin();
    let kept = origin.is_some_and(|url| url.scheme() == "https" || is_this_machine(&url));
    if strategy.description().log_in.is_none() || kept {
        return Ok(());
    }
    Err(StartError::PublicUrl {
        public_url: config.server.public_url.clone(),
        strategy: strategy.description().name.clone(),
    })
}

fn is_this_machine(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
