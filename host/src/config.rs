//! Configuration: one TOML file, the environment, and nothing else.
//!
//! The environment has the last word: `VESTIBULE_SERVER_LISTEN` beats `listen`
//! in `[server]`, and so on for every key. Every mistake is reported, each with
//! its file, line and key, or the name of its variable. What `[auth.settings]`
//! may hold is for the strategy to say, so that part stays raw here.

mod admin;
mod apps;
mod audit;
mod auth;
mod data;
mod environment;
mod grants;
mod plugins;
mod server;
mod source;
mod telemetry;
mod values;

use std::path::{Path, PathBuf};

pub use self::{
    admin::Admin,
    apps::{Ambiguity, App, IdentityHeaders, PublicPath, canonical},
    audit::{Audit, Lines},
    auth::Auth,
    data::{Encryption, Limits, OnRefreshFailure, ProviderTokens, RateLimits, Secrets, Sessions},
    environment::Environment,
    grants::Grants,
    plugins::Plugins,
    server::Server,
    source::Source,
    telemetry::Telemetry,
    values::DatabaseUrl,
};
pub(crate) use self::{auth::MAX_MEMORY, source::did_you_mean};
use self::{
    source::Mistakes,
    values::{Bytes, Span},
};

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; name another file with --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file or the environment holds mistakes, one text each.
    #[error("{}", .0.join("\n"))]
    Mistakes(Vec<String>),
}

/// Everything that an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[encryption]`
    pub encryption: Encryption,
    /// `[sessions]`
    pub sessions: Sessions,
    /// `[secrets]`
    pub secrets: Secrets,
    /// `[provider_tokens]`
    pub provider_tokens: ProviderTokens,
    /// `[rate_limits]`
    pub rate_limits: RateLimits,
    /// `[audit]`
    pub audit: Audit,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[plugins]`
    pub plugins: Plugins,
    /// `[auth]`
    pub auth: Auth,
    /// `[[apps]]`
    pub apps: Vec<App>,
    /// Where all of it was read, for the messages of later checks.
    pub source: Source,
}

/// `[database]`
#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite://` and a path, `sqlite::memory:` or `postgres://`.
    pub url: DatabaseUrl,
}

