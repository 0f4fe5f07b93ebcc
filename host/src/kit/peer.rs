//! A server on loopback in the place of the world.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    body::{Answer, Answered},
    canary::Canaries,
    desk::{Asked, Desk, Said},
    mood::{Kind, Mood, Slowness},
};
use crate::clock::Clock;

/// The most of a request that is read.
const MAX_REQUEST: usize = 1 << 20;

/// More than any reply may have.
const HUGE: usize = 3 << 20;

/// Longer than any call may take.
const AGES: Duration = Duration::from_mins(1);

/// A server whose answers are as good as its mood.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

impl Peer {
    pub(super) async fn start(canaries: Canaries, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk::new(canaries, clock)?);
        let serving = start(serve(listener, Arc::clone(&desk)));
        Ok(Self { address, desk, serving })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "a server of the kit's own, which ends with it")]
fn start(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let desk = Arc::clone(&desk);
        let answer = service_fn(move |request| answer(Arc::clone(&desk), request));
        // Some of its answers are meant to break it.
        start(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(desk: Arc<Desk>, request: Request<Incoming>) -> Answered {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST).collect().await;
    let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let text = |name: header::HeaderName| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let asked = Asked {
        scheme: head.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()),
        authority: text(header::HOST),
        authorization: text(header::AUTHORIZATION),
        path: head.uri.path(),
        is_post: head.method == hyper::Method::POST,
        body: &body,
    };
    let mood = desk.asked();
    let said = desk.said(&asked, matches!(mood, Mood::Hostile(Kind::Impostor, _)));
    Ok(match mood {
        Mood::Good => json(said.text()),
        Mood::Hostile(kind, _) => hostile(kind, said),
        Mood::Slow(Slowness::Silent) => {
            tokio::time::sleep(AGES).await;
            json(said.text())
        }
        Mood::Slow(Slowness::Dripping) => of(200, "application/json", Answer::dripping()),
    })
}

fn hostile(kind: Kind, said: Said) -> Response<Answer> {
    const PAGE: &str =
        "<!DOCTYPE html><html><body>Please sign in to the captive portal</body></html>";
    let page = |status| of(status, "text/html", Answer::whole(PAGE.to_owned()));
    let oauth = |status, error: &str| {
        let text = format!(r#"{{"error":"{error}","error_description":"no\u0000\u001b[31m"}}"#);
        of(status, "application/json", Answer::whole(text))
    };
    match kind {
        Kind::NotFound => page(404),
        Kind::Broken => page(500),
        Kind::BadGateway => page(502),
        Kind::TooMany => with(page(429), "retry-after", "86400"),
        Kind::InvalidClient => oauth(401, "invalid_client"),
        Kind::InvalidGrant => oauth(400, "invalid_grant"),
        Kind::Page => page(200),
        Kind::Empty => json(String::new()),
        Kind::Half => {
            let mut text = said.without_secrets();
            text.truncate(text.floor_char_boundary(text.len() / 2));
            json(text)
        }
        Kind::CutOff => {
            of(200, "application/json", Answer::CutOff(Some(said.without_secrets().into())))
        }
        Kind::Huge => json(format!("\"{}\"", "a".repeat(HUGE))),
        Kind::Deep => json("[".repeat(200_000)),
        Kind::Redirect => with(page(302), "location", "https://elsewhere.example/"),
        Kind::List => json("[]".to_owned()),
        Kind::Nulls => json(said.changed(|_| serde_json::Value::Null)),
        Kind::WrongTypes => json(said.of_wrong_types()),
        Kind::WrongNumbers => json(said.of_wrong_numbers()),
        Kind::LongTexts => json(said.of_long_texts()),
        Kind::Impostor => json(said.text()),
    }
}

fn json(text: String) -> Response<Answer> {
    of(200, "application/json", Answer::whole(text))
}

fn of(status: u16, kind: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    with(response, "content-type", kind)
}

fn with(
    mut response: Response<Answer>,
    name: &'static str,
    value: &'static str,
) -> Response<Answer> {
    let value = header::HeaderValue::from_static(value);
    response.headers_mut().insert(header::HeaderName::from_static(name), value);
    response
}
