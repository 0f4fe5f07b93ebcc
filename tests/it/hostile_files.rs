//! Files that are no strategy, or one that may not run: each is refused with an
//! error of its own, and the strategy that serves goes on serving.

use std::{
    fs,
    path::{Path, PathBuf},
};

use http::StatusCode;
use vestibule::{
    engine::{CallError, LoadError, MAX_FILE_BYTES},
    host::StartError,
};
use vestibule_tests::{TestApp, component, craft};

/// Puts the bytes in a file and tries to serve it instead of the none strategy.
async fn refused(bytes: &[u8]) -> LoadError {
    let app = TestApp::start("none", "").await;
    let file = app.folder().join("candidate.wasm");
    fs::write(&file, bytes).unwrap();
    refused_at(&app, &file).await
}

async fn refused_at(app: &TestApp, file: &Path) -> LoadError {
    let error = app.host.replace(file).await.expect_err("it must not serve");
    let line = error.to_string();
    assert!(line.contains("candidate"), "the file is not named: {line}");
    let StartError::Load { source: error, .. } = error else { panic!("{line}") };
    let next = app.anonymous().get("/auth/session").await;
    assert_eq!(next.status, StatusCode::OK, "the strategy that served serves no more");
    assert_eq!(next.json()["strategy"], "none");
    error
}

fn none() -> Vec<u8> {
    fs::read(component("none")).unwrap()
}

#[tokio::test]
async fn spinning_in_the_start_function_ends_the_trial() {
    let bytes =
        craft::with_core_modules(&none(), "(module (func $spin (loop (br 0))) (start $spin))", 1);
    let error = refused(&bytes.unwrap()).await;
    assert!(matches!(error, LoadError::Describe(CallError::CpuBudget(_))), "{error}");
}

#[tokio::test]
async fn a_bomb_over_several_memories_meets_the_limit_of_their_sum() {
    // Twelve MiB each, and 32 MiB in all are allowed.
    let grow = "(module (memory 1) (func $grow
                  (if (i32.eq (memory.grow (i32.const 191)) (i32.const -1)) (then unreachable)))
                (start $grow))";
    let one = craft::with_core_modules(&none(), grow, 1).unwrap();
    let three = craft::with_core_modules(&none(), grow, 3).unwrap();
    let app = TestApp::start("none", "").await;
    let file = app.folder().join("candidate.wasm");
    fs::write(&file, one).unwrap();
    app.host.replace(&file).await.expect("one such memory is within the limit");
    let error = refused(&three).await;
    assert!(matches!(error, LoadError::Describe(CallError::Memory(_))), "{error}");
}

#[tokio::test]
async fn memory_that_is_too_large_from_the_start_is_refused_before_it_is_made() {
    let bytes = craft::with_core_modules(&none(), "(module (memory 600))", 1).unwrap();
    let error = refused(&bytes).await;
    assert!(matches!(error, LoadError::InitialMemory { .. }), "{error}");
}

#[tokio::test]
async fn a_component_whose_functions_all_trap_cannot_describe_itself() {
    let bytes = craft::dummy(|_, text| {
        ["http-client", "jose", "token-store"]
            .iter()
            .fold(text, |text, name| text.replace(&format!("  import {name};\n"), ""))
    });
    let error = refused(&bytes.unwrap()).await;
    assert!(matches!(error, LoadError::Describe(CallError::Trap(_))), "{error}");
}

#[tokio::test]
async fn strings_in_any_encoding_of_any_length_and_at_odd_places_break_nothing() {
    let app = TestApp::start("none", "").await;
    let file = app.folder().join("candidate.wasm");
    for encoding in [craft::Encoding::Utf16, craft::Encoding::Latin1OrUtf16] {
        for name in ["none", "hostile", "named", "hello-strategy", "visited", "careless"] {
            let bytes = craft::with_encoding(&fs::read(component(name)).unwrap(), encoding);
            fs::write(&file, bytes.unwrap()).unwrap();
            // One whose texts are ASCII at even places means the same by them.
            if app.host.replace(&file).await.is_ok() {
                let odd = app.anonymous().with("x-behave", "log-inject").with("x-user", "\u{e4}b");
                let answer = odd.get("/auth/session").await.status;
                assert!(
                    matches!(answer.as_u16(), 200 | 400 | 503),
                    "{name} {encoding:?}: {answer}"
                );
                app.host.replace(&component("none")).await.unwrap();
            }
            let next = app.anonymous().get("/auth/session").await;
            assert_eq!(next.json()["strategy"], "none", "{name} {encoding:?}");
        }
    }
}

#[tokio::test]
async fn an_export_that_is_missing_is_named() {
    let bytes = craft::dummy(|_, text| text.replace("  export login;\n", "")).unwrap();
    let error = refused(&bytes).await;
    assert!(
        matches!(&error, LoadError::MissingExport(name) if name == "vestibule:auth/login@0.1.0"),
        "{error}"
    );
}

#[tokio::test]
async fn a_function_that_is_missing_is_named() {
    let bytes = craft::dummy(|_, text| {
        text.replace("  check-settings: func() -> result<_, string>;\n", "")
    });
    let error = refused(&bytes.unwrap()).await;
    assert!(
        matches!(&error, LoadError::MissingExport(name) if name.ends_with("plugin@0.1.0.check-settings")),
        "{error}"
    );
}

