//! A browser as far as a server can tell: it keeps cookies, and comes back.

use std::collections::BTreeMap;

use crate::{Caller, Reply, TestApp};

/// A browser with a jar of its own. Pages are not rendered: a test follows what
/// they say.
#[derive(Clone)]
pub struct Browser {
    app: TestApp,
    jar: BTreeMap<String, String>,
    /// The origin that its pages write from.
    origin: String,
}

impl Browser {
    /// A browser that has never been here.
    #[must_use]
    pub fn new(app: &TestApp) -> Self {
        let server = &app.host.config().server;
        let origin = server.public_origin().expect("a public origin");
        let origin = origin.origin().ascii_serialization();
        Self { app: app.clone(), jar: BTreeMap::new(), origin }
    }

    /// The same browser, whose requests reach another replica.
    #[must_use]
    pub fn at_app(self, app: &TestApp) -> Self {
        Self { app: app.clone(), ..self }
    }

    /// The cookies that it keeps, by name.
    #[must_use]
    pub fn cookies(&self) -> &BTreeMap<String, String> {
        &self.jar
    }

    /// The session's cookie.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        let name = |name: &str| self.jar.get(name).map(String::as_str);
        name("__Host-vestibule-session").or_else(|| name("vestibule-session"))
    }

    /// Puts a cookie into the jar.
    pub fn plant(&mut self, name: &str, value: &str) {
        self.jar.insert(name.to_owned(), value.to_owned());
    }

    /// What the browser's requests carry.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let caller = self.app.anonymous();
        if self.jar.is_empty() {
            return caller;
        }
        let pairs: Vec<String> =
            self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        caller.with("cookie", &pairs.join("; "))
    }

    /// What a page of this host sends.
    #[must_use]
    pub fn page(&self) -> Caller {
        self.caller().with("origin", &self.origin)
    }

    /// Opens a page.
    pub async fn open(&mut self, path: &str) -> Reply {
        let reply = self.caller().get(path).await;
        self.keep(&reply);
        reply
    }

    /// Sends a form of a page of this host.
    pub async fn submit(&mut self, path: &str) -> Reply {
        let reply = self.page().send("POST", path).await;
        self.keep(&reply);
        reply
    }

    /// Goes on the trip to the identity provider; what its address says.
    pub async fn begin(&mut self, path: &str) -> BTreeMap<String, String> {
        let reply = self.open(path).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        parameters(reply.header("location"))
    }

    /// Takes over the cookies of an answer.
    pub fn keep(&mut self, reply: &Reply) {
        for cookie in reply.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().expect("ASCII");
            let (pair, attributes) = cookie.split_once("; ").expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The parameters of an address's query.
#[must_use]
pub fn parameters(address: &str) -> BTreeMap<String, String> {
    let url = url::Url::parse(address).expect("a URL");
    url.query_pairs().into_owned().collect()
}

/// Path and query of an address.
#[must_use]
pub fn path_of(address: &str) -> String {
    let url = url::Url::parse(address).expect("a URL");
    url[url::Position::BeforePath..].to_owned()
}

/// Where the test strategy's identity provider sends a browser back to, with `rest`.
#[must_use]
pub fn back(trip: &BTreeMap<String, String>, rest: &str) -> String {
    format!("/auth/callback?state={}&code=the-code{rest}", trip["state"])
}
