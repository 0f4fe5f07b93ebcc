//! `GET /openapi.json`: what this API is, from the declarations of its routes.
//!
//! A handler declares what is its own: the path, parameters, bodies, and statuses
//! that mean something there. What all routes of a group share is added here.

use std::{borrow::Cow, mem, sync::LazyLock};

use axum::{body::Bytes, response::IntoResponse};
use http::header;
use serde::Serialize;
use utoipa::{
    OpenApi, ToSchema,
    openapi::{
        Components, Content, Header, ObjectBuilder, Ref, RefOr, Response,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
        schema::Type,
        security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
        },
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{host::Host, identity::MAX_ID_BYTES};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vestibule",
        description = "The room every request passes before it reaches a server. Errors are \
            problem documents (RFC 9457), those of paths and methods that are not here (404, 405 \
            with `Allow`) as well. A strategy without log-in takes callers without a credential \
            for its local owner.",
    ),
    components(schemas(Told))
)]
struct Vestibule;

/// What a caller is told of a problem (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Told {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// The name of the status.
    pub(super) title: &'static str,
    /// The status once more.
    pub(super) status: u16,
    /// One sentence for whoever made the request.
    pub(super) detail: Cow<'static, str>,
    /// What a program may go by where one status has several causes, such as
    /// `provider_reconnect_required`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'static str>,
    /// By which the log knows this request.
    pub(super) request_id: String,
}

/// The document, made when it is first asked for.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
    let mut document = super::routes().into_openapi();
    // A parameter that stands for several segments has a mark in the router alone.
    let paths = mem::take(&mut document.paths.paths).into_iter();
    document.paths.paths = paths.map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    let text = serde_json::to_vec(&document);
    text.unwrap_or_else(|error| unreachable!("the document is plain data: {error}")).into()
});

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "read_openapi",
    responses((status = 200, description = "An OpenAPI document", body = Object)),
)]
pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.clone())
}

/// A router without routes, with everything that routes refer to.
pub(super) fn empty() -> OpenApiRouter<Host> {
    let mut document = Vestibule::openapi();
    let components = document.components.get_or_insert_default();
    for (status, description) in PROBLEMS {
        let mut response = Response::new(description);
        explain(status, &mut response);
        components.responses.insert(problem(status), response.into());
    }
    for (name, kind, description) in HEADERS {
        let mut header = Header::new(ObjectBuilder::new().schema_type(kind));
        header.description = Some(description.to_owned());
        components.headers.insert(name.to_owned(), header.into());
    }
    add_schemes(components);
    OpenApiRouter::with_openapi(document)
}

/// Only OAuth has scopes in such a document.
const NO_SCOPES: [&str; 0] = [];

const API_KEY: &str = "api_key";
const SESSION_COOKIE: &str = "session_cookie";
const SESSION_KEY: &str = "session_key";
const SERVICE_KEY: &str = "service_key";

fn add_schemes(components: &mut Components) {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key (`sk-oh-…`), or a token that the strategy knows"))
        .build();
    let named = ApiKeyValue::with_description;
    let cookie = named(
        "__Host-vestibule-session",
        "The session of a browser that has logged in. Writes must come from an origin of ours.",
    );
    let session_key = named("X-Session-API-Key", "The session key of a running sandbox");
    let service_key = named("X-Service-API-Key", "The key that other services share");
    for (name, scheme) in [
        (API_KEY, SecurityScheme::Http(bearer)),
        (SESSION_COOKIE, SecurityScheme::ApiKey(ApiKey::Cookie(cookie))),
        (SESSION_KEY, SecurityScheme::ApiKey(ApiKey::Header(session_key))),
        (SERVICE_KEY, SecurityScheme::ApiKey(ApiKey::Header(service_key))),
    ] {
        components.add_security_scheme(name, scheme);
    }
}

/// Who calls the routes of a group.
#[derive(Clone, Copy)]
pub(super) enum Group {
    /// Whoever looks after the server; no credential is asked for.
    Operators,
    /// Users, or nobody yet.
    Visitors,
    /// Browsers, to whom a problem is a page.
    Browsers,
    /// Users.
    Users,
    /// Running sandboxes.
    Sandboxes,
    /// Other services.
    Services,
    /// Gateways, about requests that present what users present.
    Gateways,
}

impl Group {
    /// Adds to each route what the group has in common.
    pub(super) fn complete(self, mut router: OpenApiRouter<Host>) -> OpenApiRouter<Host> {
        let paths = &mut router.get_openapi_mut().paths.paths;
        for operation in paths.values_mut().flat_map(operations) {
            self.complete_operation(operation);
        }
        router
    }

