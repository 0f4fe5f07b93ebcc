//! What a token endpoint says beside the tokens, which the host has taken out.

use serde::{Deserialize, de::IgnoredAny};

use super::lifetime;

/// The answer of a token endpoint that gave tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The type of the token, which can only be `Bearer` in any case.
    pub token_type: Option<String>,
    /// What was granted, where it says so; it may be less than what was asked for.
    pub scope: Option<String>,
    /// For how many seconds the access token lives; `None` means forever.
    pub expires_in: Option<u64>,
    /// For how many seconds the refresh token lives; `None` means forever.
    pub refresh_expires_in: Option<u64>,
}

/// Why a token endpoint gave no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The code or refresh token is refused for good: its owner must log in or
    /// connect the account again.
    Definite(String),
    /// The client itself is refused, which an operator must mend. Tokens stay
    /// good: the client's secret may be in the middle of being replaced.
    Client(String),
    /// Nothing is known about the tokens: ask again later.
    Transient(String),
}

impl Failure {
    /// The class of an error code (RFC 6749 section 5.2, OpenID Connect Core
    /// section 3.1.2.6, and what GitHub adds); `refusals` are what refuses the token
    /// at this provider besides. A code that is not known says nothing about the
    /// tokens.
    fn of_code(code: &str, refusals: &[&str]) -> Self {
        let told = format!("it answers `{code}`");
        match code {
            code if refusals.contains(&code) => Self::Definite(told),
            "invalid_grant"
            | "invalid_token"
            | "bad_refresh_token"
            | "bad_verification_code"
            | "unverified_user_email"
            | "login_required"
            | "interaction_required"
            | "consent_required" => Self::Definite(told),
            "invalid_client"
            | "unauthorized_client"
            | "incorrect_client_credentials"
            | "application_suspended"
            | "redirect_uri_mismatch"
            | "invalid_request"
            | "invalid_scope"
            | "unsupported_grant_type" => Self::Client(told),
            _ => Self::Transient("it answers with an error that is not known".into()),
        }
    }
}

impl Answer {
    /// Reads an answer.
    ///
    /// An error counts in a 400 or 401 (RFC 6749 section 5.2), and in a 200,
    /// where GitHub puts it. Whatever else has another status is transient,
    /// whatever its body says.
    pub(super) fn read(
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
        refusals: &[&str],
    ) -> Result<Self, Failure> {
        if !matches!(status, 200 | 400 | 401) {
            return Err(Failure::Transient(format!("it answers with status {status}")));
        }
        let fields = Fields::read(content_type, body).ok_or_else(|| {
            Failure::Transient(format!("its answer of status {status} is no JSON object or form"))
        })?;
        if let Some(code) = fields.error {
            return Err(Failure::of_code(&code, refusals));
        }
        if status != 200 {
            return Err(Failure::Transient(format!("it answers with status {status}")));
        }
        if fields.token_type.as_ref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(Failure::Transient("its token is no bearer token".into()));
        }
        let refresh_expires_in = fields.refresh_token_expires_in.or(fields.refresh_expires_in);
        Ok(Self {
            token_type: fields.token_type,
            scope: fields.scope,
            expires_in: fields.expires_in.and_then(Seconds::lifetime),
            refresh_expires_in: refresh_expires_in.and_then(Seconds::lifetime),
        })
    }
}

/// The fields of an answer as they are sent.
#[derive(Debug, Default, Deserialize)]
struct Fields {
    error: Option<String>,
    token_type: Option<String>,
    scope: Option<String>,
    expires_in: Option<Seconds>,
    refresh_token_expires_in: Option<Seconds>,
    refresh_expires_in: Option<Seconds>,
}

impl Fields {
    fn read(content_type: Option<&str>, body: &[u8]) -> Option<Self> {
        let media_type = content_type?.split(';').next()?.trim();
        if media_type.eq_ignore_ascii_case("application/json") {
            serde_json::from_slice(body).ok()
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::from_form(body))
        } else {
            None
        }
    }

    fn from_form(body: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let value = value.into_owned();
            match &*name {
                "error" => fields.error = Some(value),
                "token_type" => fields.token_type = Some(value),
                "scope" => fields.scope = Some(value),
                "expires_in" => fields.expires_in = Some(Seconds::Text(value)),
                "refresh_token_expires_in" => {
                    fields.refresh_token_expires_in = Some(Seconds::Text(value));
                }
                "refresh_expires_in" => fields.refresh_expires_in = Some(Seconds::Text(value)),
                _ => {}
            }
        }
        fields
    }
}

/// A lifetime, which should be a whole number and is what the provider likes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Seconds {
    Whole(i64),
    Text(String),
    Other(IgnoredAny),
}

