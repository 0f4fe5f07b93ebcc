//! Vestibule through its front door.

mod api;
mod capabilities;
mod client;
mod command_line;
mod contract;
mod hostile_calls;
mod hostile_files;
mod house;
mod operator;
mod settings;
mod stores;
mod whoami;
