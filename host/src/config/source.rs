//! Where configuration comes from, and how its mistakes are told.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::environment::Environment;

/// A configuration file with the places of its keys, and the environment.
#[derive(Clone, Debug)]
pub struct Source {
    path: Option<PathBuf>,
    /// The line of every key, by its full path.
    lines: Arc<BTreeMap<Vec<String>, usize>>,
    table: Arc<Hidden>,
    /// The variables that complete the file.
    pub environment: Environment,
}

/// The file's values, some of which are secrets.
struct Hidden(Table);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Source {
    /// Whether there is no file, and so no place for what nobody would write into a
    /// variable.
    #[must_use]
    pub fn is_environment_alone(&self) -> bool {
        self.path.is_none() && self.table.0.is_empty()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether a key stands in the file, whatever the environment says.
    #[must_use]
    pub fn holds(&self, key: &[&str]) -> bool {
        let owned: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        self.lines.contains_key(&owned)
    }

    /// The path that the file gives to a key.
    #[must_use]
    pub fn path_at(&self, key: &[&str]) -> Option<PathBuf> {
        let (last, sections) = key.split_last()?;
        let table = |table: &Table, name: &&str| table.get(*name)?.as_table().cloned();
        let table =
            sections.iter().try_fold(self.table.0.clone(), |inner, name| table(&inner, name));
        Some(PathBuf::from(table?.get(*last)?.as_str()?))
    }

    pub(super) fn parse(
        path: Option<&Path>,
        text: &str,
        environment: Environment,
    ) -> Result<Self, String> {
        let name =
            path.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
        let broken = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            format!("{name}:{line}: {}", error.message())
        };
        let spanned = DeTable::parse(text).map_err(broken)?;
        let table = text.parse::<Table>().map_err(broken)?;
        let mut lines = BTreeMap::new();
        note_lines(text, spanned.get_ref(), &mut Vec::new(), &mut lines);
        Ok(Self {
            path: path.map(Path::to_owned),
            lines: Arc::new(lines),
            table: Arc::new(Hidden(table)),
            environment,
        })
    }

    pub(super) fn root(&self) -> Section<'_> {
        Section { source: self, path: Vec::new(), table: self.table.0.clone(), known: Vec::new() }
    }

    /// Tells a mistake with the file, line and key where it was made.
    #[must_use]
    pub fn mistake(&self, key: &[&str], what: &str) -> String {
        format!("{}: {what}", self.place(key))
    }

    /// Where a key stands.
    pub(crate) fn place(&self, key: &[&str]) -> String {
        let owned: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        let name = match key {
            [] => String::new(),
            [section] => format!("[{section}]"),
            [list, index] if is_index(index) => format!("[[{list}]]"),
            [sections @ .., key] => format!("{} {key}", heading(sections)),
        };
        match (&self.path, self.lines.get(&owned)) {
            (Some(path), Some(line)) => format!("{}:{line}: {name}", path.display()),
            (Some(path), None) => format!("{}: {name}", path.display()),
            (None, _) => name,
        }
    }
}

/// The heading of a section. Which one of a list it is, the line says.
fn heading(sections: &[&str]) -> String {
    let names: Vec<&str> = sections.iter().copied().filter(|part| !is_index(part)).collect();
    let names = names.join(".");
    if sections.last().is_some_and(|last| is_index(last)) {
        format!("[[{names}]]")
    } else {
        format!("[{names}]")
    }
}

fn is_index(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}

fn note_lines(
    text: &str,
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    lines: &mut BTreeMap<Vec<String>, usize>,
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        lines.insert(path.clone(), line_at(text, key.span().start));
        match Spanned::get_ref(value) {
            DeValue::Table(inner) => note_lines(text, inner, path, lines),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let DeValue::Table(inner) = Spanned::get_ref(item) else { continue };
                    path.push(index.to_string());
                    lines.insert(path.clone(), line_at(text, item.span().start));
                    note_lines(text, inner, path, lines);
                    path.pop();
                }
            }
            _ => {}
        }
        path.pop();
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// What a reading of the configuration finds wrong.
#[derive(Default)]
pub(super) struct Mistakes {
    /// One text each.
    pub(super) texts: Vec<String>,
    /// Every variable that was looked for.
    variables: Vec<String>,
}

impl Mistakes {
    pub(super) fn push(&mut self, text: String) {
        self.texts.push(text);
    }

    /// Reports variables that are almost one of those looked for: a pin that is
    /// misspelt must not be a pin that is not there. Others are let be: a
    /// platform may set variables of its own after a service of this name.
    pub(super) fn refuse_misspelt(&mut self, environment: &Environment) {
        for name in environment.names() {
            if self.variables.contains(&name) {
                continue;
            }
            let close = |known: &&String| strsim::damerau_levenshtein(&name, known) <= 2;
            if let Some(meant) = self.variables.iter().find(close) {
                let text =
                    format!("environment variable {name} is not known, did you mean {meant}?");
                self.texts.push(text);
            }
        }
    }
}

/// The shortest key that other services may share with us, in bytes.
const MIN_SHARED_KEY_BYTES: usize = 16;

