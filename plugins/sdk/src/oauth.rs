//! OAuth 2.0 as a client (RFC 6749): where to send the browser, and what a token
//! endpoint answers.
//!
//! Codes, tokens and the client's secret stay handles all the way: the host puts
//! them into the request and takes them out of the reply.

mod answer;
mod lifetime;
mod refusal;

pub use answer::{Answer, Failure};
pub use lifetime::{Margin, expires_at, margin};
pub use refusal::declined;

use crate::{
    Secret,
    http::{self, Authorization, Basic, Body, Field, HttpError, Method, Response, Value},
};

/// The fields of an answer that the host keeps from the strategy.
const CAPTURED: [&str; 3] = ["/access_token", "/refresh_token", "/id_token"];

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// How long a token endpoint may take, in seconds: half of what a call has by
/// default, so that a strategy can still do something about it.
const PATIENCE: u32 = 5;

/// The URL of an authorization request, each parameter encoded (RFC 6749
/// section 4.1.1 and appendix B).
#[must_use]
pub fn authorization_url(endpoint: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = endpoint.to_owned();
    let query = match url.find('?') {
        Some(mark) => mark + 1,
        None => {
            url.push('?');
            url.len()
        }
    };
    form_urlencoded::Serializer::for_suffix(url, query).extend_pairs(parameters).finish()
}

/// How a client proves itself to a token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` among the fields of the form.
    Form,
    /// The `authorization` header (RFC 6749 section 2.3.1).
    Basic,
}

/// A token endpoint, and the client that asks it.
#[derive(Debug)]
pub struct TokenEndpoint<'a> {
    /// Its URL.
    pub url: &'a str,
    /// The client's id.
    pub client_id: &'a str,
    /// The client's secret.
    pub client_secret: &'a Secret,
    /// How the client proves itself.
    pub client_auth: ClientAuth,
}

/// What a token endpoint gave.
#[derive(Debug)]
pub struct Tokens {
    /// The access token.
    pub access: Secret,
    /// The token to renew it with.
    pub refresh: Option<Secret>,
    /// The ID token of OpenID Connect.
    pub id: Option<Secret>,
    /// What was said beside the tokens.
    pub answer: Answer,
}

impl TokenEndpoint<'_> {
    /// Exchanges an authorization code (RFC 6749 section 4.1.3) with its PKCE
    /// verifier (RFC 7636 section 4.5).
    pub fn exchange(
        &self,
        code: &Secret,
        verifier: &Secret,
        redirect_uri: &str,
    ) -> Result<Tokens, Failure> {
        let tokens = self.ask(
            vec![
                Field::text("grant_type", "authorization_code"),
                Field::secret("code", code),
                Field::secret("code_verifier", verifier),
                Field::text("redirect_uri", redirect_uri),
            ],
            &[],
        )?;
        if tokens.answer.token_type.is_none() {
            return Err(Failure::Transient("it does not say of what type the token is".into()));
        }
        Ok(tokens)
    }

    /// Renews an access token (RFC 6749 section 6).
    pub fn refresh(&self, refresh: &Secret) -> Result<Tokens, Failure> {
        self.refresh_where(refresh, &[])
    }

    /// The same where these codes refuse the refresh token as well.
    pub(crate) fn refresh_where(
        &self,
        refresh: &Secret,
        refusals: &[&str],
    ) -> Result<Tokens, Failure> {
        let form = vec![
            Field::text("grant_type", "refresh_token"),
            Field::secret("refresh_token", refresh),
        ];
        self.ask(form, refusals)
    }

    /// Revokes a refresh token, where this is a revocation endpoint. A token that it
    /// does not know is as good as revoked (RFC 7009 section 2.2).
    pub fn revoke(&self, refresh: &Secret) -> Result<(), Failure> {
        let reply = http::send(&self.request(vec![
            Field::text("token_type_hint", "refresh_token"),
            Field::secret("token", refresh),
        ]))?;
        if reply.status == 200 {
            return Ok(());
        }
        let content_type = reply.header("content-type");
        Answer::read(reply.status, content_type, &reply.body, &[]).map(drop)
    }

    fn ask(&self, form: Vec<Field<'_>>, refusals: &[&str]) -> Result<Tokens, Failure> {
        let request = http::Request {
            // Some answer in a form of their own unless they are asked.
            headers: vec![Field::text("accept", JSON)],
            capture: CAPTURED.map(Into::into).into(),
            ..self.request(form)
        };
        Tokens::of(http::send(&request)?, None, refusals)
    }

    /// A request that proves who the client is.
    fn request<'a>(&'a self, mut form: Vec<Field<'a>>) -> http::Request<'a> {
        let authorization = match self.client_auth {
            ClientAuth::Form => {
                form.push(Field::text("client_id", self.client_id));
                form.push(Field::secret("client_secret", self.client_secret));
                Authorization::None
            }
            ClientAuth::Basic => Authorization::Basic(Basic {
                username: self.client_id.into(),
                password: Value::Secret(self.client_secret),
            }),
        };
        http::Request {
            authorization,
            body: Body::Form(form),
            timeout_seconds: Some(PATIENCE),
            ..http::Request::new(Method::Post, self.url)
        }
    }
}

