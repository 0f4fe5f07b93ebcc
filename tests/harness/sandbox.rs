//! What runs within a sandbox, for tests of the client: reads from standard input
//! where Vestibule is and references that were made elsewhere, and says on
//! standard output what it can have.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
};

use serde_json::{Value, json};
use vestibule_client::{Error, LookupSecret, Overrides, Workspace};
use vestibule_tests::run::text;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let input: Value = serde_json::from_str(&input)?;
    let given: BTreeMap<String, LookupSecret> = serde_json::from_value(input["given"].clone())?;
    let (url, key) = (input["url"].as_str().unwrap_or_default(), input["key"].as_str());
    let key = key.unwrap_or_default().to_owned();
    let workspace = Workspace::within_sandbox(url, key.into())?;
    let own = workspace.get_secrets(None).await?;
    let said = json!({
        "given": values(&given).await?,
        "own": values(&own).await?,
        "references": own,
        "model": workspace.get_llm(Overrides::default()).await?.model,
    });
    std::io::stdout().write_all(said.to_string().as_bytes())?;
    Ok(())
}

async fn values(
    references: &BTreeMap<String, LookupSecret>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut values = BTreeMap::new();
    for (name, reference) in references {
        values.insert(name.clone(), text(&reference.value().await?).to_owned());
    }
    Ok(values)
}
