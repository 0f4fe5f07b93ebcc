//! `[[apps]]`: what Vestibule protects for proxies, and who may see it.

mod headers;
mod path;
mod public;

use url::{Host, Url};

pub use self::{
    headers::IdentityHeaders,
    path::{Ambiguity, canonical},
    public::PublicPath,
};
use super::{
    server::Server,
    source::{Mistakes, Section},
    values::is_origin,
};

/// One app behind a proxy that asks `/authz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The origin by which browsers reach it.
    pub origin: Url,
    /// Users who may see it.
    pub users: Vec<String>,
    /// Roles whose holders may see it.
    pub roles: Vec<String>,
    /// Organisations whose members may see it while they act for them.
    pub organisations: Vec<String>,
    /// What everybody may see.
    pub public: Vec<PublicPath>,
    /// Whether the questions of browsers pass that come before a request from another
    /// origin.
    pub preflight: bool,
    /// The headers by which it learns who is calling.
    pub headers: IdentityHeaders,
    /// Where it stands in the configuration.
    pub place: String,
}

impl App {
    /// Its host, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.origin.host_str().unwrap_or_default()
    }

    /// Whether it names nobody, so that whoever is logged in may see it.
    #[must_use]
    pub fn is_for_everybody(&self) -> bool {
        self.users.is_empty() && self.roles.is_empty() && self.organisations.is_empty()
    }

    pub(super) fn read_all(
        root: &mut Section<'_>,
        server: &Server,
        mistakes: &mut Mistakes,
    ) -> Vec<Self> {
        let mut apps: Vec<Self> = Vec::new();
        for section in root.sections("apps", mistakes) {
            let place = section.place();
            let Some(app) = Self::read(section, server, mistakes) else { continue };
            // A proxy that drops the port could mean either of them.
            if apps.iter().any(|other| other.host() == app.host()) {
                let host = app.host();
                mistakes.push(format!("{place}: there is an app of the host {host:?} already"));
            }
            apps.push(app);
        }
        if let Some(app) = apps.first().filter(|_| server.public_origin().is_none()) {
            let what = "apps need public_url in [server]: log-ins and assertions name it";
            mistakes.push(format!("{}: {what}", app.place));
        }
        apps
    }

    fn read(mut section: Section<'_>, server: &Server, mistakes: &mut Mistakes) -> Option<Self> {
        let place = section.place();
        let host: Option<String> = section.take("host", mistakes);
        let mut list = |name| section.take::<Vec<String>>(name, mistakes).unwrap_or_default();
        let (users, roles, organisations) = (list("users"), list("roles"), list("organisations"));
        let paths = list("public");
        let preflight = section.take("preflight", mistakes).unwrap_or(false);
        let headers = IdentityHeaders::read(section.section("headers", mistakes), mistakes);
        let mut public = Vec::new();
        for text in &paths {
            match PublicPath::parse(text) {
                Ok(path) => public.push(path),
                Err(why) => mistakes.push(section.mistake("public", &format!("{text:?}: {why}"))),
            }
        }
        let origin = match host.as_deref().map(|host| origin(host, server)) {
            Some(Ok(origin)) => Some(origin),
            Some(Err(what)) => {
                mistakes.push(section.mistake("host", &what));
                None
            }
            None => {
                let what = "no host is named; add host = \"wiki.example.com\"";
                mistakes.push(format!("{place}: {what}"));
                None
            }
        };
        section.finish(mistakes);
        let origin = origin?;
        Some(Self { origin, users, roles, organisations, public, preflight, headers, place })
    }
}

/// The origin of a host: its own scheme where it names one, else that of
/// Vestibule's own origin.
fn origin(host: &str, server: &Server) -> Result<Url, String> {
    let scheme = if server.is_https() { "https" } else { "http" };
    let text = if host.contains("://") { host.to_owned() } else { format!("{scheme}://{host}") };
    let wrong = || format!("{host:?} is no host such as \"wiki.example.com\"");
    let url = Url::parse(&text).ok().filter(is_origin).ok_or_else(wrong)?;
    // As it is compared: in lower case, without a dot at its end.
    let name = match url.host().ok_or_else(wrong)? {
        Host::Domain(name) => name.trim_end_matches('.').to_owned(),
        address => address.to_string(),
    };
    let written = text.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    if !name.bytes().all(is_name) {
        return Err(wrong());
    }
    let with_port = url.port().map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
    if written == with_port {
        Ok(url)
    } else {
        Err(format!("{host:?} is read as {with_port:?}; write it so"))
    }
}
