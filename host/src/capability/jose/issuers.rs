//! The issuers of a generation: where their documents are, and what they say.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{Asker, json, kept::Kept, keys::Keys};
use crate::{
    bindings::vestibule::auth::{
        http_client::HttpError,
        jose::{Issuer, JoseError, Metadata},
    },
    capability::{
        http_client::{Client, Unanswered, readable},
        log::denials::Denied,
    },
    clock::Clock,
    metrics::Look,
    text::{cut, escape},
};

/// The most issuers, and places of one issuer's documents, in a generation.
const MAX_SOURCES: usize = 32;

/// How long a document is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest text of others in an error.
const MAX_TEXT_BYTES: usize = 200;

/// Whose tokens a generation may verify, and what is known of them.
pub(crate) struct Issuers {
    granted: Vec<String>,
    client: Arc<Client>,
    clock: Clock,
    sources: Mutex<Vec<Arc<Source>>>,
}

/// One issuer, and where a strategy says that its documents are.
pub(super) struct Source {
    issuer: Issuer,
    url: Option<Url>,
    client: Arc<Client>,
    document: Arc<Kept<Document>>,
    keys: Arc<Kept<Keys>>,
}

/// What a discovery document says.
pub(super) struct Document {
    pub(super) metadata: Metadata,
    jwks: Option<Url>,
}

impl Issuers {
    /// Those that the operator granted, to the letter.
    pub(crate) fn new(granted: &[String], client: &Arc<Client>, clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            granted: granted.to_vec(),
            client: Arc::clone(client),
            clock: clock.clone(),
            sources: Mutex::default(),
        })
    }

    /// What is known of an issuer, where it is granted.
    pub(super) fn source(&self, asker: &Asker, issuer: Issuer) -> Result<Arc<Source>, JoseError> {
        if !self.granted.contains(&issuer.id) {
            asker.deny(Denied::Issuer(&issuer.id));
            return Err(JoseError::NotGranted(short(issuer.id)));
        }
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |source: &&Arc<Source>| {
            let known = &source.issuer;
            (&known.id, &known.metadata_url, &known.jwks_url)
                == (&issuer.id, &issuer.metadata_url, &issuer.jwks_url)
        };
        if let Some(known) = sources.iter().find(same) {
            return Ok(Arc::clone(known));
        }
        if sources.len() >= MAX_SOURCES {
            return Err(invalid("there are too many issuers, or places of their documents"));
        }
        let source = Arc::new(Source {
            url: readable(&issuer.id).ok(),
            client: Arc::clone(&self.client),
            document: Kept::new(self.clock.clone()),
            keys: Kept::new(self.clock.clone()),
            issuer,
        });
        for text in [&source.issuer.metadata_url, &source.issuer.jwks_url].into_iter().flatten() {
            source.admit(asker, text)?;
        }
        sources.push(Arc::clone(&source));
        Ok(source)
    }
}

impl Source {
    pub(super) async fn document(
        self: &Arc<Self>,
        asker: &Asker,
        patience: Duration,
    ) -> Result<Arc<Document>, JoseError> {
        let place = self.metadata_place(asker)?;
        let read = || Arc::clone(self).read_document(asker.clone(), place);
        self.document.current(patience, read).await.map_err(JoseError::Unavailable)
    }

    /// The discovery document where it need not be read.
    pub(super) fn document_at_hand(&self) -> Option<Arc<Document>> {
        self.document.fresh()
    }

    /// The keys where they need not be read.
    pub(super) fn keys_at_hand(&self) -> Option<Arc<Keys>> {
        let keys = self.keys.fresh()?;
        self.client.metrics().looked_for_keys(Look::Hit);
        Some(keys)
    }

    pub(super) async fn keys(
        self: &Arc<Self>,
        asker: &Asker,
        patience: Duration,
    ) -> Result<Arc<Keys>, JoseError> {
        let mut reads = false;
        let read = || {
            reads = true;
            Arc::clone(self).read_keys(asker.clone())
        };
        let keys = self.keys.current(patience, read).await;
        self.client.metrics().looked_for_keys(match &keys {
            Ok(_) if reads => Look::Miss,
            Ok(_) => Look::Hit,
            Err(_) => Look::Failed,
        });
        keys.map_err(JoseError::Unavailable)
    }

    /// The keys for a token whose key is not among those that are known.
    pub(super) async fn newer_keys(
        self: &Arc<Self>,
        asker: &Asker,
        patience: Duration,
    ) -> Result<Arc<Keys>, JoseError> {
        let read = || Arc::clone(self).read_keys(asker.clone());
        self.keys.renewed(patience, read).await.map_err(JoseError::Unavailable)
    }

    /// Where the discovery document is (OpenID Connect Discovery section 4.1).
    fn metadata_place(&self, asker: &Asker) -> Result<Url, JoseError> {
        if let Some(text) = &self.issuer.metadata_url {
            return self.admit(asker, text);
        }
        let id = &self.issuer.id;
        let other = |url: &Url| url.query().is_some() || url.fragment().is_some();
        if self.url.as_ref().is_none_or(other) {
            return Err(invalid("an issuer that is no URL has no discovery document of its own"));
        }
        let id = id.strip_suffix('/').unwrap_or(id);
        self.admit(asker, &format!("{id}/.well-known/openid-configuration"))
    }

