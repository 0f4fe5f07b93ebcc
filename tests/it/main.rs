//! Vestibule through its front door.

mod abuse;
mod api;
mod authz;
mod capabilities;
mod client;
mod command_line;
mod contract;
mod denials;
mod hostile_calls;
mod hostile_files;
mod house;
mod http_client;
mod jose;
mod login;
mod mu_keycloak;
mod openapi;
mod operator;
mod provider_tokens;
mod self_attack;
mod sessions;
mod settings;
mod stores;
mod su_github;
mod token_store;
mod whoami;
