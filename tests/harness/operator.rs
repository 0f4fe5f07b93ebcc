//! Whoever looks after the server, at the listener for operators.

use vestibule::http::admin_router;

use crate::{Caller, TestApp};

/// The lines that a listener for operators needs.
pub const ADMIN: &str = "server.admin_listen = '127.0.0.1:0'\n\
     server.admin_token = 'plaintext-canary-admin-token'\n";

/// The token among them.
pub const TOKEN: &str = "plaintext-canary-admin-token";

impl TestApp {
    /// Somebody who reaches the listener for operators and presents nothing.
    #[must_use]
    pub fn stranger_at_admin(&self) -> Caller {
        let router = admin_router(self.host.clone());
        Self { router, ..self.clone() }.anonymous()
    }

    /// An operator.
    #[must_use]
    pub fn operator(&self) -> Caller {
        self.stranger_at_admin().with("authorization", &format!("Bearer {TOKEN}"))
    }
}
