//! Secrets that are kept must not be sent elsewhere: whoever may write settings, and
//! not read secrets, could otherwise have `llm_api_key` sent to a server of theirs by
//! changing `llm_base_url`.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{secret, store::Settings};

/// How names end under which settings say where something is sent.
const ADDRESSES: [&str; 6] = ["url", "uri", "base", "endpoint", "host", "proxy"];

/// What programs and servers are told is one whole: any part can decide where the
/// others go.
const WHOLE: &str = "mcp_config";

/// Whether a change leaves a secret as it was and changes where it is sent.
pub(super) fn redirects(before: &Settings, after: &Settings) -> bool {
    let kept = Kept(&before.secrets, &after.secrets);
    let (old, new) = (before.exposed(), after.exposed());
    if old[WHOLE] != new[WHOLE] && kept.below(&format!("/{WHOLE}")) {
        return true;
    }
    let empty = Map::new();
    kept.redirected("", old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty))
}

/// The secrets before and after, by their places.
struct Kept<'a>(&'a BTreeMap<String, SecretString>, &'a BTreeMap<String, SecretString>);

impl Kept<'_> {
    /// Whether a secret is as it was whose place begins so.
    fn beginning(&self, place: &str) -> bool {
        let same = |(pointer, old): (&String, &SecretString)| {
            let new = self.1.get(pointer);
            new.is_some_and(|new| secret::digest(new) == secret::digest(old))
        };
        let from = self.0.range(place.to_owned()..);
        from.take_while(|(pointer, _)| pointer.starts_with(place)).any(same)
    }

    fn below(&self, place: &str) -> bool {
        self.beginning(&format!("{place}/"))
    }

    fn redirected(&self, place: &str, old: &Map<String, Value>, new: &Map<String, Value>) -> bool {
        let names = old.keys().chain(new.keys());
        names.filter(|name| old.get(*name) != new.get(*name)).any(|name| {
            let below = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
            // What `llm_base_url` is the address of begins with `llm_`.
            let prefix = address(name).map(|prefix| format!("{place}/{prefix}"));
            prefix.is_some_and(|prefix| self.beginning(&prefix))
                || match (old.get(name), new.get(name)) {
                    (Some(Value::Object(old)), Some(Value::Object(new))) => {
                        self.redirected(&below, old, new)
                    }
                    // A list that changed may hold anything in another order.
                    (Some(Value::Array(_)), Some(_)) => self.below(&below),
                    _ => false,
                }
        })
    }
}

/// What stands before the word for an address: `llm_` of `llm_base_url`, nothing of
/// `baseUrl`.
fn address(name: &str) -> Option<&str> {
    let lower = name.to_ascii_lowercase();
    let rest = ADDRESSES.iter().find_map(|end| lower.strip_suffix(end))?.len();
    let rest = lower[..rest].trim_end_matches(['_', '-']);
    let rest =
        ["base", "api"].iter().fold(rest, |rest, word| rest.strip_suffix(word).unwrap_or(rest));
    Some(&name[..rest.len()])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn split(document: &Value) -> Settings {
        Settings::split(document.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_secret_that_is_kept_stays_with_its_address() {
        let before = json!({
            "llm_model": "a", "llm_base_url": "https://a.example", "llm_api_key": "one",
            "search_api_key": "two", "list": [{"url": "u", "token": "t"}],
            "llm_profiles": {"profiles": {"p": {"baseUrl": "https://a.example", "api_key": "three"}}},
            "mcp_config": {"servers": {"s": {"command": "tool", "env": {"KEY": "four"}}}},
        });
        let redirected = |pointer: &str, value: Value| {
            let mut after = before.clone();
            *after.pointer_mut(pointer).unwrap() = value;
            redirects(&split(&before), &split(&after))
        };
        for (pointer, value) in [
            ("/llm_base_url", json!("https://b.example")),
            ("/llm_base_url", Value::Null),
            ("/llm_profiles/profiles/p/baseUrl", json!("https://b.example")),
            ("/mcp_config/servers/s/command", json!("other")),
            ("/list/0/url", json!("v")),
        ] {
            assert!(redirected(pointer, value), "{pointer}");
        }
        for (pointer, value) in [
            ("/llm_model", json!("b")),
            ("/llm_api_key", json!("other")),
            ("/llm_profiles/profiles/p", json!({"baseUrl": "x", "api_key": "new"})),
            ("/mcp_config", Value::Null),
        ] {
            assert!(!redirected(pointer, value), "{pointer}");
        }
        // Another key than the one that is sent there may stay.
        let after = json!({
            "llm_base_url": "https://b.example", "llm_api_key": "new", "search_api_key": "two",
        });
        assert!(!redirects(&split(&before), &split(&after)));
        let added = json!({"llm_base_url": "https://b.example", "llm_api_key": "one"});
        assert!(redirects(&split(&json!({"llm_api_key": "one"})), &split(&added)));
    }

    #[test]
    fn the_words_for_an_address_are_known_in_every_spelling() {
        for (name, prefix) in [
            ("llm_base_url", Some("llm_")),
            ("base_url", Some("")),
            ("baseUrl", Some("")),
            ("api_base", Some("")),
            ("url", Some("")),
            ("aws_endpoint", Some("aws")),
            ("llm_model", None),
        ] {
            assert_eq!(address(name), prefix, "{name}");
        }
    }
}
