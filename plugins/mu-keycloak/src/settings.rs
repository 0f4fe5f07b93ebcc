//! The operator's settings.

use serde::Deserialize;
use vestibule_sdk::{
    Error, Secret,
    jose::{Algorithm, Issuer},
    oauth::{ClientAuth, TokenEndpoint},
    secrets, settings,
};

use crate::{linked::Linked, rules::Rules};

/// The settings that are no secret, in groups: a request needs two of them.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) place: Place,
    pub(crate) client: Client,
    pub(crate) claims: ClaimNames,
    pub(crate) rules: Rules,
    pub(crate) linked: Linked,
}

/// What this host is to the identity provider.
#[derive(Debug, Deserialize)]
pub(crate) struct Client {
    #[serde(rename = "client_id")]
    pub(crate) id: String,
    #[serde(rename = "client_auth")]
    proof: Proof,
    scopes: Vec<String>,
    algorithms: Vec<String>,
    pub(crate) idp_hint: Option<String>,
    pub(crate) offline: bool,
    pub(crate) no_offline_for: Vec<String>,
    pub(crate) back_channel_revokes_offline: bool,
    pub(crate) bearer_audiences: Vec<String>,
    pub(crate) bearer_clients: Vec<String>,
}

/// Where the identity provider is.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    url: Option<String>,
    public_url: Option<String>,
    realm: Option<String>,
    issuer: Option<String>,
}

/// How the client proves itself to the token endpoint.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Proof {
    Form,
    Basic,
}

/// Where in a token to look, as JSON pointers (RFC 6901).
#[derive(Debug, Deserialize)]
pub(crate) struct ClaimNames {
    pub(crate) name_claim: String,
    pub(crate) email_claim: String,
    pub(crate) email_verified_claim: String,
    pub(crate) role_claims: Vec<String>,
    pub(crate) org_claim: Option<String>,
}

impl Settings {
    pub(crate) fn read() -> Result<Self, Error> {
        Ok(Self {
            place: settings::parse()?,
            client: settings::parse()?,
            claims: settings::parse()?,
            rules: settings::parse()?,
            linked: settings::parse()?,
        })
    }

    pub(crate) fn token_endpoint<'a>(
        &'a self,
        url: &'a str,
        client_secret: &'a Secret,
    ) -> TokenEndpoint<'a> {
        let client_auth = match self.client.proof {
            Proof::Form => ClientAuth::Form,
            Proof::Basic => ClientAuth::Basic,
        };
        TokenEndpoint { url, client_id: &self.client.id, client_secret, client_auth }
    }

    /// What to ask for; `offline` is for the grant that outlives the browser.
    pub(crate) fn scope(&self, offline: bool) -> String {
        let further = offline.then_some("offline_access");
        let scopes = self.client.scopes.iter().map(String::as_str).chain(further);
        scopes.collect::<Vec<_>>().join(" ")
    }

    /// Algorithms by which a token may be signed. Those that are not known were
    /// refused at the start.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        self.client.algorithms.iter().filter_map(|name| algorithm(name)).collect()
    }

    /// Where a token may name roles.
    pub(crate) fn role_claims(&self) -> impl Iterator<Item = String> {
        let id = self.client.id.replace('~', "~0").replace('/', "~1");
        self.claims.role_claims.iter().map(move |pointer| pointer.replace("{client_id}", &id))
    }

    fn check(&self) -> Result<(), String> {
        self.place.check()?;
        if self.client.id.is_empty() {
            return Err("client_id is empty: write the client's id in the realm".into());
        }
        // RFC 6749 section 3.3.
        let plain = |scope: &String| {
            !scope.is_empty()
                && scope.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
        };
        if !self.client.scopes.iter().all(plain) {
            return Err("scopes has one that is none: write each as a text of its own, such as \
                        [\"openid\", \"email\"]"
                .into());
        }
        if !self.client.scopes.iter().any(|scope| scope == "openid") {
            return Err("scopes lacks openid: without it nobody says who has come; add it".into());
        }
        if self.client.scopes.iter().any(|scope| scope == "offline_access") {
            return Err("scopes has offline_access: a browser's session must not have it; remove \
                        it and write offline = true"
                .into());
        }
        if let Some(unknown) = self.client.algorithms.iter().find(|name| algorithm(name).is_none())
        {
            return Err(format!(
                "algorithms has {unknown:?}: there are RS256, RS384, RS512, PS256, PS384, PS512, \
                 ES256, ES384 and EdDSA"
            ));
        }
        if self.client.algorithms.is_empty() {
            return Err("algorithms is empty: write those by which the realm signs, such as \
                        [\"RS256\"]"
                .into());
        }
        let claims = &self.claims;
        let single = [
            ("name_claim", &claims.name_claim),
            ("email_claim", &claims.email_claim),
            ("email_verified_claim", &claims.email_verified_claim),
        ];
        let roles = claims.role_claims.iter().map(|pointer| ("role_claims", pointer));
        let org = claims.org_claim.iter().map(|pointer| ("org_claim", pointer));
        let odd = |(_, pointer): &(&str, &String)| !pointer.starts_with('/');
        if let Some((name, odd)) = single.into_iter().chain(roles).chain(org).find(odd) {
            return Err(format!(
                "{name} has {odd:?}, which is no claim: write a JSON pointer such as \
                 \"/realm_access/roles\""
            ));
        }
        self.rules.check()?;
        self.linked.check()
    }
}

impl Place {
    /// Where the realm is for this host.
    pub(crate) fn realm_url(&self) -> Result<String, Error> {
        match (&self.issuer, &self.url, &self.realm) {
            (Some(issuer), None, None) => Ok(issuer.trim_end_matches('/').into()),
            (None, Some(url), Some(realm)) => Ok(below(url, realm)),
            _ => Err(Error::internal("the settings do not say where the realm is")),
        }
    }

