//! The console: one page with its style and its script, all of them part of the
//! binary. It asks the admin API with the token that an operator types, and keeps that
//! for as long as the tab is open.

use axum::response::{IntoResponse, Redirect};
use http::{HeaderName, HeaderValue, header};

const PAGE: &str = include_str!("console/index.html");
const STYLE: &str = include_str!("console/console.css");
const SCRIPT: &str = include_str!("console/console.js");

/// Only what this very listener serves, in a page of nobody else's.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The console is a page below this path.
#[utoipa::path(get, path = "/admin", responses((status = 303, description = "On to the console")))]
pub(super) async fn front() -> Redirect {
    Redirect::to("/admin/")
}

/// The page.
#[utoipa::path(get, path = "/admin/", responses((status = 200, description = "The console")))]
pub(super) async fn page() -> impl IntoResponse {
    file("text/html; charset=utf-8", PAGE)
}

/// Its style.
#[utoipa::path(get, path = "/admin/console.css", responses((status = 200, description = "Its style")))]
pub(super) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", STYLE)
}

/// Its script.
#[utoipa::path(get, path = "/admin/console.js", responses((status = 200, description = "Its script")))]
pub(super) async fn script() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", SCRIPT)
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    (headers, text)
}
