//! What a component can reach, drawn as a tree.

use crate::engine::{Description, GrantSource, Import, Inspection, SettingType};

/// Capabilities that are no more than words between the two sides.
const TYPES: &str = "types";

/// A line of the tree, and what hangs on it.
struct Branch {
    name: String,
    how: String,
    branches: Vec<Branch>,
}

impl Branch {
    fn new(name: impl Into<String>, how: impl Into<String>) -> Self {
        Self { name: name.into(), how: how.into(), branches: Vec::new() }
    }

    fn with(self, branches: Vec<Self>) -> Self {
        Self { branches, ..self }
    }
}

/// Draws what a component can reach: its capabilities, and in each the origins,
/// secrets and names.
pub(super) fn draw(inspection: &Inspection) -> Vec<String> {
    let about = &inspection.description;
    let mut branches: Vec<Branch> = inspection
        .imports
        .iter()
        .filter(|import| import.interface != TYPES)
        .map(|import| capability(import, about))
        .collect();
    if about.log_in.is_some() {
        branches.push(browsers(about));
    }
    if !about.headers.is_empty() {
        let headers = about.headers.iter().map(|name| Branch::new(name, "of each request"));
        branches.push(Branch::new("headers", "always").with(headers.collect()));
    }
    let mut rows = Vec::new();
    rows.push((about.name.clone(), String::new()));
    hang(&mut rows, &branches, "");
    if branches.is_empty() {
        rows.push(("└─ nothing".to_owned(), String::new()));
    }
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, how): (String, String)| {
        let gap = " ".repeat(width - name.chars().count());
        format!("  {name}{gap}  {how}").trim_end().to_owned()
    };
    rows.into_iter().map(line).collect()
}

fn hang(rows: &mut Vec<(String, String)>, branches: &[Branch], before: &str) {
    for (index, branch) in branches.iter().enumerate() {
        let is_last = index + 1 == branches.len();
        let (fork, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        rows.push((format!("{before}{fork}{}", branch.name), branch.how.clone()));
        hang(rows, &branch.branches, &format!("{before}{below}"));
    }
}

fn capability(import: &Import, about: &Description) -> Branch {
    let how = match &import.grant {
        None => "always".to_owned(),
        Some(key) => format!("by grant, [auth.grants] {key}"),
    };
    let inside = match import.interface.as_str() {
        "http-client" => proposed(&about.grants.http, about),
        "jose" => proposed(&about.grants.jose, about),
        "token-store" => proposed(&about.grants.token_store, about),
        "secrets" => secrets(about),
        _ => Vec::new(),
    };
    Branch::new(&import.interface, how).with(inside)
}

/// Where a log-in may send a browser.
fn browsers(about: &Description) -> Branch {
    let grants = about.grants.http.iter().chain(&about.grants.browser);
    let sources: Vec<GrantSource> = grants.cloned().collect();
    Branch::new("browsers", "by grant, [auth.grants] http and browser")
        .with(proposed(&sources, about))
}

fn secrets(about: &Description) -> Vec<Branch> {
    let secret = about.settings.iter().filter(|setting| setting.secret);
    secret.map(|setting| Branch::new(&setting.name, from_setting(&setting.name, about))).collect()
}

fn proposed(sources: &[GrantSource], about: &Description) -> Vec<Branch> {
    if sources.is_empty() {
        return vec![Branch::new("whatever the operator grants", "it proposes nothing")];
    }
    let branch = |source: &GrantSource| match source {
        GrantSource::Fixed(value) => Branch::new(value, "proposed"),
        GrantSource::Setting(name) => Branch::new(format!("{{{name}}}"), from_setting(name, about)),
        GrantSource::Template(template) => {
            let inside = template.split('{').skip(1).filter_map(|piece| piece.split('}').next());
            let names: Vec<&str> = inside.collect();
            Branch::new(template, format!("from the settings {}", names.join(" and ")))
        }
    };
    sources.iter().map(branch).collect()
}

fn from_setting(name: &str, about: &Description) -> String {
    let setting = about.settings.iter().find(|setting| setting.name == name);
    let default = setting.and_then(|setting| setting.default.as_ref());
    match (default, setting.map(|setting| &setting.kind)) {
        (Some(default), Some(SettingType::Url | SettingType::Text)) => {
            format!("from the setting {name}, {} by default", default.as_str().unwrap_or("nothing"))
        }
        _ if setting.is_some_and(|setting| !setting.required) => {
            format!("from the setting {name}, where it is given")
        }
        _ => format!("from the setting {name}"),
    }
}
