//! Answers of a component, made of arbitrary bytes.

use secrecy::SecretString;
use wasmtime::component::{Resource, ResourceTable};

use super::output::{self, Presented};
use crate::{
    bindings::vestibule::auth::types as wit, capability::secrets::Secret, identity::Outcome,
    text::is_treacherous,
};

/// Bytes to make values of; where they end, everything is empty.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn is_so(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A text, repeated so that bounds can be met.
    fn text(&mut self) -> String {
        let (length, times) = (usize::from(self.byte()), usize::from(self.byte()).pow(2) / 8 + 1);
        let (text, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        String::from_utf8_lossy(text).repeat(if text.is_empty() { 0 } else { times })
    }

    fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.is_so().then(|| make(self))
    }

    fn list<T: Clone>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Vec<T> {
        let count = usize::from(self.byte()) * 2;
        vec![make(self); count]
    }

    fn number(&mut self) -> u64 {
        u64::from(self.byte()) << (self.byte() % 64)
    }

    fn identity(&mut self) -> wit::IdentityResult {
        wit::IdentityResult {
            user_id: self.option(Self::text),
            org_id: self.option(Self::text),
            display_name: self.option(Self::text),
            email: self.option(Self::text),
            email_verified: self.is_so(),
            roles: self.list(Self::text),
            claims: self
                .list(|bytes| (bytes.text(), bytes.text()))
                .into_iter()
                .map(|(name, value)| wit::ClaimResult { name, value })
                .collect(),
        }
    }

    fn session(&mut self, table: &mut ResourceTable) -> wit::SessionResult {
        let count = self.byte() % 20;
        let secret = |_| wit::NamedSecretResult {
            name: self.text(),
            value: if self.is_so() {
                table
                    .push(Secret::new(SecretString::from(self.text())))
                    .unwrap_or_else(|_| Resource::new_own(0))
            } else {
                Resource::new_own(u32::from(self.byte()))
            },
        };
        wit::SessionResult {
            secrets: (0..count).map(secret).collect(),
            data: self.text().into_bytes(),
            refresh_at: self.option(Self::number),
            expires_at: self.option(Self::number),
            idp_session_id: self.option(Self::text),
        }
    }
}

/// Takes over an answer, and holds what comes of it against the contract.
pub fn answer(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let mut table = ResourceTable::new();
    let presented = [Presented::Nothing, Presented::Session, Presented::Other];
    let presented = presented[usize::from(bytes.byte() % 3)];
    let local_owner = bytes.is_so();
    let session = match bytes.byte() % 3 {
        0 => wit::SessionChange::Keep,
        1 => wit::SessionChange::Clear,
        _ => wit::SessionChange::Replace(bytes.session(&mut table)),
    };
    let outcome = match bytes.byte() % 4 {
        0 => wit::Outcome::Anonymous,
        _ => wit::Outcome::Authenticated(bytes.identity()),
    };
    let refusal = output::refusal(wit::Error::Internal(bytes.text())).to_string();
    assert!(!refusal.contains(is_treacherous) && refusal.len() < 16 * 1024);
    let decision = wit::Decision { outcome, session };
    let Ok(decision) = output::decision(&mut table, decision, local_owner, presented) else {
        return;
    };
    match decision.outcome {
        Outcome::Anonymous => assert_eq!(presented, Presented::Nothing),
        Outcome::Authenticated(who) => {
            assert!(local_owner || who.user_id.is_some());
            assert!(who.roles.len() <= 256 && who.claims.len() <= 64);
            let claims = who.claims.iter().flat_map(|claim| [&claim.name, &claim.value]);
            let mut texts =
                who.display_name.iter().chain(&who.email).chain(&who.roles).chain(claims);
            assert!(!texts.any(|text| text.len() > 4096 || text.contains(is_treacherous)));
        }
    }
}
