//! What the strategy says of itself.

use vestibule_sdk::{
    Description, GrantSource, ProposedGrants, Setting, SettingType, oauth::Margin,
};

use crate::{linked::PROVIDERS, offline};

pub(crate) fn description() -> Description {
    let names = || PROVIDERS.iter().map(|provider| provider.name.to_owned());
    let providers = || names().map(|name| GrantSource::setting(&format!("{name}_url")));
    let places = || ["url", "issuer"].map(GrantSource::setting);
    Description {
        aliases: vec!["multi_user_keycloak".into(), "mu".into(), "oidc".into()],
        settings: settings(),
        grants: ProposedGrants {
            http: places().into_iter().chain(providers()).collect(),
            browser: vec![GrantSource::setting("public_url")],
            jose: vec![
                GrantSource::template("{public_url}/realms/{realm}"),
                GrantSource::template("{url}/realms/{realm}"),
                GrantSource::setting("issuer"),
            ],
            token_store: std::iter::once(offline::NAME.to_owned()).chain(names()).collect(),
        },
        log_in: Some("Sign in".into()),
        providers: names().collect(),
        ..Description::new(
            "mu-keycloak",
            env!("CARGO_PKG_VERSION"),
            "Many people log in with Keycloak or another OpenID provider",
        )
    }
}

fn settings() -> Vec<Setting> {
    let mut settings = place();
    settings.extend(client());
    settings.extend(claims());
    settings.extend(rules());
    settings.extend(linked());
    settings
}

fn optional(name: &str, kind: SettingType, help: &str) -> Setting {
    Setting::new(name, kind, help)
}

/// With a default, as JSON.
fn or(default: &str, name: &str, kind: SettingType, help: &str) -> Setting {
    Setting { default: Some(default.into()), ..optional(name, kind, help) }
}

fn supplied(variables: &[&str], setting: Setting) -> Setting {
    Setting { environment: variables.iter().map(|&name| name.into()).collect(), ..setting }
}

fn place() -> Vec<Setting> {
    use SettingType::{Text, Url};
    vec![
        supplied(
            &["KEYCLOAK_SERVER_URL"],
            optional(
                "url",
                Url,
                "Where Keycloak is for this server, such as https://sso.example.com",
            ),
        ),
        supplied(
            &["KEYCLOAK_SERVER_URL_EXT"],
            optional("public_url", Url, "Where Keycloak is for browsers, if that is elsewhere"),
        ),
        supplied(
            &["KEYCLOAK_REALM_NAME"],
            optional("realm", Text, "The realm whose people may come in"),
        ),
        optional("issuer", Url, "Instead of url and realm: the issuer of another OpenID provider"),
    ]
}

fn client() -> Vec<Setting> {
    use SettingType::{Boolean, Choice, Text, Texts};
    vec![
        supplied(
            &["KEYCLOAK_CLIENT_ID"],
            Setting::required("client_id", Text, "The client's id in the realm"),
        ),
        supplied(
            &["KEYCLOAK_CLIENT_SECRET"],
            Setting {
                secret: true,
                ..Setting::required("client_secret", Text, "The client's secret")
            },
        ),
        or(
            r#""form""#,
            "client_auth",
            Choice(vec!["form".into(), "basic".into()]),
            "How the client proves itself: in the form or by the Authorization header",
        ),
        or(
            r#"["openid","email","profile"]"#,
            "scopes",
            Texts,
            "The scopes of a browser's session; openid must be among them",
        ),
        or(
            r#"["RS256","ES256","PS256","EdDSA"]"#,
            "algorithms",
            Texts,
            "The algorithms by which tokens may be signed",
        ),
        supplied(
            &["KEYCLOAK_PROVIDER_NAME"],
            optional(
                "idp_hint",
                Text,
                "The alias of the provider that Keycloak goes on to at once",
            ),
        ),
        or(
            "true",
            "offline",
            Boolean,
            "Ask for an offline token as well, by which provider tokens are had while nobody is \
             logged in",
        ),
        or(
            r#"["saml"]"#,
            "no_offline_for",
            Texts,
            "Aliases or types of brokered providers whose people get no offline token",
        ),
        or(
            "false",
            "back_channel_revokes_offline",
            Boolean,
            "A back-channel log-out that says that offline access is revoked ends the offline \
             token here as well",
        ),
        or(
            "[]",
            "bearer_audiences",
            Texts,
            "Audiences of access tokens that clients of other kinds may present; the client_id \
             where none is named",
        ),
        or(
            "[]",
            "bearer_clients",
            Texts,
            "Clients whose access tokens may be presented; all where none is named",
        ),
    ]
}

fn claims() -> Vec<Setting> {
    use SettingType::{Text, Texts};
    vec![
        or(r#""/name""#, "name_claim", Text, "Where tokens have the name, as a JSON pointer"),
        or(r#""/email""#, "email_claim", Text, "Where tokens have the e-mail address"),
        or(
            r#""/email_verified""#,
            "email_verified_claim",
            Text,
            "Where tokens say that the address is verified",
        ),
        or(
            r#"["/realm_access/roles","/resource_access/{client_id}/roles"]"#,
            "role_claims",
            Texts,
            "Where tokens have roles; {client_id} stands for the client's id",
        ),
        optional("org_claim", Text, "Where tokens have the organisation"),
    ]
}

fn rules() -> Vec<Setting> {
    use SettingType::{Boolean, Texts};
    let none = |name, help| or("[]", name, Texts, help);
    vec![
        or(
            "true",
            "require_verified_email",
            Boolean,
            "Refuse people whose address the realm has not verified",
        ),
        none("allowed_users", "Who may come in: ids, or verified addresses"),
        none(
            "allowed_usernames",
            "Whose user name is one of these, if the realm lets nobody choose it",
        ),
        none("allowed_email_domains", "Whose verified address is in one of these domains"),
        none("allowed_roles", "Who has one of these roles"),
        none("allowed_orgs", "Who is of one of these organisations"),
    ]
}

/// The apps with which the realm logs people in at Git providers.
fn linked() -> Vec<Setting> {
    use SettingType::{Text, Texts, Url};
    let mut settings = vec![or(
        "[]",
        "providers",
        Texts,
        "Git providers whose tokens the realm stores: github, gitlab, bitbucket",
    )];
    for provider in PROVIDERS {
        let name = provider.name;
        let upper = name.to_uppercase();
        let variable = |end: &str| vec![format!("{upper}_APP_CLIENT_{end}")];
        settings.extend([
            optional(
                &format!("{name}_alias"),
                Text,
                &format!("What the realm calls {name}; {name} where it is not given"),
            ),
            optional(
                &format!("{name}_url"),
                Url,
                &format!("Where {name} is, such as {}", provider.base_url),
            ),
            Setting {
                environment: variable("ID"),
                ..optional(
                    &format!("{name}_client_id"),
                    Text,
                    &format!("The id of the app by which the realm logs in at {name}"),
                )
            },
            Setting {
                secret: true,
                environment: variable("SECRET"),
                ..optional(
                    &format!("{name}_client_secret"),
                    Text,
                    &format!("The secret of the app by which the realm logs in at {name}"),
                )
            },
        ]);
    }
    settings.extend(Margin::settings());
    settings
}
