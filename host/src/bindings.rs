//! The contract as Rust: the only place where bindings are generated.
//!
//! Generated types stop at the engine; only `engine` and `capability` may name
//! them.

wasmtime::component::bindgen!({
    world: "strategy",
    path: "../wit",
    imports: {
        "vestibule:auth/http-client": async | trappable,
        "vestibule:auth/jose": async | trappable,
        "vestibule:auth/session-store": async | trappable,
        "vestibule:auth/token-store": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "vestibule:auth/secrets.secret": crate::capability::secrets::Secret,
        "vestibule:auth/token-store.lease": crate::capability::token_store::Lease,
    },
    // What is passed to a component is borrowed, and so lowered without a copy.
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});
