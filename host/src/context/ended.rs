//! Telling what outlives its request that its user is out.

use super::{AuthMethod, UserContext};
use crate::store::StoreError;

/// How often is looked, in seconds.
const LOOK_EVERY: u64 = 4;

impl UserContext {
    /// Is done within five seconds after the user is out: the session or the API key that
    /// the request presented has ended, here or at another replica, or the user is
    /// disabled or has left the organisation. For web sockets and event streams, which live
    /// longer than the decision that let them begin:
    ///
    /// ```
    /// # async fn talk_on() {}
    /// # fn say_goodbye() {}
    /// async fn talk(user: vestibule::context::UserContext) {
    ///     tokio::select! {
    ///         () = user.ended() => say_goodbye(),
    ///         () = talk_on() => {}
    ///     }
    /// }
    /// ```
    ///
    /// It costs a look-up every four seconds for as long as it is waited for. It is no
    /// visit, so that a session ends that nothing but a stream uses. While the database is
    /// away nobody is out.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let user = self.clone();
        async move {
            let mut told = false;
            while user.stands().await.unwrap_or_else(|error| {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(request.id = %user.request, %error, "nobody knows who is out");
                }
                true
            }) {
                user.host.clock().pass(LOOK_EVERY).await;
            }
        }
    }

    async fn stands(&self) -> Result<bool, StoreError> {
        let key = match &self.method {
            AuthMethod::ApiKey(key) => Some(&**key),
            _ => None,
        };
        self.host.store().stands(&self.scope, self.session.as_ref(), key).await
    }
}
