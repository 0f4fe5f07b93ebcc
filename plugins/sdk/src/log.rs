//! Lines for the operator's log, always granted and bounded by the host.
//!
//! Fields stand beside the message: `log::warn("unknown team", &[("team", name)])`.
//! Never put a token, a cookie or a secret into either.

pub use crate::bindings::vestibule::auth::log::{Field, Level, write};

/// Writes a line of step-by-step detail.
pub fn trace(message: &str, fields: &[(&str, &str)]) {
    line(Level::Trace, message, fields);
}

/// Writes a line of detail for the author of the strategy.
pub fn debug(message: &str, fields: &[(&str, &str)]) {
    line(Level::Debug, message, fields);
}

/// Writes a line that is worth knowing.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    line(Level::Info, message, fields);
}

/// Writes a line that an operator should look at.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    line(Level::Warn, message, fields);
}

/// Writes a line about something that is broken.
pub fn error(message: &str, fields: &[(&str, &str)]) {
    line(Level::Error, message, fields);
}

fn line(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<Field> = fields
        .iter()
        .map(|(name, value)| Field { name: (*name).into(), value: (*value).into() })
        .collect();
    write(level, message, &fields);
}
