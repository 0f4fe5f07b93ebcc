//! An axum app that leaves it to Vestibule who is calling: run it from the root of
//! the workspace after `cargo xtask plugins`, with `cargo run --package embed`.

use std::{net::SocketAddr, path::Path, time::Duration};

use axum::{
    Json, Router, extract,
    routing::{get, post},
};
use vestibule::{
    clock::Clock,
    config::Config,
    context::UserContext,
    host::Host,
    http::{Problem, router},
    provider::ProviderHandler,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::load(Path::new("examples/embed/embed.toml"))?;
    let host = Host::start(config, Clock::System).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    println!("try: curl -X POST http://{}/conversations/first", listener.local_addr()?);
    let app = app(host).into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}

/// The app's own routes behind the layer, and Vestibule's beside them.
fn app(host: Host) -> Router {
    let own = Router::new()
        .route("/conversations/{id}", post(start))
        .route("/conversations/{id}/news", get(news))
        .layer(host.layer());
    own.merge(router(host))
}

/// No user id is handed around: the caller, and what is theirs, comes as one value.
async fn start(
    user: UserContext,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<Vec<String>>, Problem> {
    let folder = user.conversations().dir(&id).map_err(|_| Problem::not_found())?;
    let secrets = user.secrets().load().await?.secrets.len();
    let git = ProviderHandler::new(user.token_provider()).for_provider("github").await;
    Ok(Json(vec![
        format!("{} keeps this conversation in {}", user.user_id(), folder.display()),
        format!("it starts with {secrets} secrets"),
        git.map_or_else(|why| why.to_string(), |client| format!("it clones from {}", client.host)),
    ]))
}

/// What outlives its request, as a WebSocket does, is told that its user is out.
async fn news(user: UserContext) -> &'static str {
    tokio::select! {
        () = user.ended() => "you are signed out",
        () = tokio::time::sleep(Duration::from_secs(30)) => "nothing has happened",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    use vestibule::config::Environment;

    use super::*;

    async fn post_to(path: &str) -> (StatusCode, String) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let component = root.join("target/plugins/none.wasm");
        let text =
            format!("database.url = 'sqlite::memory:'\nauth.strategy = '{}'", component.display());
        let config = Config::parse(None, &text, Environment::fixed(&[])).unwrap();
        let host = Host::start(config, Clock::System).await.unwrap();
        let request = Request::post(path).header("host", "localhost").body(Body::empty()).unwrap();
        let response = app(host).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_app_is_told_who_is_calling_and_what_is_theirs() {
        let (status, body) = post_to("/conversations/first").await;
        assert_eq!(
            (status, body.as_str()),
            (
                StatusCode::OK,
                "[\"00000000-0000-4000-8000-000000000001 keeps this conversation in \
                 sessions/first\",\"it starts with 0 secrets\",\"no github account is connected\"]"
            )
        );
    }

    #[tokio::test]
    async fn an_id_that_leads_elsewhere_and_vestibule_s_own_routes_are_answered() {
        let (status, body) = post_to("/conversations/..%2fother").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
        assert!(body.contains("request_id"), "{body}");
        let (status, _) = post_to("/api/v1/users/me").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    }
}
