//! Vestibule through its front door.

mod api;
mod capabilities;
mod command_line;
mod contract;
mod hostile_calls;
mod hostile_files;
mod house;
mod http_client;
mod operator;
mod settings;
mod stores;
mod token_store;
mod whoami;
