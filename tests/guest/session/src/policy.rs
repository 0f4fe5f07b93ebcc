//! The policy itself, without a host: what the benches compare the sandbox with.
//!
//! A session cookie is `payload.mac`, both in base64url; the payload is
//! `sub|tenant|role,role|exp` and the MAC is HMAC-SHA256 over its encoded form.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The key of the guest; a benchmark needs no secret one.
pub const KEY: [u8; 32] = *b"a benchmark has nothing to hide.";

/// Who presented a good cookie.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The user.
    pub user_id: String,
    /// The tenant that the user acts for.
    pub org_id: String,
    /// The user's roles.
    pub roles: Vec<String>,
    /// When the session is over, in seconds since the Unix epoch.
    pub expires_at: u64,
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// There is no session cookie.
    NoSession,
    /// The cookie is not of the form above.
    Malformed,
    /// The MAC does not hold.
    Forged,
    /// The session is over.
    Expired,
}

/// Decides about the value of a `cookie` header at an instant.
pub fn decide(cookies: &str, now: u64, key: &[u8; 32]) -> Result<Caller, Refusal> {
    let session = cookies
        .split(';')
        .find_map(|cookie| cookie.trim_ascii_start().strip_prefix("session="))
        .ok_or(Refusal::NoSession)?;
    let (payload, mac) = session.split_once('.').ok_or(Refusal::Malformed)?;

    let mut presented = [0; 32];
    let length = URL_SAFE_NO_PAD.decode_slice(mac, &mut presented);
    if length != Ok(presented.len()) {
        return Err(Refusal::Malformed);
    }
    mac_of(payload, key).verify(&presented.into()).map_err(|_| Refusal::Forged)?;

    let payload = URL_SAFE_NO_PAD.decode(payload).ok();
    let payload = payload.and_then(|bytes| String::from_utf8(bytes).ok());
    let caller = payload.as_deref().and_then(parse).ok_or(Refusal::Malformed)?;
    if caller.expires_at <= now {
        return Err(Refusal::Expired);
    }
    Ok(caller)
}

/// Makes the value of a good session cookie.
#[must_use]
pub fn mint(caller: &Caller, key: &[u8; 32]) -> String {
    let Caller { user_id, org_id, roles, expires_at } = caller;
    let roles = roles.join(",");
    let payload = URL_SAFE_NO_PAD.encode(format!("{user_id}|{org_id}|{roles}|{expires_at}"));
    let mac = mac_of(&payload, key).finalize().into_bytes();
    format!("{payload}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// Makes the value of a `cookie` header with five cookies, the session's among them.
#[must_use]
pub fn cookies(session: &str) -> String {
    format!("theme=dark; _ga=GA1.1.1234567890.1700000000; lang=en; session={session}; csrf=9f86d0")
}

fn mac_of(payload: &str, key: &[u8; 32]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(payload.as_bytes());
    mac
}

fn parse(payload: &str) -> Option<Caller> {
    let mut parts = payload.split('|');
    let caller = Caller {
        user_id: parts.next().filter(|id| !id.is_empty())?.to_owned(),
        org_id: parts.next()?.to_owned(),
        roles: parts.next()?.split(',').map(str::to_owned).collect(),
        expires_at: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            user_id: "ada".into(),
            org_id: "engines".into(),
            roles: vec!["admin".into(), "author".into()],
            expires_at: 1_000,
        }
    }

    #[test]
    fn a_good_cookie_names_its_caller() {
        let cookies = cookies(&mint(&caller(), &KEY));
        assert_eq!(decide(&cookies, 999, &KEY), Ok(caller()));
    }

    #[test]
    fn an_expired_cookie_is_refused() {
        let cookies = cookies(&mint(&caller(), &KEY));
        assert_eq!(decide(&cookies, 1_000, &KEY), Err(Refusal::Expired));
    }

    #[test]
    fn a_cookie_of_another_key_is_refused() {
        let cookies = cookies(&mint(&caller(), &[7; 32]));
        assert_eq!(decide(&cookies, 0, &KEY), Err(Refusal::Forged));
    }

    #[test]
    fn a_changed_payload_is_refused() {
        let cookie = mint(&caller(), &KEY);
        let (_, mac) = cookie.split_once('.').expect("a payload and a MAC");
        let other = URL_SAFE_NO_PAD.encode("eve|engines|admin|1000");
        let cookies = cookies(&format!("{other}.{mac}"));
        assert_eq!(decide(&cookies, 0, &KEY), Err(Refusal::Forged));
    }

    #[test]
    fn other_cookies_are_no_session() {
        assert_eq!(decide("theme=dark; xsession=1", 0, &KEY), Err(Refusal::NoSession));
        assert_eq!(decide("session=nonsense", 0, &KEY), Err(Refusal::Malformed));
        assert_eq!(decide("session=eA.eA", 0, &KEY), Err(Refusal::Malformed));
    }
}