    fn complete_operation(self, operation: &mut Operation) {
        operation.tags = Some(vec![self.tag().to_owned()]);
        operation.security.get_or_insert_with(|| {
            let nobody = matches!(self, Self::Visitors | Self::Browsers | Self::Gateways)
                .then(SecurityRequirement::default);
            let one = |name: &&str| SecurityRequirement::new(*name, NO_SCOPES);
            self.credentials().iter().map(one).chain(nobody).collect()
        });
        if matches!(self, Self::Users) {
            let parameters = operation.parameters.get_or_insert_default();
            parameters.push(RefOr::T(organisation()));
        }
        let reads = operation.request_body.is_some();
        let of_body: &[&str] = if reads { &BODY_PROBLEMS } else { &[] };
        let answers = &mut operation.responses.responses;
        for status in self.problems().iter().chain(of_body) {
            let shared = || match self {
                Self::Browsers => RefOr::T(Response::new("A page that says what went wrong")),
                _ => Ref::from_response_name(problem(status)).into(),
            };
            answers.entry((*status).to_owned()).or_insert_with(shared);
        }
        for (status, response) in answers {
            if let RefOr::T(response) = response {
                explain(status, response);
                if matches!(self, Self::Browsers) && status.starts_with(['4', '5']) {
                    let text = ObjectBuilder::new().schema_type(Type::String).build();
                    let page = Content::new(Some(text));
                    response.content.insert("text/html".to_owned(), page.into());
                }
            }
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::Operators => "operators",
            Self::Visitors | Self::Browsers | Self::Users => "users",
            Self::Sandboxes => "sandboxes",
            Self::Services => "services",
            Self::Gateways => "gateways",
        }
    }

    /// The names of schemes, one of which is enough.
    fn credentials(self) -> &'static [&'static str] {
        match self {
            Self::Operators => &[],
            Self::Visitors | Self::Browsers | Self::Users | Self::Gateways => {
                &[API_KEY, SESSION_COOKIE]
            }
            Self::Sandboxes => &[SESSION_KEY],
            Self::Services => &[SERVICE_KEY],
        }
    }

    /// The problems that every route of the group can have.
    fn problems(self) -> &'static [&'static str] {
        match self {
            Self::Operators => &["500"],
            Self::Visitors | Self::Browsers | Self::Users => {
                &["400", "401", "403", "421", "429", "500", "503"]
            }
            Self::Sandboxes | Self::Gateways => &["400", "401", "403", "429", "500", "503"],
            Self::Services => &["400", "401", "429", "500", "503"],
        }
    }
}

/// The problems that come with a body.
const BODY_PROBLEMS: [&str; 4] = ["408", "413", "415", "422"];

const PROBLEMS: [(&str, &str); 11] = [
    ("400", "The request can be read in more than one way, or in none"),
    ("401", "No credential is presented, or a bad one"),
    ("403", "The caller is known and may not do this"),
    ("408", "The body did not arrive in time; the connection is closed"),
    ("413", "The body is too large, or broke off"),
    ("415", "The body is not JSON, or does not say so"),
    ("421", "The host that the request names is not served here"),
    ("422", "The content of the body cannot be used"),
    ("429", "Too many requests"),
    ("500", "Something is broken here"),
    ("503", "Something that is needed does not answer now, or is not configured"),
];

const HEADERS: [(&str, Type, &str); 6] = [
    ("X-Request-Id", Type::String, "By which the log knows this request"),
    ("WWW-Authenticate", Type::String, "What to present (RFC 6750)"),
    ("Retry-After", Type::Integer, "Seconds to wait before another try"),
    ("X-RateLimit-Limit", Type::Integer, "Requests in one window"),
    ("X-RateLimit-Remaining", Type::Integer, "Requests left in this window"),
    ("X-RateLimit-Reset", Type::Integer, "Seconds until the window ends"),
];

/// The headers of a response, and its problem document where it is one.
fn explain(status: &str, response: &mut Response) {
    let own: &[&str] = match status {
        "401" => &["WWW-Authenticate"],
        "429" => {
            &["Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
        }
        "503" => &["Retry-After"],
        _ => &[],
    };
    for name in own.iter().chain(&["X-Request-Id"]) {
        let shared = Ref::new(format!("#/components/headers/{name}"));
        response.headers.insert((*name).to_owned(), RefOr::Ref(shared));
    }
    if status.starts_with(['4', '5']) {
        let document = Content::new(Some(Ref::from_schema_name("Problem")));
        response.content.insert("application/problem+json".to_owned(), document.into());
    }
}

fn problem(status: &str) -> String {
    format!("Problem{status}")
}

fn organisation() -> Parameter {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(MAX_ID_BYTES))
        .pattern(Some("^[!-~]+$"));
    ParameterBuilder::new()
        .name("X-Org-Id")
        .parameter_in(ParameterIn::Header)
        .description(Some("The organisation to act for, where it is not the caller's present one"))
        .schema(Some(text))
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}
