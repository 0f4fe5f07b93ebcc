//! A component with what it is granted, ready on one shard.

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::{Component, Linker};

use super::LoadError;
use crate::{
    bindings,
    capability::{self, Granted},
    config::Grants,
    engine::{call::Call, strategy::Lane},
};

/// Links a component to what it is granted, on one shard.
pub(super) fn lane(
    component: &Component,
    grants: &Grants,
    waits: bool,
    granted: Granted,
    permits: usize,
) -> Result<Lane, LoadError> {
    let engine = component.engine().clone();
    let mut linker = Linker::<Call>::new(&engine);
    capability::link(&mut linker, |key| !grants.under(key).is_empty(), |call| &mut call.context)
        .map_err(LoadError::Host)?;
    let pre = linker.instantiate_pre(component).map_err(LoadError::WrongType)?;
    let direct = if waits {
        let mut linker = Linker::<Call>::new(&engine);
        capability::link_without_waiting(&mut linker, component, |call| &mut call.context)
            .map_err(LoadError::Host)?;
        linker.instantiate_pre(component).map_err(LoadError::WrongType)?
    } else {
        pre.clone()
    };
    let authenticate = component
        .get_export_index(None, "vestibule:auth/user-auth@0.1.0")
        .and_then(|interface| component.get_export_index(Some(&interface), "authenticate"))
        .ok_or_else(|| LoadError::MissingExport("authenticate".to_owned()))?;
    Ok(Lane {
        pre: bindings::StrategyPre::new(pre).map_err(LoadError::WrongType)?,
        authenticate,
        direct,
        waits,
        engine,
        granted: Arc::new(granted),
        permits: Semaphore::new(permits),
    })
}
