//! Taking over what OpenHands keeps: read from its tables, sealed anew, keys
//! digested. Nothing is written there, and nothing that is here already is
//! overwritten, so that a second run does no harm.

mod source;
mod tables;

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value};

use self::{
    source::{Column, Source, SourceRow},
    tables::{Kind, NO_SETTINGS, SEALED_SETTINGS, TABLES, Table},
};
use super::{
    NewApiKey, Scope, Secret, Settings, Store, StoreError, TokenPair, api_keys::SYSTEM, change,
    read,
};
use crate::{
    cipher::{Cipher, CipherError, OpenHandsForm},
    config::DatabaseUrl,
    hex,
    identity::{Identity, OrgId, UserId},
    secret::digest_of,
};

/// How long a token may be leased by a server that runs meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to take over.
#[derive(Debug)]
pub struct ImportOptions {
    /// The database of OpenHands.
    pub source: DatabaseUrl,
    /// Its `jwt_secret`, and older ones.
    pub secrets: Vec<SecretString>,
    /// The name under which offline tokens are kept here.
    pub offline_token: String,
}

/// What came over.
#[derive(Debug, Default, Serialize)]
pub struct ImportReport {
    /// By table, in the order in which they were read.
    pub tables: Vec<ImportedTable>,
}

/// What became of one table's rows.
#[derive(Debug, Default, Serialize)]
pub struct ImportedTable {
    /// The table's name there.
    pub table: &'static str,
    /// Whether it is there at all.
    pub present: bool,
    /// Rows that were read.
    pub found: usize,
    /// Rows that came over.
    pub imported: usize,
    /// Rows that were here already.
    pub kept: usize,
    /// Rows that did not come over, and why.
    pub refused: Vec<RefusedRow>,
}

/// A row that did not come over.
#[derive(Debug, Serialize)]
pub struct RefusedRow {
    /// Which one: ids and names, never values.
    pub row: String,
    /// Why.
    pub reason: String,
}

impl ImportReport {
    /// Whether a row did not come over.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.tables.iter().any(|table| !table.refused.is_empty())
    }
}

/// What became of one row.
enum Fate {
    Imported,
    Kept,
}

/// Why one row does not come over.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it does not open with the given secret")]
    Sealed,
    #[error("it is sealed in the newer JWE form, which is not read")]
    Newer,
    #[error("its {0} is missing or cannot be used")]
    Column(&'static str),
    #[error(transparent)]
    Store(StoreError),
}

/// What belongs to the row is its fate; what belongs to the database ends the import.
impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

type Fated = Result<Fate, Refused>;

impl Store {
    /// Takes over what OpenHands keeps.
    pub async fn import_openhands(
        &self,
        options: &ImportOptions,
    ) -> Result<ImportReport, StoreError> {
        let source = Source::open(&options.source).await?;
        let import = Import {
            store: self,
            cipher: Cipher::of_openhands(&options.secrets)?,
            key_scopes: key_scopes(&source).await?,
            offline_token: &options.offline_token,
        };
        let mut report = ImportReport::default();
        for table in &TABLES {
            report.tables.push(import.table(&source, table).await?);
        }
        Ok(report)
    }
}

/// The scopes of keys, by the key's id there.
async fn key_scopes(source: &Source) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let columns = [Column::text("api_key_id"), Column::text("scope")];
    let mut scopes = BTreeMap::<String, Vec<String>>::new();
    for row in source.rows("api_key_scopes", &columns).await?.unwrap_or_default() {
        if let (Some(key), Some(scope)) = (row.get("api_key_id"), row.get("scope")) {
            scopes.entry(key.to_owned()).or_default().push(scope.to_owned());
        }
    }
    Ok(scopes)
}

struct Import<'a> {
    store: &'a Store,
    cipher: Cipher,
    key_scopes: BTreeMap<String, Vec<String>>,
    offline_token: &'a str,
}

