//! Before anybody is served, every limit of the engine is attacked.

use std::{fs, net::TcpListener};

use vestibule_tests::workspace;

use crate::command_line::{errors, installed, run};

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

#[test]
fn the_engine_is_attacked_before_it_serves() {
    // Whoever cannot listen has done everything that comes before.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = installed(&format!("server.listen = '{address}'\nauth.strategy = 'none'\n"));
    let output = run(&["serve"], folder.path());
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let attacked = text.find("every limit was attacked and held").expect(&text);
    let loaded = text.find("the strategy is loaded").expect(&text);
    assert!(attacked < loaded, "{text}");
    // What the attacks wrote is nobody's business.
    assert!(!text.contains("vestibule::strategy"), "{text}");
}
