//! Who among the realm's people may come in.

use serde::Deserialize;
use vestibule_sdk::{Error, Identity};

use crate::person;

/// The operator's rules. With none of them, everybody may whom the realm knows;
/// with several, one that fits is enough.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Rules {
    pub(crate) require_verified_email: bool,
    pub(crate) allowed_users: Vec<String>,
    pub(crate) allowed_usernames: Vec<String>,
    pub(crate) allowed_email_domains: Vec<String>,
    pub(crate) allowed_roles: Vec<String>,
    pub(crate) allowed_orgs: Vec<String>,
}

impl Rules {
    /// Refuses who may not come in; the reason is for the log.
    pub(crate) fn admit(&self, who: &Identity) -> Result<(), Error> {
        if self.require_verified_email && who.email.is_some() && !who.email_verified {
            return Err(Error::forbidden("their e-mail address is not verified"));
        }
        if self.is_open() || self.fits(who) {
            return Ok(());
        }
        Err(Error::forbidden("none of the rules of the settings allowed_… lets them in"))
    }

    fn is_open(&self) -> bool {
        self.allowed_users.is_empty()
            && self.allowed_usernames.is_empty()
            && self.allowed_email_domains.is_empty()
            && self.allowed_roles.is_empty()
            && self.allowed_orgs.is_empty()
    }

    fn fits(&self, who: &Identity) -> bool {
        // Who may write any address into an account is nobody by it.
        let email = who.email.as_deref().filter(|_| who.email_verified);
        let same = |known: &str, name: &String| known.eq_ignore_ascii_case(name);
        let is_they = |name: &String| {
            who.user_id.as_ref() == Some(name) || email.is_some_and(|known| same(known, name))
        };
        // A list of its own: where people choose their names, one may be another's id.
        let username = person::username_of(who);
        let is_called = |name: &String| username.is_some_and(|known| same(known, name));
        let domain = email.and_then(domain_of);
        self.allowed_users.iter().any(is_they)
            || self.allowed_usernames.iter().any(is_called)
            || domain.is_some_and(|domain| {
                self.allowed_email_domains.iter().any(|known| known.eq_ignore_ascii_case(domain))
            })
            || who.roles.iter().any(|role| self.allowed_roles.contains(role))
            || who.org_id.as_ref().is_some_and(|org| self.allowed_orgs.contains(org))
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let lists = [
            ("allowed_users", &self.allowed_users),
            ("allowed_usernames", &self.allowed_usernames),
            ("allowed_email_domains", &self.allowed_email_domains),
            ("allowed_roles", &self.allowed_roles),
            ("allowed_orgs", &self.allowed_orgs),
        ];
        for (name, list) in lists {
            if list.iter().any(|entry| entry.trim() != entry || entry.is_empty()) {
                return Err(format!("{name} has an entry that is empty or padded: remove it"));
            }
        }
        match self.allowed_email_domains.iter().find(|domain| domain.contains(['@', '*'])) {
            Some(odd) => Err(format!(
                "allowed_email_domains has {odd:?}: write the part after the @, such as \
                 \"example.com\""
            )),
            None => Ok(()),
        }
    }
}

/// The domain of an address that has one and no more: what can be read in two ways
/// is nobody's (RFC 5321 allows more within quotes).
fn domain_of(email: &str) -> Option<&str> {
    let (local, domain) = email.split_once('@')?;
    let plain = |part: &str| {
        let odd = |c: char| matches!(c, '@' | '"' | '\\' | '(' | ')' | ',') || c.is_whitespace();
        !part.is_empty() && !part.contains(odd)
    };
    (plain(local) && plain(domain)).then_some(domain)
}

#[cfg(test)]
mod tests {
    use vestibule_sdk::Claim;

    use super::*;

    fn ada() -> Identity {
        Identity {
            email: Some("Ada@Example.com".into()),
            email_verified: true,
            roles: vec!["engineer".into()],
            org_id: Some("analytical".into()),
            claims: vec![Claim::new(person::USERNAME, "ada")],
            ..Identity::user("5f0c")
        }
    }

    fn rules(change: fn(&mut Rules)) -> Rules {
        let mut rules = Rules::default();
        change(&mut rules);
        rules
    }

    #[test]
    fn without_rules_everybody_may_come_in() {
        assert_eq!(Rules::default().admit(&ada()), Ok(()));
        assert_eq!(Rules::default().admit(&Identity::user("x")), Ok(()));
    }

    #[test]
    fn one_rule_that_fits_is_enough() {
        for change in [
            (|r| r.allowed_users = vec!["5f0c".into()]) as fn(&mut Rules),
            |r| r.allowed_usernames = vec!["bob".into(), "ADA".into()],
            |r| r.allowed_users = vec!["ada@example.com".into()],
            |r| r.allowed_email_domains = vec!["EXAMPLE.com".into()],
            |r| r.allowed_roles = vec!["engineer".into()],
            |r| r.allowed_orgs = vec!["analytical".into()],
            |r| {
                r.allowed_roles = vec!["nobody".into()];
                r.allowed_usernames = vec!["ada".into()];
            },
        ] {
            let rules = rules(change);
            assert_eq!(rules.admit(&ada()), Ok(()), "{rules:?}");
            assert!(matches!(rules.admit(&Identity::user("eve")), Err(Error::Forbidden(_))));
        }
    }

    #[test]
    fn an_address_that_is_not_verified_is_nobody_s() {
        let eve = Identity { email_verified: false, ..ada() };
        for change in [
            (|r| r.allowed_users = vec!["ada@example.com".into()]) as fn(&mut Rules),
            |r| r.allowed_email_domains = vec!["example.com".into()],
            |r| r.require_verified_email = true,
        ] {
            assert!(matches!(rules(change).admit(&eve), Err(Error::Forbidden(_))));
        }
        let without = Identity { email: None, ..eve };
        assert_eq!(rules(|r| r.require_verified_email = true).admit(&without), Ok(()));
    }

    #[test]
    fn an_address_that_somebody_took_for_a_user_name_is_not_theirs() {
        let rules = rules(|r| r.allowed_users = vec!["bob@example.com".into()]);
        let claims = vec![Claim::new(person::USERNAME, "bob@example.com")];
        assert!(rules.admit(&Identity { claims, ..ada() }).is_err());
    }

    #[test]
    fn a_domain_is_the_whole_part_after_the_at() {
        let rules = rules(|r| r.allowed_email_domains = vec!["example.com".into()]);
        for email in [
            "ada@evil-example.com",
            "ada@sub.example.com",
            "example.com",
            "@example.com",
            "a@b@evil.com",
            "eve@evil.com@example.com",
            "\"eve@evil.com \"@example.com",
            "eve(@evil.com)@example.com",
        ] {
            let who = Identity { email: Some(email.into()), ..ada() };
            assert!(rules.admit(&who).is_err(), "{email}");
        }
    }
}