impl Seconds {
    fn lifetime(self) -> Option<u64> {
        match self {
            Self::Whole(seconds) => lifetime::believed(seconds),
            Self::Text(text) => lifetime::believed(text.parse().ok()?),
            Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json; charset=utf-8");

    fn json(status: u16, body: &str) -> Result<Answer, Failure> {
        Answer::read(status, JSON, body.as_bytes(), &[])
    }

    fn expires_in(value: &str) -> Option<u64> {
        json(200, &format!(r#"{{"expires_in":{value}}}"#)).expect("an answer").expires_in
    }

    #[test]
    fn an_answer_is_read_from_json_and_from_a_form() {
        let expected = Answer {
            token_type: Some("bearer".into()),
            scope: Some("repo,gist".into()),
            expires_in: Some(28_800),
            refresh_expires_in: Some(15_811_200),
        };
        let body = r#"{"access_token":null,"refresh_token":null,"token_type":"bearer",
            "scope":"repo,gist","expires_in":28800,"refresh_token_expires_in":15811200}"#;
        assert_eq!(json(200, body), Ok(expected.clone()));
        let body = b"access_token=&token_type=bearer&scope=repo%2Cgist&expires_in=28800\
                     &refresh_token_expires_in=15811200";
        let form = Some("application/x-www-form-urlencoded");
        assert_eq!(Answer::read(200, form, body, &[]), Ok(expected));
    }

    #[test]
    fn keycloak_names_the_life_of_a_refresh_token_otherwise_and_zero_is_forever() {
        let answer = json(200, r#"{"expires_in":300,"refresh_expires_in":1800}"#).expect("answer");
        assert_eq!(answer.refresh_expires_in, Some(1800));
        let answer = json(200, r#"{"expires_in":300,"refresh_expires_in":0}"#).expect("answer");
        assert_eq!(answer.refresh_expires_in, None);
    }

    #[test]
    fn a_lifetime_is_believed_where_it_makes_sense() {
        for (sent, believed) in [
            ("7200", Some(7200)),
            ("\"7200\"", Some(7200)),
            ("0", None),
            ("null", None),
            ("-1", Some(0)),
            ("\"-1\"", Some(0)),
            ("\"soon\"", None),
            ("\"\"", None),
            ("1e3", None),
            ("7200.5", None),
            ("true", None),
            ("[7200]", None),
            ("1000000000000", None),
            ("100000000000000000000", None),
        ] {
            assert_eq!(expires_in(sent), believed, "{sent}");
        }
        assert_eq!(json(200, "{}").expect("an answer").expires_in, None);
    }

    #[test]
    fn an_error_in_a_200_is_an_error() {
        let refused = json(200, r#"{"error":"bad_refresh_token","error_description":"no"}"#);
        assert_eq!(refused, Err(Failure::Definite("it answers `bad_refresh_token`".into())));
    }

    #[test]
    fn errors_are_told_apart_by_who_can_mend_them() {
        for code in ["invalid_grant", "bad_verification_code", "interaction_required"] {
            let answer = json(400, &format!(r#"{{"error":"{code}"}}"#));
            assert!(matches!(answer, Err(Failure::Definite(_))), "{code}");
        }
        for code in ["invalid_client", "unauthorized_client", "incorrect_client_credentials"] {
            let answer = json(401, &format!(r#"{{"error":"{code}"}}"#));
            assert!(matches!(answer, Err(Failure::Client(_))), "{code}");
        }
        for code in ["slow_down", "temporarily_unavailable", "Invalid_Grant", ""] {
            let answer = json(400, &format!(r#"{{"error":"{code}"}}"#));
            assert!(matches!(answer, Err(Failure::Transient(_))), "{code}");
        }
    }

    #[test]
    fn a_provider_may_refuse_a_token_by_a_code_of_its_own() {
        let body = br#"{"error":"unauthorized_client"}"#;
        let answer = Answer::read(400, JSON, body, &["unauthorized_client"]);
        assert!(matches!(answer, Err(Failure::Definite(_))));
    }

    #[test]
    fn only_an_error_member_of_a_400_401_or_200_counts() {
        for (status, body) in [
            (500, r#"{"error":"invalid_grant"}"#),
            (503, "invalid_grant"),
            (429, r#"{"error":"invalid_grant"}"#),
            (302, ""),
            (400, "invalid_grant"),
            (400, r#"{"message":"invalid_grant"}"#),
            (400, r#"{"error":{"code":"invalid_grant"}}"#),
            (401, "{}"),
        ] {
            let answer = json(status, body);
            assert!(matches!(answer, Err(Failure::Transient(_))), "{status} {body}");
        }
        let html = Answer::read(400, Some("text/html"), br#"{"error":"invalid_grant"}"#, &[]);
        assert!(matches!(html, Err(Failure::Transient(_))));
        assert!(matches!(Answer::read(200, None, b"{}", &[]), Err(Failure::Transient(_))));
    }

    #[test]
    fn a_token_that_no_bearer_may_use_is_refused() {
        assert!(json(200, r#"{"token_type":"BEARER"}"#).is_ok());
        for kind in ["mac", "DPoP", "bearer ", ""] {
            let answer = json(200, &format!(r#"{{"token_type":"{kind}"}}"#));
            assert!(matches!(answer, Err(Failure::Transient(_))), "{kind}");
        }
    }

    #[test]
    fn an_error_that_is_not_known_is_not_repeated() {
        let Err(Failure::Transient(told)) = json(400, r#"{"error":"ghs_abc"}"#) else {
            panic!("it is not transient");
        };
        assert!(!told.contains("ghs_abc"), "{told}");
    }
}
