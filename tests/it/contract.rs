//! The contract itself, and the components that are built to it.

use std::{collections::BTreeSet, num::NonZeroUsize};

use vestibule::engine::{Engine, EngineOptions};
use vestibule_tests::{component, craft, workspace};
use wit_parser::{Docs, Resolve, TypeDefKind, WorldItem};

const COMPONENTS: [&str; 6] =
    ["none", "su-github", "hello-strategy", "session", "hostile", "hostile-waiting"];

#[test]
fn no_component_imports_anything_but_the_contract() {
    for name in COMPONENTS {
        let bytes = std::fs::read(component(name)).unwrap();
        let decoded = wit_component::decode(&bytes).unwrap();
        let resolve = decoded.resolve();
        let (_, world) = resolve.worlds.iter().next().expect("a world");
        for (key, _) in &world.imports {
            let import = resolve.name_world_key(key);
            assert!(import.starts_with("vestibule:auth/"), "{name} imports {import}");
        }
    }
}

#[test]
fn no_component_holds_a_path_of_the_machine_that_built_it() {
    let root = workspace();
    let home = std::env::home_dir().expect("a home");
    for name in COMPONENTS {
        let bytes = std::fs::read(component(name)).unwrap();
        for path in [root.as_path(), home.join(".cargo").as_path(), home.join(".rustup").as_path()]
        {
            let path = path.to_str().unwrap().as_bytes();
            let found = bytes.windows(path.len()).any(|window| window == path);
            assert!(!found, "{name} holds {}", String::from_utf8_lossy(path));
        }
    }
}

/// What the world imports, `types` apart: there is nothing to call in there.
fn imported_interfaces() -> BTreeSet<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(workspace().join("wit")).unwrap();
    let world = resolve.select_world(&[package], Some("strategy")).unwrap();
    let interfaces = resolve.worlds[world].imports.values().map(|item| match item {
        WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.clone().unwrap(),
        other => panic!("{other:?} is no interface"),
    });
    interfaces.filter(|name| name != "types").collect()
}

/// The file that implements an interface in the host.
fn capability_file(interface: &str) -> String {
    format!("capability/{}.rs", interface.replace('-', "_"))
}

#[test]
fn the_host_offers_exactly_what_the_world_imports() {
    let expected: BTreeSet<_> =
        imported_interfaces().iter().map(|interface| capability_file(interface)).collect();
    let files: BTreeSet<_> = std::fs::read_dir(workspace().join("host/src/capability"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // What a file is made of stands in a folder beside it.
        .filter(|name| !expected.contains(&format!("capability/{name}.rs")))
        .map(|name| format!("capability/{name}"))
        .collect();
    assert_eq!(files, expected);
}

#[test]
fn the_map_lists_exactly_what_the_world_imports() {
    let expected: BTreeSet<_> = imported_interfaces()
        .into_iter()
        .map(|interface| (format!("`{interface}`"), format!("`{}`", capability_file(&interface))))
        .collect();
    let map = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let section = map.split("\n## The contract\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let listed: Vec<(String, String)> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().to_owned());
            (cells.next().expect("an interface"), cells.next().expect("a file"))
        })
        .collect();
    assert_eq!(BTreeSet::from_iter(listed.clone()), expected);
    assert_eq!(listed.len(), expected.len(), "an interface is listed twice");
}

#[tokio::test]
async fn the_host_knows_every_import_and_its_type() {
    let options = EngineOptions { shards: NonZeroUsize::MIN, concurrency: NonZeroUsize::MIN };
    let engine = Engine::new(options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.wasm");
    // Imports every function of every interface. Its description traps, and to
    // get as far as that all of them have to be linked.
    std::fs::write(&file, craft::dummy(|_, text| text).unwrap()).unwrap();
    let error = engine.inspect(&file).await.unwrap_err();
    assert!(error.to_string().starts_with("it cannot describe itself"), "{error}");
}

#[test]
fn every_item_of_the_contract_is_documented() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(workspace().join("wit")).unwrap();
    let mut bare = BTreeSet::new();
    let mut look = |what: String, docs: &Docs| {
        if docs.contents.as_deref().unwrap_or_default().trim().is_empty() {
            bare.insert(what);
        }
    };
    look("the package".to_owned(), &resolve.packages[package].docs);
    for (_, world) in &resolve.worlds {
        look(format!("world {}", world.name), &world.docs);
        for (key, item) in world.imports.iter().chain(&world.exports) {
            assert!(
                matches!(item, WorldItem::Interface { .. }),
                "{} is no interface",
                resolve.name_world_key(key)
            );
        }
    }
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.as_deref().unwrap_or("?");
        look(format!("interface {name}"), &interface.docs);
        for (function, item) in &interface.functions {
            look(format!("{name}.{function}"), &item.docs);
        }
        for (type_name, id) in &interface.types {
            let item = &resolve.types[*id];
            let place = |part: &str| format!("{name}.{type_name}.{part}");
            match &item.kind {
                // Named from another interface, which documents it.
                TypeDefKind::Type(_) => continue,
                TypeDefKind::Record(record) => {
                    record.fields.iter().for_each(|field| look(place(&field.name), &field.docs));
                }
                TypeDefKind::Variant(variant) => {
                    variant.cases.iter().for_each(|case| look(place(&case.name), &case.docs));
                }
                TypeDefKind::Enum(cases) => {
                    cases.cases.iter().for_each(|case| look(place(&case.name), &case.docs));
                }
                _ => {}
            }
            look(format!("{name}.{type_name}"), &item.docs);
        }
    }
    assert!(bare.is_empty(), "without documentation: {bare:#?}");
}

#[test]
fn there_is_one_interface_a_file_under_its_own_name() {
    let mut resolve = Resolve::default();
    resolve.push_dir(workspace().join("wit")).unwrap();
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.as_deref().expect("a name");
        let file = workspace().join("wit").join(format!("{name}.wit"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{name}.wit"));
        assert!(text.contains(&format!("interface {name} {{")), "{name}");
        assert_eq!(text.lines().filter(|line| line.starts_with("interface ")).count(), 1, "{name}");
    }
}
