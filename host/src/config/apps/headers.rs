//! The headers by which an app learns who is calling.

use http::{HeaderName, header};

use crate::config::source::{Mistakes, Section};

/// The names of the headers that an app is given, of all of them in every answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// The user's id.
    pub user: HeaderName,
    /// The user's roles, with commas between.
    pub groups: HeaderName,
    /// A name to show to people.
    pub name: HeaderName,
    /// The user's e-mail address, where the identity provider vouches for it.
    pub email: HeaderName,
    /// All of it, signed.
    pub assertion: HeaderName,
}

/// What proxies and browsers give a meaning to.
const TAKEN: [HeaderName; 15] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::HOST,
    header::LOCATION,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VIA,
    header::WWW_AUTHENTICATE,
];

impl IdentityHeaders {
    /// Their names.
    #[must_use]
    pub fn names(&self) -> [&HeaderName; 5] {
        [&self.user, &self.groups, &self.name, &self.email, &self.assertion]
    }

    pub(super) fn read(mut section: Section<'_>, mistakes: &mut Mistakes) -> Self {
        let mut take = |key: &'static str, usual: &'static str| {
            let usual = HeaderName::from_static(usual);
            let Some(text) = section.take::<String>(key, mistakes) else { return usual };
            named(&text).unwrap_or_else(|what| {
                mistakes.push(section.mistake(key, &what));
                usual
            })
        };
        let headers = Self {
            user: take("user", "remote-user"),
            groups: take("groups", "remote-groups"),
            name: take("name", "remote-name"),
            email: take("email", "remote-email"),
            assertion: take("assertion", "remote-assertion"),
        };
        let names = headers.names();
        let twice = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
        if let Some((_, name)) = twice {
            let place = section.place();
            mistakes.push(format!("{place}: two headers are called {:?}", name.as_str()));
        }
        section.finish(mistakes);
        headers
    }
}

fn named(text: &str) -> Result<HeaderName, String> {
    let wrong = || format!("{text:?} is no header such as \"Remote-User\"");
    let name: HeaderName = text.parse().map_err(|_| wrong())?;
    if name.as_str().contains('_') {
        // Many servers cannot tell the two apart, and proxies drop one of them.
        return Err(format!("{text:?} has an underscore; write a hyphen"));
    }
    let forwarded = ["x-forwarded-", "x-original-", "x-envoy-"];
    if TAKEN.contains(&name) || forwarded.iter().any(|kind| name.as_str().starts_with(kind)) {
        // `X-Forwarded-User` and its like are no proxy's own.
        let own = ["x-forwarded-user", "x-forwarded-groups", "x-forwarded-email"];
        if !own.contains(&name.as_str()) && name != "x-forwarded-preferred-username" {
            return Err(format!("{text:?} has a meaning of its own; choose another name"));
        }
    }
    Ok(name)
}