impl Tokens {
    /// The tokens in a reply to a request with [`CAPTURED`]. `form` says what its body
    /// is, where its type cannot be relied on; `refusals` are codes that refuse the token
    /// at this provider besides.
    fn of(reply: Response, form: Option<&str>, refusals: &[&str]) -> Result<Self, Failure> {
        let kind = form.or_else(|| reply.header("content-type"));
        let answer = Answer::read(reply.status, kind, &reply.body, refusals)?;
        let mut captured = reply.captured.into_iter();
        let mut next = || captured.next().flatten();
        let (access, refresh, id) = (next(), next(), next());
        let access =
            access.ok_or_else(|| Failure::Transient("it answers without a token".into()))?;
        Ok(Self { access, refresh, id, answer })
    }
}

/// The tokens that an identity provider keeps of another one, as that one gave them:
/// in JSON or as a form, whatever the reply says that it is.
///
/// # Errors
///
/// [`Failure::Definite`] where it answers that it has none.
pub fn brokered(url: &str, access: &Secret) -> Result<Tokens, Failure> {
    let request = http::Request {
        headers: vec![Field::text("accept", JSON)],
        authorization: Authorization::Bearer(access),
        capture: CAPTURED.map(Into::into).into(),
        timeout_seconds: Some(PATIENCE),
        ..http::Request::new(Method::Get, url)
    };
    let reply = http::send(&request)?;
    if matches!(reply.status, 400 | 403 | 404) {
        return Err(Failure::Definite(format!("it keeps none: status {}", reply.status)));
    }
    let is_json = reply.body.trim_ascii_start().starts_with(b"{");
    Tokens::of(reply, Some(if is_json { JSON } else { FORM }), &[])
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::NotGranted(_) | HttpError::InvalidRequest(_) => {
                Self::Client(format!("{error:?}"))
            }
            HttpError::ForbiddenAddress
            | HttpError::Connection(_)
            | HttpError::Tls(_)
            | HttpError::Timeout
            | HttpError::TooLarge
            | HttpError::UnreadableReply(_) => Self::Transient(format!("{error:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_so_that_none_can_become_another() {
        let url = authorization_url(
            "https://idp.example/authorize",
            &[("state", "a&scope=all"), ("redirect_uri", "https://me.example/a b?c=d#é")],
        );
        assert_eq!(
            url,
            "https://idp.example/authorize?state=a%26scope%3Dall\
             &redirect_uri=https%3A%2F%2Fme.example%2Fa+b%3Fc%3Dd%23%C3%A9"
        );
    }

    #[test]
    fn an_endpoint_may_have_parameters_of_its_own() {
        let url = authorization_url("https://idp.example/a?tenant=1", &[("state", "s")]);
        assert_eq!(url, "https://idp.example/a?tenant=1&state=s");
    }

    #[test]
    fn what_is_not_granted_is_for_the_operator_and_what_is_down_is_for_later() {
        let not_granted = HttpError::NotGranted("https://idp.example/token".into());
        assert!(matches!(Failure::from(not_granted), Failure::Client(_)));
        for error in [HttpError::Timeout, HttpError::TooLarge, HttpError::UnreadableReply(200)] {
            assert!(matches!(Failure::from(error), Failure::Transient(_)));
        }
    }
}
