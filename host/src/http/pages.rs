//! What a person sees: the log-in page, and what went wrong on the way.
//!
//! Whole pages in one answer: no script, nothing from elsewhere, and a policy
//! that holds the browser to that.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::identity::RequestId;

const STYLE: &str = include_str!("pages/style.css");

/// Only the style that is part of the page, and forms that come back here.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy)
        .unwrap_or(const { HeaderValue::from_static("default-src 'none'") })
});

/// One page.
pub(super) struct Page(Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.0.into_string().into_response();
        let headers = response.headers_mut();
        let html = const { HeaderValue::from_static("text/html; charset=utf-8") };
        headers.insert(header::CONTENT_TYPE, html);
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
        // Not `no-referrer`: browsers would then hide the origin of forms as well.
        let same = const { HeaderValue::from_static("same-origin") };
        headers.insert(header::REFERRER_POLICY, same);
        headers.insert(header::X_FRAME_OPTIONS, const { HeaderValue::from_static("DENY") });
        let alone = const { HeaderValue::from_static("same-origin") };
        headers.insert("cross-origin-opener-policy", alone);
        response
    }
}

/// What went wrong, for a person: what it is called, and what they can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The account may not come in.
    Denied,
    /// The identity provider says that the visitor, or it, declined.
    Declined,
    /// It took too long.
    Expired,
    /// The browser did not begin this log-in, or has finished it.
    Unknown,
    /// The browser comes to an app by a way that leads nowhere.
    Strayed,
    /// Something does not answer now.
    Unavailable,
    /// There is no log-in here.
    Nothing,
    /// Anything else.
    Failed,
}

impl Notice {
    const fn title(self) -> &'static str {
        match self {
            Self::Denied => "This account may not come in",
            Self::Declined => "You were not signed in",
            Self::Expired => "That took too long",
            Self::Unknown | Self::Strayed => "This sign-in is not in progress",
            Self::Unavailable => "Signing in does not work at the moment",
            Self::Nothing => "There is no sign-in here",
            Self::Failed => "Signing in did not work",
        }
    }

    /// What it means, where that is always the same.
    const fn text(self) -> Option<&'static str> {
        match self {
            Self::Denied => Some("Signing in worked, but this account is not one of those let in."),
            Self::Unavailable => {
                Some("Something that is needed for it does not answer. Try again in a moment.")
            }
            Self::Failed => Some("The sign-in provider's answer could not be used."),
            Self::Nothing => Some("This server tells callers apart by other means."),
            Self::Declined | Self::Expired | Self::Unknown | Self::Strayed => None,
        }
    }

    const fn action(self) -> Option<&'static str> {
        match self {
            Self::Denied => Some("Sign in with another account"),
            Self::Declined | Self::Failed | Self::Unavailable => Some("Try again"),
            Self::Expired | Self::Unknown => Some("Start again"),
            Self::Nothing | Self::Strayed => None,
        }
    }
}

/// Who is asking, and the way to sign in.
pub(super) fn log_in(host: &str, label: &str, start: &str, to: Option<&str>) -> Page {
    page(
        "Sign in",
        &html! {
            h1 { "Sign in" }
            p { strong { (host) } " asks who you are." }
            @if let Some(to) = to {
                p.quiet { "Afterwards you go on to " code { (to) } "." }
            }
            a.button href=(start) { (label) }
        },
    )
}

/// Somebody is signed in already.
pub(super) fn signed_in(host: &str, name: &str, signs_out: bool) -> Page {
    page(
        "Signed in",
        &html! {
            h1 { "You are signed in" }
            p { "At " strong { (host) } " you are " strong { (name) } "." }
            @if signs_out {
                form method="post" action="/auth/logout" {
                    button.button type="submit" { "Sign out" }
                }
                form method="post" action="/auth/logout?everywhere=true" {
                    button.plain type="submit" { "End my sessions in every browser" }
                }
            }
        },
    )
}

/// Nobody is signed in any more.
pub(super) fn signed_out(host: &str, everywhere: bool) -> Page {
    let ended = if everywhere { "All your sessions at " } else { "Your session at " };
    let have = if everywhere { " have ended." } else { " has ended." };
    page(
        "Signed out",
        &html! {
            h1 { "You are signed out" }
            p { (ended) strong { (host) } (have) }
            a.button href="/auth/login" { "Sign in again" }
        },
    )
}

/// Signed out here; on to the identity provider's page. Not by a redirect: the
/// policy of the page with the form would forbid it.
pub(super) fn leaving(to: &str) -> Page {
    moving_on("You are signed out here", "One moment: the sign-in provider is told.", to)
}

/// Moves on within this site, so that a `Strict` cookie that this very answer
/// sets is sent: on a redirect that began at another site it would not be.
pub(super) fn onward(to: &str) -> Page {
    moving_on("You are signed in", "One moment.", to)
}

/// Asks once more, now from a page of this site: a `Strict` cookie is not sent where
/// the way began at another one.
pub(super) fn once_more(to: &str) -> Page {
    moving_on("One moment", "Looking whether you are signed in.", to)
}

fn moving_on(title: &str, text: &str, to: &str) -> Page {
    let refresh = format!("0; url={to}");
    let head = html! { meta http-equiv="refresh" content=(refresh); };
    let body = html! {
        h1 { (title) }
        p { (text) }
        a.button href=(to) { "Go on" }
    };
    whole(title, &head, &body)
}

/// What went wrong, with the request's id for whoever is asked about it.
pub(super) fn notice(notice: Notice, detail: &str, id: RequestId) -> Page {
    page(
        notice.title(),
        &html! {
            h1 { (notice.title()) }
            p { (notice.text().unwrap_or(detail)) }
            @if let Some(action) = notice.action() {
                a.button href="/auth/login" { (action) }
            }
            p.quiet { "Request " code { (id) } }
        },
    )
}

fn page(title: &str, body: &Markup) -> Page {
    whole(title, &html! {}, body)
}

fn whole(title: &str, head: &Markup, body: &Markup) -> Page {
    Page(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                style { (PreEscaped(STYLE)) }
                (head)
            }
            body { main { (body) } }
        }
    })
}
