//! Nothing: see `benches/extism.rs`.
