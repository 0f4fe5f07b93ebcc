//! From a core module to a component, and what there is to say of one.

use std::{convert::Infallible, fmt};

use anyhow::{Context as _, bail};
use wasm_encoder::{ExportSection, Module, reencode, reencode::Reencode};
use wasmparser::{Export, Parser};
use wit_component::{ComponentEncoder, DecodedWasm};

/// Makes a component of a core module that carries its own contract.
///
/// There is no adapter: what the component can reach is what the contract names.
pub(super) fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut without = Module::new();
    WithoutPostReturns.parse_core_module(&mut without, Parser::new(0), module)?;
    ComponentEncoder::default().module(&without.finish())?.validate(true).encode()
}

/// Leaves out the functions by which a host frees what a call returned: an
/// instance ends with its call, and each of them would be looked up whenever an
/// instance is made.
struct WithoutPostReturns;

impl Reencode for WithoutPostReturns {
    type Error = Infallible;

    fn parse_export(
        &mut self,
        exports: &mut ExportSection,
        export: Export<'_>,
    ) -> Result<(), reencode::Error<Infallible>> {
        if export.name.starts_with("cabi_post_") {
            return Ok(());
        }
        reencode::utils::parse_export(self, exports, export)
    }
}

/// What a component costs and asks for.
#[derive(Debug)]
pub(super) struct Summary {
    /// Core modules; each beyond the first makes an instance dearer.
    modules: usize,
    /// Imported interfaces, without package and version.
    imports: Vec<String>,
}

/// Reads a component back, and refuses it where it imports anything but the contract.
pub(super) fn summary(bytes: &[u8]) -> anyhow::Result<Summary> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(bytes)? else {
        bail!("a WIT package is not a component");
    };
    let mut imports = Vec::new();
    for key in resolve.worlds[world].imports.keys() {
        let name = resolve.name_world_key(key);
        let interface = name
            .strip_prefix("vestibule:auth/")
            .and_then(|rest| rest.split('@').next())
            .with_context(|| format!("`{name}` is imported, which is not in the contract"))?;
        imports.push(interface.to_owned());
    }
    Ok(Summary {
        modules: core_modules(bytes).context("the component ends in the middle of a section")?,
        imports,
    })
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.modules == 1 { "" } else { "s" };
        write!(f, "{} core module{plural}, imports {}", self.modules, self.imports.join(" "))
    }
}

/// Counts the sections with id 1, which are core modules, at the top level.
fn core_modules(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes.get(8..)?;
    let mut count = 0;
    while let Some((&id, tail)) = rest.split_first() {
        let (length, tail) = leb128(tail)?;
        count += usize::from(id == 1);
        rest = tail.get(length..)?;
    }
    Some(count)
}

/// An unsigned number of at most 32 bits in LEB128, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().enumerate().take(5) {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_modules_are_counted_at_the_top_level_only() {
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend([1, 3, 1, 1, 1]);
        component.extend([4, 0x80, 0x01]);
        component.extend([1; 128]);
        component.extend([1, 0]);
        assert_eq!(core_modules(&component), Some(2));
    }

    #[test]
    fn a_truncated_component_is_noticed() {
        assert_eq!(core_modules(b"\0asm\x0d\0\x01\0\x01\x05ab"), None);
    }
}
