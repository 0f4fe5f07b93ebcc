//! A person as the identity provider's claims describe them, and as a session
//! remembers them.

use vestibule_sdk::{Claim, Error, Identity, jose::ClaimValue, text};

use crate::settings::Settings;

/// What the host accepts of each text, in bytes.
const MAX_ID_BYTES: usize = 256;
const MAX_NAME_BYTES: usize = 1024;
const MAX_EMAIL_BYTES: usize = 320;

/// What the host accepts of roles.
const MAX_ROLES: usize = 256;

/// What a session can remember of all roles together, in bytes.
const MAX_ROLE_BYTES: usize = 8 * 1024;

/// The claim that holds the user name.
pub(crate) const USERNAME: &str = "preferred_username";

/// Which claims say something about a person.
pub(crate) struct Wanted {
    pointers: Vec<String>,
    org: bool,
}

/// The fixed places before those of the settings.
const FIXED: usize = 5;

impl Wanted {
    pub(crate) fn of(settings: &Settings) -> Self {
        let claims = &settings.claims;
        let fixed = [
            "/sub",
            "/preferred_username",
            &claims.name_claim,
            &claims.email_claim,
            &claims.email_verified_claim,
        ];
        let mut pointers: Vec<String> = fixed.iter().map(|&pointer| pointer.into()).collect();
        pointers.extend(claims.org_claim.clone());
        pointers.extend(settings.role_claims());
        Self { pointers, org: claims.org_claim.is_some() }
    }

    /// The pointers of the claims, and others after them.
    pub(crate) fn and(&self, others: &[&str]) -> Vec<String> {
        let others = others.iter().map(|&pointer| pointer.into());
        self.pointers.iter().cloned().chain(others).collect()
    }

    /// The values of those others.
    pub(crate) fn others<'a>(&self, values: &'a [Option<ClaimValue>]) -> &'a [Option<ClaimValue>] {
        values.get(self.pointers.len()..).unwrap_or_default()
    }

    /// Whom the values describe. Nobody without an id that can be one.
    pub(crate) fn identity(&self, values: &[Option<ClaimValue>]) -> Result<Identity, Error> {
        let text = |index: usize, bytes| {
            let said = values.get(index)?.as_ref()?.as_text()?;
            text::printable(said, bytes)
        };
        let exact = |index: usize, bytes| {
            text(index, bytes).filter(|same| value(values, index).as_deref() == Some(same))
        };
        let id = exact(0, MAX_ID_BYTES)
            .ok_or_else(|| Error::unauthenticated("the token has no `sub` that is a name"))?;
        let username = exact(1, MAX_NAME_BYTES);
        let email = exact(3, MAX_EMAIL_BYTES);
        let name = text(2, MAX_NAME_BYTES).or_else(|| username.clone()).or_else(|| email.clone());
        let verified = matches!(values.get(4), Some(Some(ClaimValue::Boolean(true))));
        Ok(Identity {
            display_name: name,
            email_verified: verified && email.is_some(),
            email,
            org_id: self.org.then(|| only(values.get(FIXED)?.as_ref()?)).flatten(),
            roles: self.roles(values),
            claims: username.map(|name| Claim::new(USERNAME, name)).into_iter().collect(),
            ..Identity::user(id)
        })
    }

    /// Whether a token says nothing of roles or of the organisation, which another
    /// token may do.
    pub(crate) fn is_silent(&self, values: &[Option<ClaimValue>]) -> bool {
        let further = FIXED..self.pointers.len();
        values.get(further).is_some_and(|values| values.iter().any(Option::is_none))
    }

    /// Takes over from another token what the first did not say.
    pub(crate) fn complete(
        values: Vec<Option<ClaimValue>>,
        others: Vec<Option<ClaimValue>>,
    ) -> Vec<Option<ClaimValue>> {
        let others = others.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        values.into_iter().zip(others).map(|(said, other)| said.or(other.flatten())).collect()
    }

    fn roles(&self, values: &[Option<ClaimValue>]) -> Vec<String> {
        let mut roles: Vec<String> = Vec::new();
        let mut bytes = 0;
        let places = FIXED + usize::from(self.org)..self.pointers.len();
        for value in values.get(places).unwrap_or_default().iter().flatten() {
            for role in texts(value) {
                let plain = text::printable(role, MAX_ID_BYTES).as_ref() == Some(role);
                bytes += role.len();
                if roles.len() >= MAX_ROLES || bytes > MAX_ROLE_BYTES {
                    return roles;
                }
                if plain && !roles.iter().any(|known| known == role) {
                    roles.push(role.into());
                }
            }
        }
        roles
    }
}

fn value(values: &[Option<ClaimValue>], index: usize) -> Option<String> {
    values.get(index)?.as_ref()?.as_text().map(Into::into)
}

fn texts(value: &ClaimValue) -> &[String] {
    match value {
        ClaimValue::Texts(texts) => texts,
        ClaimValue::Text(text) => std::slice::from_ref(text),
        ClaimValue::Integer(_) | ClaimValue::Boolean(_) | ClaimValue::Json(_) => &[],
    }
}

/// The one text; of several organisations nobody knows which is meant.
fn only(value: &ClaimValue) -> Option<String> {
    match texts(value) {
        [one] => text::printable(one, MAX_ID_BYTES).filter(|same| same == one),
        _ => None,
    }
}

