//! Values that people write with a unit.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

/// A time such as `25ms` or `10s`.
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|_| {
            D::Error::custom(format!("{text:?} is no time, write one such as \"25ms\" or \"10s\""))
        })
    }
}

/// A size such as `32MiB`.
pub(super) struct Bytes(pub(super) usize);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<bytesize::ByteSize>()
            .ok()
            .and_then(|size| usize::try_from(size.as_u64()).ok())
            .map(Self)
            .ok_or_else(|| {
                D::Error::custom(format!("{text:?} is no size, write one such as \"32MiB\""))
            })
    }
}
