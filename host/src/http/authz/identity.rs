//! Who is calling, as headers for an app.
//!
//! Every answer has every header, empty where there is nothing to say: a header that is
//! missing in the answer can be the client's own in what reaches the app.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    assertion::Claims,
    config::{App, Server},
    context::UserContext,
    host::Host,
    http::{Problem, auth::origin},
};

/// All values together, in bytes. nginx has 4 KiB for the head of an answer.
const MAX_BYTES: usize = 3_500;

/// What is encoded besides everything that is not ASCII.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'%');
/// The same within a list.
const UNSAFE_IN_LIST: &AsciiSet = &UNSAFE.add(b',').add(b' ');

/// The headers for an app; without a user, all of them empty.
pub(super) async fn headers(
    host: &Host,
    server: &Server,
    app: &App,
    user: Option<&UserContext>,
) -> Result<HeaderMap, Problem> {
    let names = &app.headers;
    let Some(user) = user else {
        let empty = HeaderValue::from_static("");
        return Ok(names.names().map(|name| (name.clone(), empty.clone())).into_iter().collect());
    };
    let identity = user.identity();
    let email = identity.email.as_deref().filter(|_| identity.email_verified);
    let groups: Vec<String> = identity
        .roles
        .iter()
        .map(|role| utf8_percent_encode(role, UNSAFE_IN_LIST).to_string())
        .collect();
    let values = [
        (&names.user, encoded(user.user_id().as_str())),
        (&names.groups, groups.join(",")),
        (&names.name, encoded(identity.display_name.as_deref().unwrap_or_default())),
        (&names.email, encoded(email.unwrap_or_default())),
        (&names.assertion, assertion(host, server, app, user).await?),
    ];
    if values.iter().map(|(_, value)| value.len()).sum::<usize>() > MAX_BYTES {
        // Part of it would be a lie.
        return Err(Problem::too_much_to_tell());
    }
    let header = |(name, value): (&HeaderName, String)| {
        let value = HeaderValue::try_from(value)
            .map_err(|_| Problem::broken().because("an encoded value is no header's"))?;
        Ok((name.clone(), value))
    };
    values.into_iter().map(header).collect()
}

async fn assertion(
    host: &Host,
    server: &Server,
    app: &App,
    user: &UserContext,
) -> Result<String, Problem> {
    let identity = user.identity();
    let token = host
        .assert(&Claims {
            iss: &origin(server)?.origin().ascii_serialization(),
            aud: &app.origin.origin().ascii_serialization(),
            sub: user.user_id().as_str(),
            org: user.scope().org.as_str(),
            name: identity.display_name.as_deref(),
            email: identity.email.as_deref(),
            email_verified: identity.email_verified,
            groups: &identity.roles,
        })
        .await?;
    Ok(token.to_string())
}

/// Text as visible ASCII: percent-encoded UTF-8 (RFC 3986 section 2.1) where it is
/// none, and where a blank would be lost at an end.
fn encoded(text: &str) -> String {
    let inner = text.trim_matches(' ');
    let (before, rest) = text.split_at(text.len() - text.trim_start_matches(' ').len());
    let after = rest.len() - inner.len();
    let mut encoded = "%20".repeat(before.len());
    let _ = write!(encoded, "{}", utf8_percent_encode(inner, UNSAFE));
    encoded.push_str(&"%20".repeat(if inner.is_empty() { 0 } else { after }));
    encoded
}

/// What Envoy is to take out of a request: what an app could take for these headers.
pub(super) fn twins(headers: &HeaderMap) -> HeaderValue {
    let twins = headers.iter().flat_map(|(name, value)| {
        let twin = name.as_str().replace('-', "_");
        let empty = value.is_empty().then(|| name.to_string());
        empty.into_iter().chain((twin != name.as_str()).then_some(twin))
    });
    let list = twins.collect::<Vec<_>>().join(",");
    HeaderValue::try_from(list).unwrap_or(const { HeaderValue::from_static("") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_header_and_can_be_read_back() {
        for (text, header) in [
            ("", ""),
            ("Ada Lovelace", "Ada Lovelace"),
            ("a\r\nremote-user: root", "a%0D%0Aremote-user: root"),
            ("a\0b\u{7f}", "a%00b%7F"),
            ("Zoë", "Zo%C3%AB"),
            ("100%", "100%25"),
            (" root", "%20root"),
            ("root  ", "root%20%20"),
            ("  ", "%20%20"),
        ] {
            assert_eq!(encoded(text), header, "{text:?}");
            let back = percent_encoding::percent_decode_str(header).decode_utf8().unwrap();
            assert_eq!(back, text);
            assert!(HeaderValue::try_from(header).is_ok());
        }
    }
}
