//! The steps of a script.

use std::fmt::Debug;

use serde::Deserialize;
use vestibule_sdk::{NewToken, Secret, http, log, secrets, token_store};

use crate::tokens::{Place, Verify};

/// One step.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Sends a request; what is captured becomes handles.
    Send(Box<Send>),
    /// Loads a token; its parts become handles.
    Load {
        user: Option<String>,
        name: String,
    },
    Names {
        user: Option<String>,
    },
    Lease {
        user: Option<String>,
        name: String,
    },
    Current,
    Begin,
    Abandon,
    Save {
        name: String,
        access: Value,
        refresh: Value,
    },
    Reconnect,
    DropLease,
    /// Whether two handles stand for the same text.
    Equal {
        one: Value,
        other: Value,
    },
    Log {
        text: String,
    },
    /// Reads an issuer's discovery document.
    Discover(Place),
    /// Has a token verified.
    Verify(Box<Verify>),
    Trap,
}

#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct Send {
    method: String,
    url: String,
    headers: Vec<(String, Value)>,
    bearer: Option<Value>,
    basic: Option<(String, Value)>,
    form: Option<Vec<(String, Value)>>,
    json: Option<Vec<(String, Value)>>,
    raw: Option<(String, String)>,
    capture: Vec<String>,
    timeout: Option<u32>,
    /// Says nothing of the reply but its status and size.
    terse: bool,
}

impl Default for Send {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            url: String::new(),
            headers: Vec::new(),
            bearer: None,
            basic: None,
            form: None,
            json: None,
            raw: None,
            capture: Vec::new(),
            timeout: None,
            terse: false,
        }
    }
}

/// A text, or where to find a handle.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Text(String),
    /// The handle of this number among those that the script has come by.
    Handle(usize),
}

/// What a script has come by.
pub(crate) struct Stage {
    handles: Vec<Secret>,
    lease: Option<token_store::Lease>,
}

impl Stage {
    /// The first handles are the configured secret and the caller's token.
    pub(crate) fn new(bearer: Option<Secret>) -> Self {
        let configured = secrets::configured("client_secret").ok().flatten();
        Self { handles: configured.into_iter().chain(bearer).collect(), lease: None }
    }

    pub(crate) fn play(&mut self, step: Step) -> String {
        match step {
            Step::Send(send) => self.send(&send),
            Step::Load { user, name } => {
                let loaded = token_store::load(user.as_deref(), &name);
                self.stored(loaded)
            }
            Step::Names { user } => told(token_store::names(user.as_deref())),
            Step::Lease { user, name } => {
                let lease = token_store::acquire_lease(user.as_deref(), &name);
                told(lease.map(|lease| self.lease = Some(lease)))
            }
            Step::Current => {
                let current = self.lease().current();
                self.stored(current)
            }
            Step::Begin => told(self.lease().begin_rotation()),
            Step::Abandon => told(self.lease().abandon_rotation()),
            Step::Save { name, access, refresh } => {
                // A handle is given away with the token, and so loaded anew.
                let take = |this: &mut Self, value: Value| match value {
                    Value::Handle(index) => Some(this.handles.remove(index)),
                    Value::Text(_) => None,
                };
                let access = take(self, access);
                let refresh = take(self, refresh);
                let token = NewToken {
                    name,
                    access,
                    refresh,
                    access_expires_at: None,
                    refresh_expires_at: None,
                    host: None,
                    account_id: Some("42".into()),
                };
                told(self.lease().save(token))
            }
            Step::Reconnect => told(self.lease().mark_reconnect("as told")),
            Step::DropLease => {
                self.lease = None;
                "dropped".into()
            }
            Step::Equal { one, other } => {
                let (Value::Handle(one), Value::Handle(other)) = (one, other) else {
                    return "no handles".into();
                };
                self.handles[one].equals(&self.handles[other]).to_string()
            }
            Step::Log { text } => {
                log::info(&text, &[]);
                "logged".into()
            }
            Step::Discover(place) => told(place.discover()),
            Step::Verify(verify) => told(verify.verify(&self.handles)),
            Step::Trap => panic!("panics as told"),
        }
    }

    fn lease(&self) -> &token_store::Lease {
        self.lease.as_ref().expect("the script has a lease")
    }

    fn stored(
        &mut self,
        stored: Result<Option<token_store::StoredToken>, token_store::StoreError>,
    ) -> String {
        match stored {
            Ok(Some(token)) => {
                let seen = format!("{:?} {:?}", token.state, token.account_id);
                self.handles.extend(token.access.into_iter().chain(token.refresh));
                seen
            }
            Ok(None) => "none".into(),
            Err(error) => format!("{error:?}"),
        }
    }

    fn send(&mut self, send: &Send) -> String {
        let terse = send.terse;
        match http::send(&self.request(send)) {
            Ok(reply) => {
                let captured: Vec<bool> = reply.captured.iter().map(Option::is_some).collect();
                self.handles.extend(reply.captured.into_iter().flatten());
                if terse {
                    return format!("{} {}", reply.status, reply.body.len());
                }
                let headers: Vec<_> =
                    reply.headers.iter().map(|h| format!("{}: {}", h.name, h.value)).collect();
                format!(
                    "{} {captured:?} {} | {}",
                    reply.status,
                    String::from_utf8_lossy(&reply.body),
                    headers.join(" | ")
                )
            }
            Err(error) => format!("{error:?}"),
        }
    }

    fn request<'a>(&'a self, send: &'a Send) -> http::Request<'a> {
        let method = match send.method.as_str() {
            "HEAD" => http::Method::Head,
            "POST" => http::Method::Post,
            "PUT" => http::Method::Put,
            "PATCH" => http::Method::Patch,
            "DELETE" => http::Method::Delete,
            _ => http::Method::Get,
        };
        let authorization = match (&send.bearer, &send.basic) {
            (Some(Value::Handle(index)), _) => http::Authorization::Bearer(&self.handles[*index]),
            (_, Some((username, password))) => http::Authorization::Basic(http::Basic {
                username: username.clone(),
                password: self.value(password),
            }),
            _ => http::Authorization::None,
        };
        let body = match (&send.form, &send.json, &send.raw) {
            (Some(fields), _, _) => http::Body::Form(self.fields(fields)),
            (_, Some(fields), _) => http::Body::Json(self.fields(fields)),
            (_, _, Some((content_type, text))) => http::Body::Raw(http::RawBody {
                content_type: content_type.clone(),
                bytes: text.clone().into_bytes(),
            }),
            _ => http::Body::Empty,
        };
        http::Request {
            headers: self.fields(&send.headers),
            authorization,
            body,
            capture: send.capture.clone(),
            timeout_seconds: send.timeout,
            ..http::Request::new(method, send.url.clone())
        }
    }

    fn fields<'a>(&'a self, fields: &'a [(String, Value)]) -> Vec<http::Field<'a>> {
        let field = |(name, value): &'a (String, Value)| http::Field {
            name: name.clone(),
            value: self.value(value),
        };
        fields.iter().map(field).collect()
    }

    fn value<'a>(&'a self, value: &Value) -> http::Value<'a> {
        match value {
            Value::Text(text) => http::Value::Text(text.clone()),
            Value::Handle(index) => http::Value::Secret(&self.handles[*index]),
        }
    }
}

fn told<T: Debug, E: Debug>(answer: Result<T, E>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error:?}"),
    }
}
