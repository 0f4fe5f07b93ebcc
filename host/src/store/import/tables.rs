//! The tables of OpenHands, as far as they are read.

use super::source::Column;

/// What the rows of a table are.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Secret,
    OfflineToken,
    ProviderToken,
    ApiKey,
    Settings,
}

/// A table there, and the columns that name a row of it in the report.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) label: &'static [&'static str],
    /// Columns to read; all where none is named.
    pub(super) columns: &'static [Column],
}

pub(super) const TABLES: [Table; 5] = [
    Table {
        name: "custom_secrets",
        kind: Kind::Secret,
        label: &["keycloak_user_id", "org_id", "secret_name"],
        columns: &[
            Column::text("keycloak_user_id"),
            Column::text("org_id"),
            Column::text("secret_name"),
            Column::text("secret_value"),
            Column::text("description"),
        ],
    },
    Table {
        name: "offline_tokens",
        kind: Kind::OfflineToken,
        label: &["user_id"],
        columns: &[Column::text("user_id"), Column::text("offline_token")],
    },
    Table {
        name: "auth_tokens",
        kind: Kind::ProviderToken,
        label: &["keycloak_user_id", "identity_provider"],
        columns: &[
            Column::text("keycloak_user_id"),
            Column::text("identity_provider"),
            Column::text("access_token"),
            Column::text("refresh_token"),
            Column::text("access_token_expires_at"),
            Column::text("refresh_token_expires_at"),
            Column::text("provider_host"),
            Column::text("provider_account_id"),
        ],
    },
    Table {
        name: "api_keys",
        kind: Kind::ApiKey,
        label: &["user_id", "org_id", "id", "name"],
        columns: &[
            Column::text("id"),
            Column::text("key"),
            Column::text("user_id"),
            Column::text("org_id"),
            Column::text("name"),
            Column::instant("expires_at"),
            Column::instant("not_before"),
        ],
    },
    Table {
        name: "user_settings",
        kind: Kind::Settings,
        label: &["keycloak_user_id", "user_id", "org_id"],
        columns: &[],
    },
];

/// Columns of `user_settings` that are no settings.
pub(super) const NO_SETTINGS: [&str; 6] =
    ["id", "keycloak_user_id", "user_id", "org_id", "created_at", "updated_at"];

/// Columns of `user_settings` that are sealed, or were written before there was sealing.
pub(super) const SEALED_SETTINGS: [&str; 3] =
    ["llm_api_key", "llm_api_key_for_byor", "search_api_key"];
