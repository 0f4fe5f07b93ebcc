//! Components that no compiler would make, for testing the loader and the
//! limits.

use std::path::Path;

use anyhow::{Context as _, ensure};
use wasm_encoder::{
    Component, ComponentSection as _, ComponentSectionId, CustomSection, InstanceSection,
    RawSection, Section as _,
};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

use crate::workspace;

/// A component with core modules added at its end, each instantiated along with
/// the rest: whatever a module's start function does happens at instantiation.
pub fn with_core_modules(component: &[u8], wat: &str, count: u32) -> anyhow::Result<Vec<u8>> {
    let module = wat::parse_str(wat)?;
    let first = core_modules(component)?;
    let mut added = component.to_vec();
    for index in first..first + count {
        let core_module = ComponentSectionId::CoreModule as u8;
        RawSection { id: core_module, data: &module }.append_to(&mut added);
        let mut instances = InstanceSection::new();
        instances.instantiate::<[_; 0], &str>(index, []);
        let mut section = Component::new();
        section.section(&instances);
        added.extend_from_slice(&section.finish()[8..]);
    }
    Ok(added)
}

/// How many core modules stand at the top of a component.
pub fn core_modules(component: &[u8]) -> anyhow::Result<u32> {
    let (mut at, mut count) = (8, 0);
    while let Some(id) = component.get(at) {
        count += u32::from(*id == ComponentSectionId::CoreModule as u8);
        at += 1;
        at += usize::try_from(number(component, &mut at)?)?;
    }
    ensure!(at == component.len(), "a section ends early");
    Ok(count)
}

/// A component of the world `strategy` whose every function traps and which
/// imports everything, after `edit` has changed the text of the contract.
pub fn dummy(edit: impl Fn(&str, String) -> String) -> anyhow::Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(workspace().join("wit"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a file name")?;
        let text = edit(name, std::fs::read_to_string(&path)?);
        std::fs::write(folder.path().join(name), text)?;
    }
    encode(folder.path())
}

fn encode(wit: &Path) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], Some("strategy"))?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

/// How the strings of a component are said to be written.
#[derive(Clone, Copy, Debug)]
pub enum Encoding {
    /// In pairs of bytes.
    Utf16 = 1,
    /// In bytes, or in pairs of them where the length has its highest bit set.
    Latin1OrUtf16 = 2,
}

/// A component that says of every string that it is written in another way than it is:
/// lengths mean something else, texts begin at odd places and are none.
pub fn with_encoding(component: &[u8], encoding: Encoding) -> anyhow::Result<Vec<u8>> {
    let mut changed = component.to_vec();
    let mut at = 8;
    while at < changed.len() {
        let id = changed[at];
        at += 1;
        let size = usize::try_from(number(&changed, &mut at)?)?;
        if id == ComponentSectionId::CanonicalFunction as u8 {
            say(&mut changed[at..at + size], encoding)?;
        }
        at += size;
    }
    ensure!(changed != component, "no string crosses its border");
    Ok(changed)
}

/// Changes the encoding in every option of a section of canonical functions.
fn say(section: &mut [u8], encoding: Encoding) -> anyhow::Result<()> {
    let mut at = 0;
    for _ in 0..number(section, &mut at)? {
        let kind = section[at];
        at += 1;
        if kind > 1 {
            // Of a resource, or of a kind that no component here has.
            ensure!((2..=4).contains(&kind), "a canonical function of the kind {kind}");
            number(section, &mut at)?;
            continue;
        }
        at += 1;
        number(section, &mut at)?;
        for _ in 0..number(section, &mut at)? {
            let option = section[at];
            match option {
                0..=2 => section[at] = encoding as u8,
                3..=5 => {}
                other => anyhow::bail!("a canonical option of the kind {other}"),
            }
            at += 1;
            if option > 2 {
                number(section, &mut at)?;
            }
        }
        if kind == 0 {
            number(section, &mut at)?;
        }
    }
    Ok(())
}

/// Reads a number as WebAssembly writes it.
fn number(bytes: &[u8], at: &mut usize) -> anyhow::Result<u32> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = *bytes.get(*at).context("a section ends early")?;
        value |= u32::from(byte & 0x7f) << shift;
        (*at, shift) = (*at + 1, shift + 7);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
}

/// A component with another text of the same length in its data.
#[must_use]
pub fn with_text(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "offsets would not fit any more");
    let mut changed = component.to_vec();
    let found: Vec<usize> = memchr::memmem::find_iter(component, from).collect();
    assert!(!found.is_empty(), "it has no {from:?}");
    for at in found {
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    changed
}

/// A component of another version than `0.1.0`, which stands behind its name.
#[must_use]
pub fn with_version(component: &[u8], name: &str, version: &str) -> Vec<u8> {
    with_text(component, &format!("{name}0.1.0"), &format!("{name}{version}"))
}

/// A component that differs by a custom section alone.
#[must_use]
pub fn labelled(component: &[u8], label: &str) -> Vec<u8> {
    let mut labelled = component.to_vec();
    let section = CustomSection { name: "label".into(), data: label.as_bytes().into() };
    section.append_to_component(&mut labelled);
    labelled
}
