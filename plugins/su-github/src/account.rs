//! An account as GitHub describes it, and as a session remembers it.

use serde::Deserialize;
use vestibule_sdk::{Claim, Error, Identity, text};

/// What the host accepts of a name to show, and of an e-mail address, in bytes.
const MAX_NAME_BYTES: usize = 1024;
const MAX_EMAIL_BYTES: usize = 320;

/// The claim that holds the log-in name.
const LOGIN: &str = "login";

/// One account.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Account {
    /// The numeric id, which an account keeps for good.
    pub(crate) id: u64,
    /// The log-in name, which can change hands.
    pub(crate) login: String,
    name: Option<String>,
    email: Option<String>,
}

impl Account {
    /// Reads GitHub's answer. An id that is no JSON integer is none.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let account: Self = serde_json::from_slice(body)
            .map_err(|_| Error::unavailable("GitHub describes no account"))?;
        if account.id == 0
            || text::printable(&account.login, 256).is_none_or(|l| l != account.login)
        {
            return Err(Error::unavailable("GitHub describes an account that cannot be"));
        }
        Ok(Self {
            name: account.name.and_then(|name| text::printable(&name, MAX_NAME_BYTES)),
            email: account.email.filter(|email| {
                text::printable(email, MAX_EMAIL_BYTES).is_some_and(|same| same == *email)
            }),
            ..account
        })
    }

    /// What a session keeps: lines, because each request reads them.
    pub(crate) fn remember(&self, host: &str) -> Vec<u8> {
        let name = self.name.as_deref().unwrap_or_default();
        let email = self.email.as_deref().unwrap_or_default();
        format!("{host}\n{}\n{}\n{name}\n{email}", self.id, self.login).into_bytes()
    }

    /// What a session kept, where it was this GitHub's.
    pub(crate) fn recall(data: &[u8], host: &str) -> Option<Self> {
        let mut lines = std::str::from_utf8(data).ok()?.split('\n');
        if lines.next()? != host {
            return None;
        }
        let (id, login) = (lines.next()?.parse().ok()?, lines.next()?.into());
        let mut text = || lines.next().map(|line| Some(line.to_owned()).filter(|l| !l.is_empty()));
        let (name, email) = (text()?, text()?);
        Some(Self { id, login, name, email })
    }

    pub(crate) fn into_identity(self) -> Identity {
        Identity {
            display_name: Some(self.name.unwrap_or_else(|| self.login.clone())),
            // GitHub does not say here whether it has verified the address.
            email: self.email,
            claims: vec![Claim::new(LOGIN, self.login)],
            ..Identity::user(self.id.to_string())
        }
    }
}

/// The log-in name in an identity that was made here.
pub(crate) fn login_of(identity: &Identity) -> &str {
    let claim = identity.claims.iter().find(|claim| claim.name == LOGIN);
    claim.map_or("", |claim| claim.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octocat() -> Account {
        Account {
            id: 583_231,
            login: "octocat".into(),
            name: Some("The Octocat".into()),
            email: None,
        }
    }

    #[test]
    fn an_account_is_read_from_what_matters() {
        let body = br#"{"login":"octocat","id":583231,"node_id":"x","type":"User",
            "name":"The Octocat","email":null,"plan":{"name":"pro"}}"#;
        assert_eq!(Account::read(body), Ok(octocat()));
    }

    #[test]
    fn an_id_is_a_json_integer_or_there_is_none() {
        for id in
            ["\"583231\"", "583231.0", "5.8e5", "null", "[583231]", "-1", "0", "true", "1e400"]
        {
            let body = format!(r#"{{"login":"octocat","id":{id}}}"#);
            assert!(matches!(Account::read(body.as_bytes()), Err(Error::Unavailable(_))), "{id}");
        }
        for body in [
            r#"{"login":"octocat"}"#,
            r#"{"id":583231}"#,
            r#"{"id":1,"id":583231,"login":"octocat"}"#,
            r#"[{"id":583231,"login":"octocat"}]"#,
            r#"{"id":583231,"login":""}"#,
            r#"{"id":583231,"login":"octo\ncat"}"#,
            "<!DOCTYPE html>",
            "",
        ] {
            assert!(Account::read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn what_the_host_would_not_accept_is_left_out() {
        let body = r#"{"id":1,"login":"a","name":"Mona\u202e\nLisa","email":"a@b\n"}"#;
        let account = Account::read(body.as_bytes()).expect("an account");
        assert_eq!(account.name.as_deref(), Some("MonaLisa"));
        assert_eq!(account.email, None);
        assert_eq!(account.into_identity().display_name.as_deref(), Some("MonaLisa"));
    }

    #[test]
    fn a_session_remembers_the_account_of_one_github() {
        for account in [octocat(), Account { name: None, email: Some("a@b".into()), ..octocat() }] {
            let data = account.remember("github.com");
            assert_eq!(Account::recall(&data, "github.com"), Some(account));
            assert_eq!(Account::recall(&data, "ghe.example"), None);
        }
        for odd in
            [&b""[..], b"github.com", b"github.com\nx\nocto\n\n", b"github.com\n1\na\n", b"\xff"]
        {
            assert_eq!(Account::recall(odd, "github.com"), None, "{odd:?}");
        }
    }

    #[test]
    fn an_identity_tells_the_log_in_name_as_a_claim() {
        let identity = octocat().into_identity();
        assert_eq!(identity.user_id.as_deref(), Some("583231"));
        assert_eq!(login_of(&identity), "octocat");
        assert_eq!(login_of(&Identity::user("583231")), "");
        assert!(!identity.email_verified);
    }
}
