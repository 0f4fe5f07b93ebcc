//! Work that goes on by itself.

use tokio::runtime::Handle;

/// Begins work that nobody waits for; without a runtime there is nobody to do it.
#[expect(clippy::disallowed_methods, reason = "the door for work that outlives who began it")]
pub(crate) fn begin(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(work);
    }
}