impl Import<'_> {
    async fn table(&self, source: &Source, table: &Table) -> Result<ImportedTable, StoreError> {
        let mut report = ImportedTable { table: table.name, ..ImportedTable::default() };
        let Some(rows) = source.rows(table.name, table.columns).await? else { return Ok(report) };
        report.present = true;
        report.found = rows.len();
        for row in rows {
            let mark = mark(table, &row);
            if self.is_marked(&mark).await? {
                report.kept += 1;
                continue;
            }
            let fated = match table.kind {
                Kind::Secret => self.secret(&row).await,
                Kind::OfflineToken => self.offline_token(&row).await,
                Kind::ProviderToken => self.provider_token(&row).await,
                Kind::ApiKey => self.api_key(&row).await,
                Kind::Settings => self.settings(&row).await,
            };
            if fated.is_ok() {
                self.mark(&mark).await?;
            }
            match fated {
                Ok(Fate::Imported) => report.imported += 1,
                Ok(Fate::Kept) => report.kept += 1,
                Err(Refused::Store(error @ StoreError::Query(_))) => return Err(error),
                Err(error) => report
                    .refused
                    .push(RefusedRow { row: row.label(table.label), reason: error.to_string() }),
            }
        }
        Ok(report)
    }

    /// Whether a row came over before: whoever revoked or deleted it here since has
    /// done so on purpose.
    async fn is_marked(&self, mark: &str) -> Result<bool, StoreError> {
        let row: Option<(String,)> = read!(self.store.db, pool => {
            sqlx::query_as("select source_row from imported where source_row = $1")
                .bind(mark)
                .fetch_optional(pool)
                .await?
        });
        Ok(row.is_some())
    }

    async fn mark(&self, mark: &str) -> Result<(), StoreError> {
        change!(self.store.db, pool => {
            sqlx::query(
                "insert into imported (source_row, at) values ($1, $2) on conflict do nothing",
            )
            .bind(mark)
            .bind(self.store.now())
            .execute(pool)
            .await?;
        });
        Ok(())
    }

    async fn secret(&self, row: &SourceRow) -> Fated {
        let scope = self.scope(row, "keycloak_user_id").await?;
        let name = row.need("secret_name")?;
        let value = self.open(OpenHandsForm::Encoded, row.need("secret_value")?)?;
        let description = row
            .get("description")
            .map(|text| self.open(OpenHandsForm::Encoded, text))
            .transpose()?;
        let secrets = self.store.secrets(&scope);
        let secret = Secret { value, description };
        loop {
            let loaded = secrets.load().await?;
            if loaded.names().contains(name) {
                return Ok(Fate::Kept);
            }
            match secrets.put(name, &secret, Some(loaded.version)).await {
                // A server that runs meanwhile was faster.
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(|_| Fate::Imported)?),
            }
        }
    }

    async fn offline_token(&self, row: &SourceRow) -> Fated {
        let scope = self.scope(row, "user_id").await?;
        let refresh = self.open(OpenHandsForm::OfflineToken, row.need("offline_token")?)?;
        let pair = TokenPair { refresh: Some(Arc::new(refresh)), ..TokenPair::default() };
        self.token(&scope.user, self.offline_token, &pair).await
    }

    async fn provider_token(&self, row: &SourceRow) -> Fated {
        let scope = self.scope(row, "keycloak_user_id").await?;
        let open = |column| {
            let Some(text) = row.get(column) else { return Ok(None) };
            self.open(OpenHandsForm::Token, text).map(|secret| Some(Arc::new(secret)))
        };
        // 0 is never.
        let expiry = |column| {
            let at = row.get(column).map(str::parse::<u64>).transpose();
            at.map(|at| at.filter(|at| *at > 0)).map_err(|_| Refused::Column(column))
        };
        let pair = TokenPair {
            access: open("access_token")?,
            refresh: open("refresh_token")?,
            access_expires_at: expiry("access_token_expires_at")?,
            refresh_expires_at: expiry("refresh_token_expires_at")?,
            host: row.get("provider_host").map(str::to_owned),
            account_id: row.get("provider_account_id").map(str::to_owned),
        };
        self.token(&scope.user, row.need("identity_provider")?, &pair).await
    }

    async fn token(&self, user: &UserId, name: &str, pair: &TokenPair) -> Fated {
        let mut lease = self.store.tokens(user).lease(name, PATIENCE).await?;
        let fate = if lease.current().await?.is_some() {
            Fate::Kept
        } else {
            lease.save(pair).await?;
            Fate::Imported
        };
        lease.release().await?;
        Ok(fate)
    }

    async fn api_key(&self, row: &SourceRow) -> Fated {
        let scope = self.scope(row, "user_id").await?;
        let text = row.need("key")?;
        let instant = |column| {
            row.get(column).map(str::parse).transpose().map_err(|_| Refused::Column(column))
        };
        let scopes = row.get("id").and_then(|id| self.key_scopes.get(id)).cloned();
        let name = match row.get("name").unwrap_or("imported") {
            // A key that OpenHands makes for its own use, from before it had a mark for those.
            "MCP_API_KEY" => format!("{SYSTEM}MCP_API_KEY"),
            name => name.to_owned(),
        };
        let key = NewApiKey {
            name,
            scopes: scopes.unwrap_or_default(),
            not_before: instant("not_before")?,
            expires_at: instant("expires_at")?,
            // There, a key without an organisation acts for the owner's current one.
            unbound: row.get("org_id").is_none(),
        };
        match self.store.api_keys(&scope).import(text, &key).await? {
            None => Err(Refused::Column("key")),
            Some(true) => Ok(Fate::Imported),
            Some(false) => Ok(Fate::Kept),
        }
    }

    async fn settings(&self, row: &SourceRow) -> Fated {
        let user =
            if row.get("keycloak_user_id").is_some() { "keycloak_user_id" } else { "user_id" };
        let scope = self.scope(row, user).await?;
        let mut document = Map::new();
        let mut sealed = BTreeMap::new();
        for (name, value) in row.values() {
            let Some(value) = value else { continue };
            if name.ends_with(source::TYPE) || NO_SETTINGS.contains(&name) {
                continue;
            }
            if SEALED_SETTINGS.contains(&name) {
                sealed.insert(format!("/{name}"), self.setting(value)?);
                continue;
            }
            document.insert(name.to_owned(), setting(value, row.is_text(name)));
        }
        let mut settings = Settings::split(document)?;
        settings.secrets.append(&mut sealed);
        if self.store.settings(&scope).await?.version > 0 {
            return Ok(Fate::Kept);
        }
        match self.store.store_settings(&scope, &settings, Some(0)).await {
            Ok(_) => Ok(Fate::Imported),
            Err(StoreError::Conflict) => Ok(Fate::Kept),
            Err(error) => Err(error.into()),
        }
    }

    /// A sealed setting, or one from before there was sealing.
    fn setting(&self, stored: &str) -> Result<SecretString, Refused> {
        match self.open(OpenHandsForm::Encoded, stored) {
            Err(Refused::Sealed) if !OpenHandsForm::Encoded.fits(stored) => {
                Ok(SecretString::from(stored))
            }
            other => other,
        }
    }

    fn open(&self, form: OpenHandsForm, stored: &str) -> Result<SecretString, Refused> {
        self.cipher.open_openhands(form, stored).map_err(|_: CipherError| {
            // A JWE in compact form begins with a JSON object in base64.
            let newer = stored.starts_with("eyJ") && stored.matches('.').count() == 4;
            if newer { Refused::Newer } else { Refused::Sealed }
        })
    }

    /// Whose row it is. User and membership are made where there are none.
    async fn scope(&self, row: &SourceRow, column: &'static str) -> Result<Scope, Refused> {
        let user = UserId::new(row.need(column)?).map_err(|_| Refused::Column(column))?;
        let org = match row.get("org_id") {
            Some(org) => OrgId::new(org).map_err(|_| Refused::Column("org_id"))?,
            None => OrgId::personal(&user),
        };
        if self.store.user(&user).await?.is_none() {
            let identity = Identity { user_id: Some(user.clone()), ..Identity::default() };
            self.store.establish_user(&identity).await?;
        }
        let scope = Scope::new(user, org);
        if self.store.role(&scope).await?.is_none() {
            self.store.add_member(&scope, "member").await?;
        }
        Ok(scope)
    }
}

/// A row's mark: a digest, because a key's text is part of what tells it from
/// another.
fn mark(table: &Table, row: &SourceRow) -> String {
    let mut text = table.name.to_owned();
    for column in table.label.iter().chain(&["key"]) {
        let value = row.get(column).unwrap_or_default();
        let _ = write!(text, " {}:{value}", value.len());
    }
    hex::encode(&digest_of(&text))
}

/// A setting as JSON: numbers and documents as such, and text as text.
fn setting(value: &str, is_text: bool) -> Value {
    let document = value.starts_with(['{', '[']);
    let parsed = if is_text && !document { None } else { serde_json::from_str(value).ok() };
    parsed.unwrap_or_else(|| Value::String(value.to_owned()))
}