    async fn read_document(self: Arc<Self>, asker: Asker, place: Url) -> Result<Document, String> {
        let read = async {
            let body = self.fetch(&asker, place).await?;
            self.parse(&asker, &body)
        };
        read.await.map_err(|error| self.failed("discovery document", &error))
    }

    async fn read_keys(self: Arc<Self>, asker: Asker) -> Result<Keys, String> {
        let place = match &self.issuer.jwks_url {
            Some(text) => self.admit(&asker, text).map_err(|error| format!("{error:?}"))?,
            None => {
                let document =
                    self.document(&asker, PATIENCE).await.map_err(|error| match error {
                        JoseError::Unavailable(why) => why,
                        error => format!("{error:?}"),
                    })?;
                let jwks = document.jwks.clone();
                jwks.ok_or("the discovery document names no key set")?
            }
        };
        let read = async {
            let body = self.fetch(&asker, place).await?;
            Keys::read(&body)
        };
        read.await.map_err(|error| self.failed("key set", &error))
    }

    async fn fetch(&self, asker: &Asker, place: Url) -> Result<Zeroizing<Vec<u8>>, String> {
        let origin = place.origin().ascii_serialization();
        self.client.document(place, PATIENCE).await.map_err(|error| {
            if let Unanswered::Address(address) = error {
                asker.deny(Denied::Address(&origin, address));
            }
            // Which address it is, the strategy is not told.
            Unanswered::from(HttpError::from(error)).to_string()
        })
    }

    fn parse(&self, asker: &Asker, body: &[u8]) -> Result<Document, String> {
        let object = json::object(body).ok_or("it is no JSON object, or has a member twice")?;
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let issuer = text("issuer").ok_or("it names no issuer")?;
        if issuer != self.issuer.id {
            return Err(format!("it is that of another issuer, {issuer:?}"));
        }
        let endpoint = |name: &str| match text(name) {
            Some(text) if readable(text).is_ok_and(|url| self.is_safe(&url)) => {
                Ok(Some(text.to_owned()))
            }
            Some(text) => Err(format!("its {name} is {text:?}, which is not https")),
            None => Ok(None),
        };
        let jwks = match text("jwks_uri") {
            Some(text) => Some(self.place_of_keys(asker, text)?),
            // Without keys the document is of no use, and not kept.
            None if self.issuer.jwks_url.is_none() => return Err("it names no key set".to_owned()),
            None => None,
        };
        let in_callback = object.get("authorization_response_iss_parameter_supported");
        Ok(Document {
            metadata: Metadata {
                authorization_endpoint: endpoint("authorization_endpoint")?,
                token_endpoint: endpoint("token_endpoint")?,
                userinfo_endpoint: endpoint("userinfo_endpoint")?,
                end_session_endpoint: endpoint("end_session_endpoint")?,
                revocation_endpoint: endpoint("revocation_endpoint")?,
                issuer_in_callback: in_callback == Some(&Value::Bool(true)),
            },
            jwks,
        })
    }

    /// A place that the strategy names: at the issuer's origin or a granted one.
    fn admit(&self, asker: &Asker, text: &str) -> Result<Url, JoseError> {
        let url = readable(text).map_err(|error| invalid(&format!("{error:?}")))?;
        if self.client.grants(&url) || (self.is_own(&url) && self.is_safe(&url)) {
            return Ok(url);
        }
        let origin = url.origin().ascii_serialization();
        asker.deny(Denied::Origin(&origin));
        Err(JoseError::NotGranted(short(origin)))
    }

    /// Where the issuer says that its keys are.
    fn place_of_keys(&self, asker: &Asker, text: &str) -> Result<Url, String> {
        let unsafe_place = || format!("its jwks_uri is {text:?}, which is not https");
        let url = readable(text).map_err(|_| unsafe_place())?;
        let refused = if !self.is_safe(&url) {
            unsafe_place()
        } else if !self.may_lead_to(&url) {
            format!("its jwks_uri is {text:?}; to mean it, grant its origin as well")
        } else {
            return Ok(url);
        };
        asker.deny(Denied::Origin(&url.origin().ascii_serialization()));
        Err(refused)
    }

    /// A place that the issuer names may be anywhere else, but no address, and
    /// nothing on this machine.
    fn may_lead_to(&self, url: &Url) -> bool {
        let abroad = match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name != "localhost" && !name.ends_with(".localhost")
            }
            _ => false,
        };
        self.client.grants(url) || self.is_own(url) || abroad
    }

    /// What nobody on the way can change; on this machine there is no way.
    fn is_safe(&self, url: &Url) -> bool {
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        url.scheme() == "https" || self.client.grants(url) || (local && self.is_own(url))
    }

    fn is_own(&self, url: &Url) -> bool {
        self.url.as_ref().is_some_and(|own| own.origin() == url.origin())
    }

    fn failed(&self, what: &str, error: &str) -> String {
        let error = short(error.to_owned());
        tracing::warn!(issuer = self.issuer.id, error, "an issuer's {what} cannot be had");
        format!("the {what}: {error}")
    }
}

fn invalid(what: &str) -> JoseError {
    JoseError::InvalidRequest(what.to_owned())
}

fn short(text: String) -> String {
    escape(&cut(text, MAX_TEXT_BYTES))
}