#[tokio::test]
async fn an_export_of_the_wrong_type_is_refused() {
    let bytes = craft::dummy(|_, text| {
        text.replace(
            "authenticate: func(request: request) -> result<decision, error>;",
            "authenticate: func(request: string) -> result<decision, error>;",
        )
    });
    let error = refused(&bytes.unwrap()).await;
    assert!(matches!(error, LoadError::WrongType(_)), "{error}");
}

#[tokio::test]
async fn an_import_that_is_not_granted_comes_with_the_lines_that_would_grant_it() {
    let error = refused(&craft::dummy(|_, text| text).unwrap()).await;
    let LoadError::MissingGrant { interfaces, toml } = error else { panic!("{error}") };
    assert_eq!(interfaces, ["http-client", "jose", "token-store"]);
    assert_eq!(toml, "[auth.grants]\nhttp = [\"…\"]\njose = [\"…\"]\ntoken_store = [\"…\"]\n");
}

#[tokio::test]
async fn an_import_from_elsewhere_is_named() {
    let bytes = craft::dummy(|name, text| match name {
        "world.wit" => text.replace("  import types;", "  import types;\n  import extra: func();"),
        _ => text,
    });
    let error = refused(&bytes.unwrap()).await;
    assert!(matches!(&error, LoadError::UnknownImport(name) if name == "extra"), "{error}");
}

#[tokio::test]
async fn another_version_of_the_contract_is_refused_with_both_versions() {
    let bytes = craft::dummy(|_, text| text.replace("@0.1.0", "@9.0.0")).unwrap();
    let error = refused(&bytes).await;
    assert!(
        matches!(&error, LoadError::UnsupportedContract { found, supported }
            if found == "vestibule:auth@9.0.0" && supported == "vestibule:auth@0.1.0"),
        "{error}"
    );
}

#[tokio::test]
async fn a_truncated_file_is_damaged() {
    let whole = none();
    for length in [whole.len() / 2, whole.len() - 1, 9] {
        let error = refused(&whole[..length]).await;
        assert!(
            matches!(error, LoadError::Compile(_) | LoadError::MissingExport(_)),
            "{length}: {error}"
        );
    }
}

#[tokio::test]
async fn a_core_module_is_not_a_component() {
    let error = refused(b"\0asm\x01\0\0\0").await;
    assert!(
        matches!(error, LoadError::NotAComponent(what) if what.contains("core module")),
        "{error}"
    );
}

#[tokio::test]
async fn machine_code_is_never_run() {
    let code = wasmtime::Engine::default().precompile_component(&none()).unwrap();
    let error = refused(&code).await;
    assert!(
        matches!(error, LoadError::NotAComponent(what) if what.contains("machine code")),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_webassembly_is_said_to_be_so() {
    for (bytes, expected) in [
        (&b""[..], "empty"),
        (b"(component)", "WebAssembly text"),
        (b"#!/bin/sh", "not WebAssembly"),
        (b"\0asm", "not a component of a version"),
        (b"\0asm\x0c\0\x01\0", "not a component of a version"),
    ] {
        let error = refused(bytes).await;
        assert!(
            matches!(error, LoadError::NotAComponent(what) if what.contains(expected)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_file_of_two_hundred_megabytes_is_not_read() {
    let app = TestApp::start("none", "").await;
    let file = app.folder().join("candidate.wasm");
    fs::File::create(&file).unwrap().set_len(200 << 20).unwrap();
    let error = refused_at(&app, &file).await;
    assert!(matches!(error, LoadError::TooLarge(size) if size > MAX_FILE_BYTES), "{error}");
}

#[tokio::test]
async fn a_folder_and_a_missing_file_are_refused() {
    let app = TestApp::start("none", "").await;
    let folder = app.folder().join("candidate.wasm");
    fs::create_dir(&folder).unwrap();
    let error = refused_at(&app, &folder).await;
    assert!(matches!(error, LoadError::NotAFile), "{error}");
    let error = refused_at(&app, &PathBuf::from("candidate-nowhere.wasm")).await;
    assert!(matches!(error, LoadError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_the_pinned_one_is_refused() {
    let pin = format!("auth.sha256 = '{}'", "0".repeat(64));
    let Err(error) = TestApp::try_start("none", &pin, &[]).await else { panic!("it started") };
    assert!(
        matches!(&error, StartError::Load { source: LoadError::DigestMismatch { .. }, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("none.wasm"), "{error}");
}

#[tokio::test]
async fn a_replacement_that_passes_serves_the_next_request() {
    let app = TestApp::start("none", "").await;
    assert_eq!(app.anonymous().get("/auth/session").await.json()["strategy"], "none");
    app.host.replace(&component("hostile")).await.unwrap();
    assert_eq!(app.anonymous().get("/auth/session").await.json()["strategy"], "hostile");
}

#[tokio::test]
async fn a_strategy_that_lets_everybody_in_stays_off_the_network() {
    let Err(error) = TestApp::try_start("none", "server.listen = '0.0.0.0:0'", &[]).await else {
        panic!("it started")
    };
    assert!(matches!(error, StartError::Open { .. }), "{error}");
    let toml = "server.listen = '0.0.0.0:0'\nserver.allow_open = true";
    TestApp::start("none", toml).await;
    let app = TestApp::start("hostile", "server.listen = '0.0.0.0:0'").await;
    let error = app.host.replace(&component("none")).await.unwrap_err();
    assert!(matches!(error, StartError::Open { .. }), "{error}");
    assert_eq!(app.anonymous().get("/auth/session").await.json()["strategy"], "hostile");
}
