//! Which file holds the component that the configuration names.

use std::path::{Path, PathBuf};

use super::{LoadError, components_in};
use crate::{
    config::{self, Config},
    engine::{Description, Engine},
};

impl Engine {
    /// The component that `[auth] strategy` names: a path, a file of that name
    /// in the plugins folder, or the one there that answers to the name.
    pub async fn find(&self, config: &Config) -> Result<PathBuf, LoadError> {
        let (name, dir) = (config.auth.strategy.as_str(), &config.plugins.dir);
        if name.contains('/') {
            return Ok(PathBuf::from(name));
        }
        if Path::new(name).extension().is_some_and(|extension| extension == "wasm") {
            return Ok(dir.join(name));
        }
        let file = dir.join(format!("{name}.wasm"));
        if file.exists() {
            return Ok(file);
        }
        let files = components_in(dir).map_err(|error| {
            LoadError::NotFound(format!(
                "{}: the plugins folder cannot be read: {error}; set [plugins] dir",
                dir.display()
            ))
        })?;
        let (mut found, mut passed_over) = (Vec::new(), Vec::new());
        for file in files {
            match self.inspect_trusted(&file, config).await {
                Ok(inspection) => found.push((file, inspection.description)),
                Err(error) => {
                    tracing::warn!("passed over {}", error.at(&file));
                    passed_over.push(file);
                }
            }
        }
        let mistake = |what: String| config.source.mistake(&["auth", "strategy"], &what);
        // A name beats an alias, so that no component can take another's place.
        let has_name = |(_, description): &&(PathBuf, Description)| description.name == name;
        let mut answering: Vec<_> = found.iter().filter(has_name).collect();
        if answering.is_empty() {
            answering = found.iter().filter(|(_, found)| found.answers_to(name)).collect();
        }
        match answering.as_slice() {
            [(file, _)] => Ok(file.clone()),
            [] => {
                let names = || {
                    found
                        .iter()
                        .flat_map(|(_, found)| std::iter::once(&found.name).chain(&found.aliases))
                };
                let hint = config::did_you_mean(name, names().map(String::as_str));
                let known: Vec<&str> = names().map(String::as_str).collect();
                let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                let what = mistake(format!(
                    "no component in {} answers to {name:?}{hint}; there is {known}; \
                     put {name}.wasm there or set [plugins] dir",
                    dir.display()
                ));
                Err(if passed_over.is_empty() {
                    LoadError::NotFound(what)
                } else {
                    LoadError::NoneAnswers { what, passed_over }
                })
            }
            several => {
                let files: Vec<String> =
                    several.iter().map(|(file, _)| file.display().to_string()).collect();
                Err(LoadError::NotFound(mistake(format!(
                    "{} answer to {name:?}; name one of the files",
                    files.join(" and ")
                ))))
            }
        }
    }
}
