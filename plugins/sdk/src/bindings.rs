//! The contract in `wit/` as Rust: the only place where it is generated.
//!
//! Authors use the names under the crate root instead; this module is public
//! because what [`export!`](crate::export) expands to refers to it. The `unsafe`
//! in here is the canonical ABI's and is generated.
#![expect(
    clippy::same_length_and_capacity,
    reason = "the generated code takes over allocations whose length is all it knows"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "strategy",
    pub_export_macro: true,
    export_macro_name: "export_bindings",
    default_bindings_module: "vestibule_sdk::bindings",
    additional_derives: [PartialEq, Eq],
    // Whatever holds a handle: two handles can stand for the same secret, and
    // only `Secret::equals` can tell.
    additional_derives_ignore: [
        "authorization",
        "basic",
        "body",
        "callback",
        "credential",
        "decision",
        "expectations",
        "field",
        "log-out-redirect",
        "log-out-request",
        "login-state",
        "login-step",
        "named-secret",
        "new-token",
        "provider-result",
        "provider-token",
        "redirect",
        "request",
        "response",
        "session",
        "session-change",
        "session-credential",
        "signed-in",
        "stored-token",
        "value",
    ],
});