/// The user name in an identity that was made here.
pub(crate) fn username_of(who: &Identity) -> Option<&str> {
    let claim = who.claims.iter().find(|claim| claim.name == USERNAME)?;
    Some(&claim.value)
}

/// What a session keeps of a person: lines, because each request reads them.
pub(crate) fn remember(who: &Identity, issuer: &str) -> Vec<u8> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let verified = if who.email_verified { "verified" } else { "" };
    let mut lines = vec![
        issuer.to_owned(),
        text(&who.user_id),
        username_of(who).unwrap_or_default().to_owned(),
        text(&who.display_name),
        text(&who.email),
        verified.to_owned(),
        text(&who.org_id),
    ];
    lines.extend(who.roles.iter().cloned());
    lines.join("\n").into_bytes()
}

/// What a session kept, where it was of this issuer.
pub(crate) fn recall(data: &[u8], issuer: &str) -> Option<Identity> {
    let mut lines = std::str::from_utf8(data).ok()?.split('\n');
    if lines.next()? != issuer {
        return None;
    }
    let id = lines.next().filter(|id| !id.is_empty())?;
    let mut text = || lines.next().map(|line| Some(line.to_owned()).filter(|l| !l.is_empty()));
    let (username, name, email, verified, org) = (text()?, text()?, text()?, text()?, text()?);
    Some(Identity {
        display_name: name,
        email,
        email_verified: verified.is_some(),
        org_id: org,
        roles: lines.map(Into::into).collect(),
        claims: username.map(|name| Claim::new(USERNAME, name)).into_iter().collect(),
        ..Identity::user(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> ClaimValue {
        ClaimValue::Text(text.into())
    }

    fn wanted() -> Wanted {
        let pointers =
            ["/sub", "/preferred_username", "/name", "/email", "/email_verified", "/org", "/roles"];
        Wanted { pointers: pointers.map(Into::into).into(), org: true }
    }

    fn values() -> Vec<Option<ClaimValue>> {
        vec![
            Some(said("5f0c")),
            Some(said("ada")),
            Some(said("Ada Lovelace")),
            Some(said("ada@example.com")),
            Some(ClaimValue::Boolean(true)),
            Some(ClaimValue::Texts(vec!["analytical".into()])),
            Some(ClaimValue::Texts(vec!["engineer".into(), "engineer".into(), "a\nb".into()])),
        ]
    }

    fn ada() -> Identity {
        wanted().identity(&values()).expect("an identity")
    }

    #[test]
    fn claims_describe_a_person() {
        let ada = ada();
        assert_eq!(ada.user_id.as_deref(), Some("5f0c"));
        assert_eq!(ada.display_name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(ada.email.as_deref(), Some("ada@example.com"));
        assert!(ada.email_verified);
        assert_eq!(ada.org_id.as_deref(), Some("analytical"));
        assert_eq!(ada.roles, ["engineer"]);
        assert_eq!(username_of(&ada), Some("ada"));
    }

    #[test]
    fn an_id_that_would_have_to_be_changed_is_none() {
        for id in [
            None,
            Some(said("")),
            Some(said(" 5f0c")),
            Some(said("5f\n0c")),
            Some(ClaimValue::Integer(5)),
        ] {
            let mut values = values();
            values[0] = id;
            assert!(matches!(wanted().identity(&values), Err(Error::Unauthenticated(_))));
        }
    }

    #[test]
    fn an_address_is_verified_by_the_word_true_alone() {
        for odd in [None, Some(said("true")), Some(ClaimValue::Integer(1))] {
            let mut values = values();
            values[4] = odd;
            assert!(!wanted().identity(&values).expect("an identity").email_verified);
        }
    }

    #[test]
    fn of_two_organisations_there_is_none() {
        let mut values = values();
        values[5] = Some(ClaimValue::Texts(vec!["a".into(), "b".into()]));
        assert_eq!(wanted().identity(&values).expect("an identity").org_id, None);
    }

    #[test]
    fn another_token_adds_what_the_first_did_not_say() {
        let mut first = values();
        first[6] = None;
        first[2] = None;
        assert!(wanted().is_silent(&first));
        let mut second = values();
        second[1] = Some(said("eve"));
        let both = Wanted::complete(first, second);
        let ada = wanted().identity(&both).expect("an identity");
        assert_eq!((username_of(&ada), ada.roles.len()), (Some("ada"), 1));
        assert!(!wanted().is_silent(&both));
    }

    #[test]
    fn a_session_remembers_a_person_of_one_issuer() {
        let plain = Identity::user("5f0c");
        for who in [ada(), plain, Identity { roles: Vec::new(), ..ada() }] {
            let data = remember(&who, "https://sso.example/realms/team");
            let recalled = recall(&data, "https://sso.example/realms/team").expect("a person");
            assert_eq!(format!("{recalled:?}"), format!("{who:?}"));
            assert!(recall(&data, "https://sso.example/realms/other").is_none());
        }
        for odd in [&b""[..], b"i", b"i\n", b"i\n\n\n\n\n\n\n", b"i\na\n\n\n", b"\xff"] {
            assert!(recall(odd, "i").is_none(), "{odd:?}");
        }
    }
}
