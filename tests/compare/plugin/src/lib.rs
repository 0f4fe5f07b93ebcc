//! The session policy as an Extism plugin, as its book would have it: JSON in
//! and JSON out.
//!
//! The time is part of the input, as Extism has no import for it; that favours
//! Extism.

#[path = "../../../guest/session/src/policy.rs"]
#[expect(dead_code, reason = "the benches mint cookies, the plugin only reads them")]
mod policy;

use extism_pdk::{FnResult, FromBytes, Json, ToBytes, plugin_fn};
use serde::{Deserialize, Serialize};

/// A request, with the fields of Vestibule's.
#[derive(Deserialize, FromBytes)]
#[encoding(Json)]
struct Request {
    #[expect(dead_code, reason = "a policy that looks at cookies only")]
    method: String,
    #[expect(dead_code, reason = "a policy that looks at cookies only")]
    scheme: String,
    #[expect(dead_code, reason = "a policy that looks at cookies only")]
    host: String,
    #[expect(dead_code, reason = "a policy that looks at cookies only")]
    path: String,
    #[expect(dead_code, reason = "a policy that looks at cookies only")]
    client_address: String,
    headers: Vec<Option<String>>,
    now: u64,
}

/// Who is calling, with the fields of Vestibule's.
#[derive(Serialize, ToBytes)]
#[encoding(Json)]
struct Identity {
    user_id: String,
    org_id: String,
    roles: Vec<String>,
    expires_at: u64,
}

#[plugin_fn]
pub fn authenticate(request: Request) -> FnResult<Identity> {
    let cookies = request.headers.first().and_then(Option::as_deref).unwrap_or_default();
    let caller = policy::decide(cookies, request.now, &policy::KEY)
        .map_err(|refusal| extism_pdk::Error::msg(format!("{refusal:?}")))?;
    Ok(Identity {
        user_id: caller.user_id,
        org_id: caller.org_id,
        roles: caller.roles,
        expires_at: caller.expires_at,
    })
}
