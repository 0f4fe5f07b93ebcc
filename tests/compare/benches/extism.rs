//! One policy three ways: native, as a Vestibule component with a fresh
//! instance for each call, and as an Extism plugin, fresh and reused.
//!
//! All cases take turns in one process. The Extism plugin has to be built
//! before, see `docs/performance.md`.

#[path = "../../guest/session/src/policy.rs"]
mod policy;
#[path = "../../benches/support/stats.rs"]
mod stats;

use std::{fs, hint::black_box, path::Path, time::Instant};

use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm, convert::Json};
use policy::{Caller, KEY};
use serde::{Deserialize, Serialize};
use stats::{Goal, Samples};
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    engine::{Engine, EngineOptions, Strategy},
    identity::{Credential, Outcome, Request, RequestId, Scheme},
};

const ROUNDS: usize = 200;
const WARM_UP: usize = 20;

/// What the plugin takes: the fields of Vestibule's request.
#[derive(Serialize)]
struct PluginRequest<'a> {
    method: &'a str,
    scheme: &'a str,
    host: &'a str,
    path: &'a str,
    client_address: &'a str,
    headers: Vec<Option<&'a str>>,
    now: u64,
}

/// What the plugin returns: the fields of Vestibule's identity.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read by nobody but the assertion")]
struct PluginIdentity {
    user_id: String,
    org_id: String,
    roles: Vec<String>,
    expires_at: u64,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let strategy = runtime.block_on(component());
    let compiled = plugin();
    let mut reused = Plugin::new_from_compiled(&compiled).unwrap();
    let cookies = cookies();
    let expected = policy::decide(&cookies, Clock::System.now(), &KEY).unwrap().user_id;
    assert_eq!(in_plugin(&mut reused, &cookies).user_id, expected);
    match runtime.block_on(in_component(&strategy, &cookies)) {
        Outcome::Authenticated(who) => assert_eq!(who.user_id.unwrap().as_str(), expected),
        Outcome::Anonymous => panic!("the caller is let in"),
    }

    let mut cases: [Samples; 4] = Default::default();
    for round in 0..WARM_UP + ROUNDS {
        let measured = [
            time(512, || {
                black_box(policy::decide(black_box(&cookies), Clock::System.now(), &KEY)).unwrap();
            }),
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..128 {
                    black_box(in_component(&strategy, black_box(&cookies)).await);
                }
                start.elapsed().as_secs_f64() * 1e6 / 128.0
            }),
            time(128, || {
                black_box(in_plugin(&mut reused, black_box(&cookies)));
            }),
            time(16, || {
                let mut fresh = Plugin::new_from_compiled(&compiled).unwrap();
                black_box(in_plugin(&mut fresh, black_box(&cookies)));
            }),
        ];
        if round >= WARM_UP {
            for (samples, microseconds) in cases.iter_mut().zip(measured) {
                samples.push(microseconds);
            }
        }
    }

    let [native, fresh, extism_reused, extism_fresh] = &cases;
    stats::heading("extism: the session policy, native, here and in Extism 1.30");
    stats::line("native", native, "µs");
    stats::line("Vestibule, fresh instance", fresh, "µs");
    stats::line("Extism, reused plugin", extism_reused, "µs");
    stats::line("Extism, fresh plugin", extism_fresh, "µs");
    stats::verdict("Vestibule / native", &fresh.over(native), Goal::AtMost(9.0));
    stats::verdict("Extism fresh / Vestibule", &extism_fresh.over(fresh), Goal::AtLeast(40.0));
    stats::verdict("Extism reused / Vestibule", &extism_reused.over(fresh), Goal::AtLeast(1.0));
}

/// Microseconds a call.
fn time(calls: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn cookies() -> String {
    policy::cookies(&policy::mint(
        &Caller {
            user_id: "7f4e2f0c-7c1e-4f0e-9d57-1b1f6f0a2f3d".to_owned(),
            org_id: "engines".to_owned(),
            roles: vec!["admin".to_owned(), "author".to_owned()],
            expires_at: 4_102_444_800,
        },
        &KEY,
    ))
}

async fn component() -> Strategy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-plugins/session.wasm");
    assert!(path.is_file(), "{} is missing: run `cargo xtask plugins`", path.display());
    let text = format!("auth.strategy = '{}'", path.display());
    let config = Config::parse(None, &text, Environment::fixed(&[])).unwrap();
    let engine = Engine::new(EngineOptions::default()).unwrap();
    engine.load(&path, &config, Clock::System).await.unwrap()
}

async fn in_component(strategy: &Strategy, cookies: &str) -> Outcome {
    let request = Request {
        method: "GET",
        scheme: Scheme::Https,
        host: "auth.example.com",
        path: "/api/conversations",
        query: None,
        client_address: Some([192, 0, 2, 7].into()),
        credential: Credential::Absent,
        headers: vec![Some(cookies)],
        id: RequestId::new(0),
    };
    strategy.authenticate(request).await.unwrap().unwrap().outcome
}

fn plugin() -> CompiledPlugin {
    let path = std::env::var_os("VESTIBULE_COMPARE_PLUGIN").map_or_else(
        || {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("target/wasm32-unknown-unknown/guest/vestibule_compare_plugin.wasm")
        },
        Into::into,
    );
    let bytes = fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; build it first, see docs/performance.md", path.display())
    });
    let manifest = Manifest::new([Wasm::data(bytes)]);
    PluginBuilder::new(manifest).with_wasi(false).compile().unwrap()
}

fn in_plugin(plugin: &mut Plugin, cookies: &str) -> PluginIdentity {
    let request = PluginRequest {
        method: "GET",
        scheme: "https",
        host: "auth.example.com",
        path: "/api/conversations",
        client_address: "192.0.2.7",
        headers: vec![Some(cookies)],
        now: Clock::System.now(),
    };
    let Json(identity) =
        plugin.call::<_, Json<PluginIdentity>>("authenticate", Json(request)).unwrap();
    identity
}
