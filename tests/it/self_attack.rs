//! Before anybody is served, every limit of the engine is attacked.

use std::fs;

use vestibule_tests::{TestApp, logs::Logs, workspace};

#[test]
fn the_attacks_are_those_of_their_source() {
    let folder = workspace().join("host/src/engine/self_attack");
    let translated = wat::parse_file(folder.join("attacks.wat")).unwrap();
    let file = folder.join("attacks.wasm");
    if fs::read(&file).unwrap() != translated {
        fs::write(&file, translated).unwrap();
        panic!("attacks.wasm was not what attacks.wat says, and is now");
    }
}

#[tokio::test]
async fn the_engine_is_attacked_before_it_serves() {
    let logs = Logs::collect();
    TestApp::start("none", "").await;
    let text = logs.text();
    let attacked = text.find("every limit was attacked and held").expect(&text);
    let loaded = text.find("the strategy is loaded").expect(&text);
    assert!(attacked < loaded, "{text}");
    // What the attacks wrote is nobody's business.
    assert!(!text.contains("vestibule::strategy"), "{text}");
}
