//! The hostile strategy once more, as a component that imports what may wait: it
//! is called on a fiber.

use vestibule_sdk::{
    Claim, Decision, Description, Error, Identity, Login, Plugin, Request, TokenProvider, UserAuth,
    export, token_store,
};

#[path = "../../hostile/src/behaviour.rs"]
mod behaviour;

struct HostileWaiting;

impl Plugin for HostileWaiting {
    fn describe() -> Description {
        Description {
            headers: vec!["x-behave".into()],
            ..Description::new(
                "hostile-waiting",
                env!("CARGO_PKG_VERSION"),
                "Misbehaves as it is told, on a fiber",
            )
        }
    }
}

impl UserAuth for HostileWaiting {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        match request.headers[0].as_deref().unwrap_or("ok") {
            "token-probe" => Ok(Decision::authenticated(token_probe())),
            how => behaviour::behave(how),
        }
    }

    fn restore(_: Option<String>, _: Option<Identity>) -> Result<Identity, Error> {
        Ok(Identity::user("visitor"))
    }
}

/// Asks for tokens that nobody granted.
fn token_probe() -> Identity {
    let names = format!("{:?}", token_store::names(None));
    let load = format!("{:?}", token_store::load(None, "somebody-elses").map(|_| ()));
    let lease = format!("{:?}", token_store::acquire_lease(None, "somebody-elses").map(|_| ()));
    Identity {
        claims: vec![
            Claim::new("names", names),
            Claim::new("load", load),
            Claim::new("lease", lease),
        ],
        ..Identity::user("visitor")
    }
}

impl Login for HostileWaiting {}
impl TokenProvider for HostileWaiting {}

export!(HostileWaiting);