impl Config {
    /// Reads a file and the environment of this process.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(Some(path), &text, Environment::Process)
    }

    /// Reads the environment of this process alone.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::parse(None, "", Environment::Process)
    }

    /// Reads a configuration from text; `path` is where it came from.
    pub fn parse(
        path: Option<&Path>,
        text: &str,
        environment: Environment,
    ) -> Result<Self, ConfigError> {
        let source =
            Source::parse(path, text, environment).map_err(|e| ConfigError::Mistakes(vec![e]))?;
        let mut mistakes = Mistakes::default();
        let config = Self::read(&source, &mut mistakes);
        mistakes.refuse_misspelt(&source.environment);
        if mistakes.texts.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Mistakes(mistakes.texts))
        }
    }

    fn read(source: &Source, mistakes: &mut Mistakes) -> Self {
        let mut root = source.root();

        let server = Server::read(&mut root, source, mistakes);

        let mut section = root.section("database", mistakes);
        let database = Database {
            url: section
                .take("url", mistakes)
                .unwrap_or_else(|| DatabaseUrl::new("sqlite://vestibule.db")),
        };
        section.finish(mistakes);

        let mut section = root.section("encryption", mistakes);
        let encryption = Encryption {
            secret: section.take("secret", mistakes),
            secret_file: section.take("secret_file", mistakes),
            previous_secret_files: section
                .take("previous_secret_files", mistakes)
                .unwrap_or_default(),
        };
        section.finish(mistakes);
        if encryption.secret.is_some() && encryption.secret_file.is_some() {
            mistakes.push(source.mistake(
                &["encryption", "secret"],
                "there is a secret_file as well; keep one of the two",
            ));
        }

        let mut section = root.section("sessions", mistakes);
        let usual = Sessions::default();
        let sessions = Sessions {
            idle: section.take("idle", mistakes).map_or(usual.idle, |Span(span)| span),
            absolute: section.take("absolute", mistakes).map_or(usual.absolute, |Span(span)| span),
        };
        section.finish(mistakes);

        let mut section = root.section("secrets", mistakes);
        let usual = Secrets::default();
        let secrets = Secrets {
            max_count: section.take("max_count", mistakes).unwrap_or(usual.max_count),
            max_bytes: section.take("max_bytes", mistakes).map_or(usual.max_bytes, |Bytes(n)| n),
        };
        section.finish(mistakes);

        let mut section = root.section("provider_tokens", mistakes);
        let provider_tokens = ProviderTokens {
            on_refresh_failure: section.take("on_refresh_failure", mistakes).unwrap_or_default(),
        };
        section.finish(mistakes);

        let mut section = root.section("rate_limits", mistakes);
        let mut usual = RateLimits::default();
        if !server.trusted_proxies.is_empty() {
            usual.address_minute = data::ADDRESS_MINUTE;
        }
        let mut rate = |name, usual| section.take(name, mistakes).unwrap_or(usual);
        let rate_limits = RateLimits {
            user_second: rate("user_second", usual.user_second),
            user_minute: rate("user_minute", usual.user_minute),
            sandbox_minute: rate("sandbox_minute", usual.sandbox_minute),
            address_minute: rate("address_minute", usual.address_minute),
            refused_minute: rate("refused_minute", usual.refused_minute),
        };
        section.finish(mistakes);

        let audit = Audit::read(&mut root, mistakes);
        let telemetry = Telemetry::read(&mut root, source, mistakes);

        let plugins = Plugins::read(root.section("plugins", mistakes), mistakes);

        if !database.url.is_known() {
            let what = format!(
                "{} is not known, write one such as \"sqlite://vestibule.db\" or \"postgres://user@host/name\"",
                database.url
            );
            mistakes.push(source.mistake(&["database", "url"], &what));
        }

        if let Some(name) = database.url.unknown_parameter() {
            let what = format!("{} has a parameter that is not known: {name:?}", database.url);
            mistakes.push(source.mistake(&["database", "url"], &what));
        }

        let apps = App::read_all(&mut root, &server, mistakes);
        let auth = Auth::read(&mut root, source, mistakes);
        root.finish(mistakes);
        Self {
            server,
            database,
            encryption,
            sessions,
            secrets,
            provider_tokens,
            rate_limits,
            audit,
            telemetry,
            plugins,
            auth,
            apps,
            source: source.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        Config::parse(Some(Path::new("vestibule.toml")), text, Environment::fixed(environment))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_line_is_enough_and_the_rest_has_defaults() {
        let config = parse("auth.strategy = 'none'", &[]).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.database.url, DatabaseUrl::new("sqlite://vestibule.db"));
        assert_eq!(config.auth.limits.memory, 32 << 20);
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_its_mend() {
        let error = parse(
            "[server]\nlisten = 'nowhere'\nlisten_on = 1\n[auth]\nstrategy = 'none'\n\
             [auth.limits]\ncpu = 'soon'\nmemory = '1 parsec'\n[databse]\nurl = ''\n",
            &[],
        )
        .unwrap_err();
        assert_eq!(
            error,
            "vestibule.toml:2: [server] listen: invalid socket address syntax\n\
             vestibule.toml:3: [server] listen_on: unknown key, did you mean \"listen\"?\n\
             vestibule.toml:8: [auth.limits] memory: \"1 parsec\" is no size, write one such as \"32MiB\"\n\
             vestibule.toml:7: [auth.limits] cpu: \"soon\" is no time, write one such as \"25ms\" or \"10s\"\n\
             vestibule.toml:9: [databse]: unknown section, did you mean \"database\"?"
        );
    }

    #[test]
    fn broken_toml_is_named_with_its_line() {
        let error = parse("[auth]\nstrategy = none\n", &[]).unwrap_err();
        assert!(error.starts_with("vestibule.toml:2: "), "{error}");
    }

    #[test]
    fn the_environment_has_the_last_word() {
        let config = parse(
            "[server]\nlisten = '127.0.0.1:1'\n[auth]\nstrategy = 'none'",
            &[
                ("VESTIBULE_SERVER_LISTEN", "127.0.0.1:2"),
                ("VESTIBULE_SERVER_ALLOW_OPEN", "true"),
                ("VESTIBULE_AUTH_LIMITS_CONCURRENCY", "7"),
                ("VESTIBULE_AUTH_GRANTS_HTTP", "https://a.example, https://b.example"),
            ],
        )
        .unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:2");
        assert!(config.server.allow_open);
        assert_eq!(config.auth.limits.concurrency.get(), 7);
        assert_eq!(config.auth.grants.http, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn what_a_failed_renewal_means_is_one_of_two_things() {
        let failure = |text: &str| {
            let text = format!("auth.strategy = 'none'\n{text}");
            parse(&text, &[]).map(|config| config.provider_tokens.on_refresh_failure)
        };
        assert_eq!(failure(""), Ok(OnRefreshFailure::Fail));
        let keep = "provider_tokens.on_refresh_failure = 'keep-old'";
        assert_eq!(failure(keep), Ok(OnRefreshFailure::KeepOld));
        let error = failure("provider_tokens.on_refresh_failure = 'ignore'").unwrap_err();
        assert!(error.contains("expected `fail` or `keep-old`"), "{error}");
    }

    #[test]
    fn a_bad_variable_is_named() {
        let error =
            parse("auth.strategy = 'none'", &[("VESTIBULE_SERVER_LISTEN", "x")]).unwrap_err();
        assert_eq!(
            error,
            "environment variable VESTIBULE_SERVER_LISTEN: invalid socket address syntax"
        );
    }

    #[test]
    fn a_misspelt_variable_is_named_and_a_stranger_s_is_let_be() {
        let error = parse("auth.strategy = 'none'", &[("VESTIBULE_AUTH_SHA265", "x")]).unwrap_err();
        assert_eq!(
            error,
            "environment variable VESTIBULE_AUTH_SHA265 is not known, did you mean \
             VESTIBULE_AUTH_SHA256?"
        );
        let strangers = [("VESTIBULE_SERVICE_HOST", "10.0.0.1"), ("VESTIBULE_LOG", "debug")];
        assert!(parse("auth.strategy = 'none'", &strangers).is_ok());
    }

    #[test]
    fn everything_can_come_from_the_environment() {
        let config = parse("", &[("VESTIBULE_AUTH_STRATEGY", "none")]).unwrap();
        assert_eq!(config.auth.strategy, "none");
        let config = parse("", &[("OPENHANDS_AUTH_MODE", "su")]).unwrap();
        assert_eq!(config.auth.strategy, "su");
    }

    #[test]
    fn two_strategies_are_one_too_many() {
        let mode = [("OPENHANDS_AUTH_MODE", "su")];
        assert_eq!(parse("auth.strategy = 'su'", &mode).unwrap().auth.strategy, "su");
        let error = parse("[auth]\nstrategy = 'none'", &mode).unwrap_err();
        assert_eq!(
            error,
            "vestibule.toml:2: [auth] strategy: it is \"none\", and the environment variable \
             OPENHANDS_AUTH_MODE says \"su\"; name the same strategy in both, or unset the variable"
        );
    }

    #[test]
    fn debug_shows_no_setting() {
        let config = parse(
            "[auth]\nstrategy = 'x'\nallowed = 'hush'\n[auth.settings]\nsecret = 'hush'",
            &[],
        );
        let shown = format!("{:?}", config.unwrap());
        assert!(shown.contains("allowed") && !shown.contains("hush"), "{shown}");
    }
}
