//! The crate `getrandom` draws from the host, for dependencies that need it.

#[cfg(all(target_family = "wasm", getrandom_backend = "custom"))]
pub use getrandom::Error;

/// Lets dependencies draw randomness through the crate `getrandom`.
///
/// Write it once, beside [`export!`](crate::export), where a dependency wants
/// getrandom 0.3 or 0.4, and build with `--cfg getrandom_backend="custom"`. It is
/// not part of `export!` because the component then imports `random` whether it
/// is ever called or not.
#[macro_export]
macro_rules! getrandom {
    () => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            // SAFETY: getrandom vouches for `length` writable bytes; zeros make
            // a slice of them sound.
            #[unsafe(no_mangle)]
            unsafe extern "Rust" fn __getrandom_v03_custom(
                buffer: *mut u8,
                length: usize,
            ) -> ::core::result::Result<(), $crate::entropy::Error> {
                let buffer = unsafe {
                    ::core::ptr::write_bytes(buffer, 0, length);
                    ::core::slice::from_raw_parts_mut(buffer, length)
                };
                $crate::random::fill(buffer);
                ::core::result::Result::Ok(())
            }
        };
    };
}
