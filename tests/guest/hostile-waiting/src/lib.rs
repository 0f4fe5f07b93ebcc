//! The hostile strategy once more, as a component that imports what may wait: it
//! is called on a fiber.

use vestibule_sdk::{
    Credential, Decision, Description, Error, Identity, Login, Plugin, Request, TokenProvider,
    UserAuth, export, http, jose, token_store,
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
            "http-probe" => Ok(Decision::authenticated(http_probe())),
            "jose-probe" => Ok(Decision::authenticated(jose_probe(&request.credential))),
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
    behaviour::claims([("names", names), ("load", load), ("lease", lease)])
}

/// Asks an origin that nobody granted.
fn http_probe() -> Identity {
    let request = http::Request::new(http::Method::Get, "https://elsewhere.example/path");
    let told = format!("{:?}", http::send(&request).map(|response| response.status));
    behaviour::claims([("foreign", told)])
}

/// Asks about the issuer that is granted, and one that nobody granted, and has
/// either verify what the caller presents.
fn jose_probe(credential: &Credential) -> Identity {
    let discover = |id: &str| format!("{:?}", jose::discover(&jose::Issuer::new(id)).map(|_| ()));
    let verify = |id: &str| match credential {
        Credential::Bearer(token) => {
            let expected = jose::Expectations::new("hostile", &[jose::Algorithm::Rs256]);
            format!("{:?}", jose::verify(token, &jose::Issuer::new(id), &expected).map(|_| ()))
        }
        _ => "nothing was presented".into(),
    };
    behaviour::claims([
        ("granted", discover("https://b.example")),
        ("foreign", discover("https://elsewhere.example")),
        ("granted-verify", verify("https://b.example")),
        ("foreign-verify", verify("https://elsewhere.example")),
    ])
}

impl Login for HostileWaiting {}
impl TokenProvider for HostileWaiting {}

export!(HostileWaiting);