/// One section while it is being read: what is taken out is known, what is left
/// at the end is a mistake.
pub(super) struct Section<'a> {
    source: &'a Source,
    path: Vec<String>,
    table: Table,
    known: Vec<&'static str>,
}

impl Section<'_> {
    /// Takes a section out.
    pub(super) fn section(&mut self, name: &'static str, mistakes: &mut Mistakes) -> Self {
        let table = self.table(name, mistakes);
        self.inner(&[name], table)
    }

    /// Takes a list of sections out.
    pub(super) fn sections(&mut self, name: &'static str, mistakes: &mut Mistakes) -> Vec<Self> {
        let tables: Vec<Table> = self.take(name, mistakes).unwrap_or_default();
        let numbered = tables.into_iter().enumerate();
        numbered.map(|(index, table)| self.inner(&[name, &index.to_string()], table)).collect()
    }

    fn inner(&self, names: &[&str], table: Table) -> Self {
        let mut path = self.path.clone();
        path.extend(names.iter().map(|name| (*name).to_owned()));
        Section { source: self.source, path, table, known: Vec::new() }
    }

    /// The whole key of a name in this section.
    fn key<'k>(&'k self, name: &'k str) -> Vec<&'k str> {
        self.path.iter().map(String::as_str).chain([name]).collect()
    }

    /// Tells a mistake at a name in this section.
    pub(super) fn mistake(&self, name: &str, what: &str) -> String {
        self.source.mistake(&self.key(name), what)
    }

    /// Where the section stands.
    pub(super) fn place(&self) -> String {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        self.source.place(&path)
    }

    /// Takes a table out without reading it.
    pub(super) fn table(&mut self, name: &'static str, mistakes: &mut Mistakes) -> Table {
        self.known.push(name);
        match self.table.remove(name) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                mistakes.push(self.mistake(name, "this is a section, not a value"));
                Table::new()
            }
        }
    }

    /// Takes a value out, the environment's before the file's.
    pub(super) fn take<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        mistakes: &mut Mistakes,
    ) -> Option<T> {
        self.known.push(name);
        let in_file = self.table.remove(name);
        let key = self.key(name);
        let variable = format!("VESTIBULE_{}", key.join("_").to_ascii_uppercase());
        mistakes.variables.push(variable.clone());
        if let Some(text) = self.source.environment.get(&variable) {
            return from_text(&text)
                .map_err(|error| {
                    mistakes.push(format!("environment variable {variable}: {}", told(&error)));
                })
                .ok();
        }
        in_file?
            .try_into()
            .map_err(|error| mistakes.push(self.source.mistake(&key, &told(&error))))
            .ok()
    }

    /// Takes a secret out that others present: the value itself, what the file holds
    /// that another key names, or else a variable of another's naming.
    pub(super) fn shared_key(
        &mut self,
        name: &'static str,
        file_name: &'static str,
        variable: &str,
        mistakes: &mut Mistakes,
    ) -> Option<SecretString> {
        let inline: Option<String> = self.take(name, mistakes);
        let file: Option<PathBuf> = self.take(file_name, mistakes);
        let at = if file.is_some() { file_name } else { name };
        let mut mistake = |what: String| mistakes.push(self.mistake(at, &what));
        let text = match (inline, file) {
            (Some(_), Some(_)) => {
                mistake(format!("there is a {name} as well; keep one of the two"));
                return None;
            }
            (Some(text), None) => text,
            (None, Some(file)) => match std::fs::read_to_string(&file) {
                Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
                Err(error) => {
                    mistake(format!("{} cannot be read: {error}", file.display()));
                    return None;
                }
            },
            (None, None) => self.source.environment.get(variable)?,
        };
        // Nothing at all would be matched by an empty header.
        if text.len() < MIN_SHARED_KEY_BYTES {
            mistake(format!(
                "it has fewer than {MIN_SHARED_KEY_BYTES} bytes; `openssl rand -hex 32` makes a good one"
            ));
            return None;
        }
        Some(SecretString::from(text))
    }

    /// Everything that was not taken out.
    pub(super) fn rest(self) -> Table {
        self.table
    }

    /// Reports everything that was not taken out.
    pub(super) fn finish(self, mistakes: &mut Mistakes) {
        let kind = if self.path.is_empty() { "section" } else { "key" };
        for name in self.table.keys() {
            let hint = did_you_mean(name, self.known.iter().copied());
            mistakes.push(self.mistake(name, &format!("unknown {kind}{hint}")));
        }
    }
}

/// A value from a variable: as it stands, as a TOML value, or as a list between
/// commas.
fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    let as_it_stands = T::deserialize(Value::String(text.to_owned()));
    as_it_stands.or_else(|error| {
        let as_toml = format!("value = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("value"))
            .and_then(|value| value.try_into().ok());
        let as_list = || {
            let items = text.split(',').map(|item| Value::String(item.trim().to_owned()));
            Value::Array(items.collect()).try_into().ok()
        };
        as_toml.or_else(as_list).ok_or(error)
    })
}

fn told(error: &toml::de::Error) -> String {
    error.message().trim().replace('\n', " ")
}

/// A hint at the name that is closest, where one is close.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| format!(", did you mean {candidate:?}?"))
        .unwrap_or_default()
}
