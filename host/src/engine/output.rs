//! Between the host's types and the contract's, with every bound checked on
//! what a component answers before anybody looks at it.

use std::net::IpAddr;

use wasmtime::component::ResourceTable;

use super::call::CallError;
use crate::{
    bindings::vestibule::auth::types as wit,
    capability::secrets::handles,
    identity::{
        Claim, Identity, LOCAL_ORG, LOCAL_OWNER, OrgId, Outcome, Refusal, SessionContent, UserId,
    },
    text::{self, is_treacherous},
};

/// Bounds of an identity, as the contract states them.
const MAX_CLAIMS: usize = 64;
const MAX_CLAIM_NAME_BYTES: usize = 256;
const MAX_CLAIM_VALUE_BYTES: usize = 4 * 1024;
const MAX_ROLES: usize = 256;
const MAX_ROLE_BYTES: usize = 256;
const MAX_DISPLAY_NAME_BYTES: usize = 1024;
/// RFC 5321 section 4.5.3.1: 64 for the local part, `@`, 255 for the domain.
const MAX_EMAIL_BYTES: usize = 320;

/// The longest reason that reaches the log, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// A strategy's answer to a request.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Who is calling.
    pub outcome: Outcome,
    /// What becomes of the caller's session.
    pub session: SessionChange,
}

/// What becomes of a session.
#[derive(Clone, Debug)]
pub enum SessionChange {
    /// Nothing.
    Keep,
    /// It goes on as this.
    Replace(Box<SessionContent>),
    /// It is over.
    Clear,
}

type Checked<T> = Result<T, CallError>;

fn malformed<T>(what: &'static str) -> Checked<T> {
    Err(CallError::MalformedOutput(what))
}

/// What a caller presented, as far as the answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// Nothing, so that being anonymous is an answer.
    Nothing,
    /// A session, which the answer may change.
    Session,
    /// Anything else.
    Other,
}

/// Takes over a decision.
pub(super) fn decision(
    table: &mut ResourceTable,
    decision: wit::Decision,
    local_owner: bool,
    presented: Presented,
) -> Checked<Decision> {
    let session = match decision.session {
        wit::SessionChange::Keep => SessionChange::Keep,
        _ if presented != Presented::Session => {
            return malformed("it changes a session where none was presented");
        }
        wit::SessionChange::Replace(session) => {
            let session = handles::take_session(table, session);
            SessionChange::Replace(Box::new(session.map_err(CallError::MalformedOutput)?))
        }
        wit::SessionChange::Clear => SessionChange::Clear,
    };
    let outcome = match decision.outcome {
        wit::Outcome::Anonymous if presented != Presented::Nothing => {
            return malformed("it says anonymous of a caller who presented a credential");
        }
        wit::Outcome::Anonymous => Outcome::Anonymous,
        wit::Outcome::Authenticated(who) => Outcome::Authenticated(identity(who, local_owner)?),
    };
    Ok(Decision { outcome, session })
}

