//! Vestibule through its front door.

mod abuse;
mod api;
mod capabilities;
mod command_line;
mod contract;
mod hostile_calls;
mod hostile_files;
mod house;
mod openapi;
mod operator;
mod settings;
mod stores;
mod whoami;
