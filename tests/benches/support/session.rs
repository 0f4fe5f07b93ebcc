//! The session policy: a request that it lets in, and the policy called natively.

use vestibule::{
    clock::Clock,
    engine::Strategy,
    identity::{Credential, Outcome, Request, RequestId, Scheme},
};
use vestibule_session_guest::policy::{self, Caller, KEY};

/// The value of a `cookie` header with a session that is good for long.
pub(crate) fn cookies() -> String {
    let caller = Caller {
        user_id: "7f4e2f0c-7c1e-4f0e-9d57-1b1f6f0a2f3d".to_owned(),
        org_id: "engines".to_owned(),
        roles: vec!["admin".to_owned(), "author".to_owned()],
        expires_at: 4_102_444_800,
    };
    policy::cookies(&policy::mint(&caller, &KEY))
}

/// The policy without any sandbox.
pub(crate) fn decide_natively(cookies: &str, clock: &Clock) -> Caller {
    policy::decide(cookies, clock.now(), &KEY).expect("the cookie is good")
}

/// The request of a browser that presents the cookie.
pub(crate) fn request(cookies: &str) -> Request<'_> {
    Request {
        method: "GET",
        scheme: Scheme::Https,
        host: "auth.example.com",
        path: "/api/conversations",
        query: None,
        client_address: Some([192, 0, 2, 7].into()),
        credential: Credential::Absent,
        headers: vec![Some(cookies)],
        id: RequestId::new(0),
    }
}

/// The policy as a component, in an instance of its own.
pub(crate) async fn decide_in_component(strategy: &Strategy, cookies: &str) -> Outcome {
    let decision = strategy.authenticate(request(cookies)).await;
    decision.expect("the call succeeds").expect("the cookie is good").outcome
}
