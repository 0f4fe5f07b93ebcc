//! Randomness from the host's cryptographically secure generator, always granted.
//!
//! [`getrandom!`](crate::getrandom) makes the crate of that name draw from here.

pub use crate::bindings::vestibule::auth::random::{bytes, number};

/// Fills a buffer with random bytes, eight at a time.
///
/// [`bytes`] is cheaper for more than about a hundred.
pub fn fill(buffer: &mut [u8]) {
    for chunk in buffer.chunks_mut(size_of::<u64>()) {
        chunk.copy_from_slice(&number().to_le_bytes()[..chunk.len()]);
    }
}
