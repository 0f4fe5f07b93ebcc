//! `[server] admin_…`: the listener for operators.

use std::net::SocketAddr;

use secrecy::SecretString;

use super::source::{Mistakes, Section};

/// The listener for operators: metrics, the admin API and the console.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// What an operator presents.
    pub token: SecretString,
    /// `/metrics` is for everybody who reaches the listener.
    pub open_metrics: bool,
}

impl Admin {
    /// `None` where there is no such listener, or not what it needs.
    pub(super) fn read(section: &mut Section<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let listen: Option<SocketAddr> = section.take("admin_listen", mistakes);
        let allow_remote = section.take("admin_allow_remote", mistakes).unwrap_or(false);
        let open_metrics = section.take("admin_open_metrics", mistakes).unwrap_or(false);
        let before = mistakes.texts.len();
        let token = section.shared_key("admin_token", "admin_token_file", None, mistakes);
        let listen = listen?;
        if !listen.ip().is_loopback() && !allow_remote {
            let what = format!(
                "{listen} is reached from the network; listen on 127.0.0.1, or set \
                 admin_allow_remote = true where only operators get there, by TLS"
            );
            mistakes.push(section.mistake("admin_listen", &what));
        }
        if token.is_none() && mistakes.texts.len() == before {
            mistakes.push(section.mistake(
                "admin_listen",
                "there is no admin_token or admin_token_file; `openssl rand -hex 32` makes a good one",
            ));
        }
        Some(Self { listen, token: token?, open_metrics })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Environment};

    fn parse(server: &str) -> Result<Config, String> {
        let text = format!("auth.strategy = 'none'\n[server]\n{server}");
        Config::parse(None, &text, Environment::fixed(&[])).map_err(|error| error.to_string())
    }

    #[test]
    fn operators_are_listened_to_on_this_machine_and_by_a_token() {
        assert!(parse("").unwrap().server.admin.is_none());
        let token = "admin_token = '0123456789abcdef0123456789abcdef'";
        let admin = parse(&format!("admin_listen = '127.0.0.1:9000'\n{token}")).unwrap();
        assert!(!admin.server.admin.unwrap().open_metrics);
        let error = parse("admin_listen = '127.0.0.1:9000'").unwrap_err();
        assert!(error.contains("[server] admin_listen: there is no admin_token"), "{error}");
        let remote = format!("admin_listen = '0.0.0.0:9000'\n{token}");
        let error = parse(&remote).unwrap_err();
        assert!(error.contains("set admin_allow_remote = true"), "{error}");
        assert!(parse(&format!("{remote}\nadmin_allow_remote = true")).is_ok());
        let error = parse("admin_listen = '127.0.0.1:9000'\nadmin_token = 'short'").unwrap_err();
        assert!(error.contains("admin_token: it has fewer than"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
