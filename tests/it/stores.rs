//! The stores, on both databases: nothing lost, nothing readable, nobody else's.

mod api_keys;
mod concurrency;
mod crash;
mod import;
mod opening;
mod rotation;
mod sandboxes;
mod sealing;
mod secrets;
mod sessions;
mod settings;
mod tokens;
mod users;