/// Takes over an identity.
pub(super) fn identity(identity: wit::IdentityResult, local_owner: bool) -> Checked<Identity> {
    if identity.user_id.is_none() && !local_owner {
        return malformed(
            "an identity has no user id, and the description says nothing of a local owner",
        );
    }
    if identity.user_id.as_deref() == Some(LOCAL_OWNER)
        || identity.org_id.as_deref() == Some(LOCAL_ORG)
    {
        return malformed("an identity has the id of the local owner, which nobody can be given");
    }
    if texts(&identity).any(|text| text.contains(is_treacherous)) {
        return malformed("an identity has a control character in it");
    }
    if identity.roles.iter().any(String::is_empty)
        || identity.claims.iter().any(|claim| claim.name.is_empty())
    {
        return malformed("a role or the name of a claim is empty");
    }
    if identity.display_name.as_ref().is_some_and(|name| name.len() > MAX_DISPLAY_NAME_BYTES) {
        return malformed("a display name is longer than 1024 bytes");
    }
    if identity.email.as_ref().is_some_and(|email| email.len() > MAX_EMAIL_BYTES) {
        return malformed("an e-mail address is longer than 320 bytes");
    }
    if identity.roles.len() > MAX_ROLES {
        return malformed("an identity has more than 256 roles");
    }
    if identity.roles.iter().any(|role| role.len() > MAX_ROLE_BYTES) {
        return malformed("a role is longer than 256 bytes");
    }
    if identity.claims.len() > MAX_CLAIMS {
        return malformed("an identity has more than 64 claims");
    }
    if identity.claims.iter().any(|claim| claim.name.len() > MAX_CLAIM_NAME_BYTES) {
        return malformed("the name of a claim is longer than 256 bytes");
    }
    if identity.claims.iter().any(|claim| claim.value.len() > MAX_CLAIM_VALUE_BYTES) {
        return malformed("the value of a claim is longer than 4 KiB");
    }
    let invalid_id = |_| CallError::MalformedOutput("an id is empty, too long or not printable");
    Ok(Identity {
        user_id: identity.user_id.map(UserId::new).transpose().map_err(invalid_id)?,
        org_id: identity.org_id.map(OrgId::new).transpose().map_err(invalid_id)?,
        display_name: identity.display_name,
        email: identity.email,
        email_verified: identity.email_verified,
        roles: identity.roles,
        claims: identity
            .claims
            .into_iter()
            .map(|claim| Claim { name: claim.name, value: claim.value })
            .collect(),
    })
}

/// Takes over a strategy's refusal, its reason cut to what a log can bear.
pub(super) fn refusal(error: wit::Error) -> Refusal {
    match error {
        wit::Error::Unauthenticated(reason) => Refusal::Unauthenticated(cut(reason)),
        wit::Error::Forbidden(reason) => Refusal::Forbidden(cut(reason)),
        wit::Error::Unavailable(reason) => Refusal::Unavailable(cut(reason)),
        wit::Error::Internal(reason) => Refusal::Internal(cut(reason)),
    }
}

/// A text for the log: bounded, and unable to forge a line.
pub(super) fn cut(reason: String) -> String {
    text::escape(&text::cut(reason, MAX_REASON_BYTES))
}

/// Every text of an identity that people or headers will show.
fn texts(identity: &wit::IdentityResult) -> impl Iterator<Item = &String> {
    let claims = identity.claims.iter().flat_map(|claim| [&claim.name, &claim.value]);
    identity.display_name.iter().chain(&identity.email).chain(&identity.roles).chain(claims)
}

/// The lists of an identity as the contract has them.
pub(super) struct Lists<'a> {
    roles: Vec<&'a str>,
    claims: Vec<wit::ClaimParam<'a>>,
}

impl<'a> Lists<'a> {
    pub(super) fn of(identity: &'a Identity) -> Self {
        let claim = |claim: &'a Claim| wit::ClaimParam { name: &claim.name, value: &claim.value };
        Self {
            roles: identity.roles.iter().map(String::as_str).collect(),
            claims: identity.claims.iter().map(claim).collect(),
        }
    }
}

/// An identity as the contract has it.
pub(super) fn lower_identity<'a>(
    identity: &'a Identity,
    lists: &'a Lists<'a>,
) -> wit::IdentityParam<'a> {
    wit::IdentityParam {
        user_id: identity.user_id.as_ref().map(UserId::as_str),
        org_id: identity.org_id.as_ref().map(OrgId::as_str),
        display_name: identity.display_name.as_deref(),
        email: identity.email.as_deref(),
        email_verified: identity.email_verified,
        roles: &lists.roles,
        claims: &lists.claims,
    }
}

pub(super) fn lower_method(method: &str) -> wit::Method<'_> {
    match method {
        "GET" => wit::Method::Get,
        "HEAD" => wit::Method::Head,
        "POST" => wit::Method::Post,
        "PUT" => wit::Method::Put,
        "DELETE" => wit::Method::Delete,
        "CONNECT" => wit::Method::Connect,
        "OPTIONS" => wit::Method::Options,
        "TRACE" => wit::Method::Trace,
        "PATCH" => wit::Method::Patch,
        other => wit::Method::Other(other),
    }
}