    /// The value of `iss`, and where the discovery document is.
    pub(crate) fn issuer(&self) -> Result<Issuer, Error> {
        if let Some(issuer) = &self.issuer {
            return Ok(Issuer::new(issuer));
        }
        let inside = self.realm_url()?;
        Ok(match (&self.public_url, &self.realm) {
            (Some(public), Some(realm)) if below(public, realm) != inside => Issuer {
                metadata_url: Some(format!("{inside}/.well-known/openid-configuration")),
                ..Issuer::new(below(public, realm))
            },
            _ => Issuer::new(inside),
        })
    }

    fn check(&self) -> Result<(), String> {
        match (&self.issuer, &self.url, &self.realm) {
            (Some(_), None, None) if self.public_url.is_none() => {}
            (None, Some(_), Some(realm)) => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
                if realm.is_empty() || !realm.bytes().all(plain) {
                    return Err(
                        "realm is not a name of letters, digits, -, _ and .: copy it from \
                                the address of the realm's pages"
                            .into(),
                    );
                }
            }
            (Some(_), ..) => {
                return Err("issuer stands beside url, public_url or realm: write issuer alone, \
                            or url and realm"
                    .into());
            }
            _ => {
                return Err("url and realm are missing: write url = \"https://HOST\" and realm = \
                            \"NAME\", or issuer = \"https://…\" for another provider"
                    .into());
            }
        }
        let places =
            [("url", &self.url), ("public_url", &self.public_url), ("issuer", &self.issuer)];
        for (name, url) in places {
            if let Some(url) = url {
                check_url(name, url)?;
            }
        }
        Ok(())
    }
}

/// Refuses a URL that is not encrypted, or more than a place.
pub(crate) fn check_url(name: &str, url: &str) -> Result<(), String> {
    if url.contains(['?', '#']) {
        return Err(format!("{name} has a query: write nothing after the path"));
    }
    if !is_https(url) && !is_loopback(url) {
        return Err(format!("{name} is not encrypted: write https:// before the host"));
    }
    Ok(())
}

fn below(url: &str, realm: &str) -> String {
    format!("{}/realms/{realm}", url.trim_end_matches('/'))
}

fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::Rs256,
        "RS384" => Algorithm::Rs384,
        "RS512" => Algorithm::Rs512,
        "PS256" => Algorithm::Ps256,
        "PS384" => Algorithm::Ps384,
        "PS512" => Algorithm::Ps512,
        "ES256" => Algorithm::Es256,
        "ES384" => Algorithm::Es384,
        "EdDSA" => Algorithm::Eddsa,
        _ => return None,
    })
}

/// Checks what the host has not checked by the description.
pub(crate) fn check() -> Result<(), String> {
    let settings = Settings::read().map_err(|error| format!("{error:?}"))?;
    settings.check()?;
    client_secret().map_err(|error| format!("{error:?}"))?;
    for app in settings.linked.apps() {
        app.secret().map_err(|error| format!("{error:?}"))?;
    }
    Ok(())
}

/// The client's secret, without which nothing can be asked of the token endpoint.
pub(crate) fn client_secret() -> Result<Secret, Error> {
    secret("client_secret")
}

/// The secret of this setting.
pub(crate) fn secret(name: &str) -> Result<Secret, Error> {
    secrets::configured(name)?
        .ok_or_else(|| Error::internal(format!("the setting {name} has no value")))
}

fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str, public_url: &str, realm: &str, issuer: &str) -> Place {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Place {
            url: given(url),
            public_url: given(public_url),
            realm: given(realm),
            issuer: given(issuer),
        }
    }

    #[test]
    fn tokens_are_of_the_public_realm_and_documents_of_the_one_inside() {
        let keycloak = place("https://kc.internal/", "https://sso.example", "team", "");
        assert_eq!(keycloak.check(), Ok(()));
        assert_eq!(keycloak.realm_url().as_deref(), Ok("https://kc.internal/realms/team"));
        let issuer = keycloak.issuer().expect("an issuer");
        assert_eq!(issuer.id, "https://sso.example/realms/team");
        let metadata = "https://kc.internal/realms/team/.well-known/openid-configuration";
        assert_eq!(issuer.metadata_url.as_deref(), Some(metadata));
    }

    #[test]
    fn one_address_is_enough() {
        for keycloak in [
            place("https://sso.example/auth", "", "team", ""),
            place("https://sso.example/auth", "https://sso.example/auth/", "team", ""),
        ] {
            let issuer = keycloak.issuer().expect("an issuer");
            assert_eq!(issuer, Issuer::new("https://sso.example/auth/realms/team"));
        }
        let other = place("", "", "", "https://accounts.example/");
        assert_eq!(other.check(), Ok(()));
        assert_eq!(other.issuer(), Ok(Issuer::new("https://accounts.example/")));
        assert_eq!(other.realm_url().as_deref(), Ok("https://accounts.example"));
    }

    #[test]
    fn a_place_that_is_none_comes_with_its_mend() {
        for (odd, mend) in [
            (place("", "", "", ""), "write url ="),
            (place("https://a", "", "", ""), "write url ="),
            (place("https://a", "", "t", "https://b"), "write issuer alone"),
            (place("", "https://a", "", "https://b"), "write issuer alone"),
            (place("https://a", "", "a/b", ""), "copy it"),
            (place("http://a", "", "t", ""), "https://"),
            (place("https://a?b", "", "t", ""), "after the path"),
        ] {
            let told = odd.check().expect_err("it is refused");
            assert!(told.contains(mend), "{told}");
        }
        assert_eq!(place("http://localhost:8180", "", "t", "").check(), Ok(()));
    }
}