pub(super) fn lower_address(address: IpAddr) -> wit::IpAddress {
    match address {
        IpAddr::V4(v4) => wit::IpAddress::Ipv4(v4.octets().into()),
        IpAddr::V6(v6) => wit::IpAddress::Ipv6(v6.segments().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity_of(user_id: Option<&str>) -> wit::IdentityResult {
        wit::IdentityResult {
            user_id: user_id.map(str::to_owned),
            org_id: None,
            display_name: None,
            email: None,
            email_verified: false,
            roles: Vec::new(),
            claims: Vec::new(),
        }
    }

    #[test]
    fn only_a_strategy_with_a_local_owner_may_leave_out_the_user_id() {
        assert!(identity(identity_of(None), true).is_ok());
        assert!(matches!(identity(identity_of(None), false), Err(CallError::MalformedOutput(_))));
        assert!(identity(identity_of(Some("u")), false).is_ok());
    }

    #[test]
    fn every_bound_of_an_identity_bites_one_past_its_limit() {
        type Spoil = fn(&mut wit::IdentityResult);
        let over: [(&str, Spoil); 7] = [
            ("user id", |i| i.user_id = Some("u".repeat(256))),
            ("display name", |i| i.display_name = Some("n".repeat(1025))),
            ("email", |i| i.email = Some("e".repeat(321))),
            ("roles", |i| i.roles = vec!["r".to_owned(); 257]),
            ("role", |i| i.roles = vec!["r".repeat(257)]),
            ("claims", |i| {
                i.claims =
                    vec![wit::ClaimResult { name: "n".to_owned(), value: String::new() }; 65];
            }),
            ("claim", |i| {
                i.claims = vec![wit::ClaimResult { name: String::new(), value: "v".repeat(4097) }];
            }),
        ];
        for (what, spoil) in over {
            let mut spoiled = identity_of(Some("u"));
            spoil(&mut spoiled);
            assert!(
                matches!(identity(spoiled, false), Err(CallError::MalformedOutput(_))),
                "{what}"
            );
        }
    }

    #[test]
    fn nobody_can_be_given_the_id_of_the_local_owner() {
        assert!(identity(identity_of(Some(LOCAL_OWNER)), false).is_err());
        let mut stranger = identity_of(Some("u"));
        stranger.org_id = Some(LOCAL_ORG.to_owned());
        assert!(identity(stranger, true).is_err());
    }

    #[test]
    fn an_identity_is_printable() {
        type Spoil = fn(&mut wit::IdentityResult);
        let spoils: [Spoil; 6] = [
            |i| i.display_name = Some("a\r\nset-cookie: x".to_owned()),
            |i| i.email = Some("a@b\0".to_owned()),
            |i| i.roles = vec!["admin\n".to_owned()],
            |i| i.roles = vec![String::new()],
            |i| i.claims = vec![wit::ClaimResult { name: String::new(), value: String::new() }],
            |i| {
                let value = "\u{1b}".to_owned();
                i.claims = vec![wit::ClaimResult { name: "n".to_owned(), value }];
            },
        ];
        for spoil in spoils {
            let mut spoiled = identity_of(Some("u"));
            spoil(&mut spoiled);
            assert!(identity(spoiled.clone(), false).is_err(), "{spoiled:?}");
        }
    }

    #[test]
    fn a_caller_with_a_bad_credential_cannot_be_called_anonymous() {
        let anonymous = || wit::Decision {
            outcome: wit::Outcome::Anonymous,
            session: wit::SessionChange::Keep,
        };
        let mut table = ResourceTable::new();
        let mut decide = |presented| decision(&mut table, anonymous(), false, presented);
        assert!(decide(Presented::Nothing).is_ok());
        assert!(decide(Presented::Other).is_err());
        assert!(decide(Presented::Session).is_err());
    }

    #[test]
    fn a_reason_is_cut_and_cannot_forge_a_line() {
        assert_eq!(cut("a\nb".to_owned()), "a\\u{a}b");
        assert_eq!(cut("é".repeat(1000)).len(), MAX_REASON_BYTES);
    }
}
