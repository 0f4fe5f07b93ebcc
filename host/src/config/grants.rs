//! What the operator lets a strategy reach.

use serde::Serialize;

use super::{
    source::{Mistakes, Section, Source},
    values::is_origin,
};

/// `[auth.grants]`: what the strategy may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// Origins that `http-client` may reach.
    pub http: Vec<String>,
    /// Origins that browsers may be sent to, beyond those of `http`.
    pub browser: Vec<String>,
    /// Issuers whose tokens `jose` may verify.
    pub jose: Vec<String>,
    /// Names that `token-store` may read and write.
    pub token_store: Vec<String>,
}

impl Grants {
    pub(super) fn read(mut section: Section<'_>, source: &Source, mistakes: &mut Mistakes) -> Self {
        let mut take = |key| section.take(key, mistakes).unwrap_or_default();
        let grants = Self {
            http: take("http"),
            browser: take("browser"),
            jose: take("jose"),
            token_store: take("token_store"),
        };
        section.finish(mistakes);
        for key in ["http", "browser"] {
            let names_origin = |text: &&String| text.parse().is_ok_and(|url| is_origin(&url));
            for text in grants.under(key).iter().filter(|text| !names_origin(text)) {
                let what = format!("{text:?} is not an origin such as \"https://idp.example.com\"");
                mistakes.push(source.mistake(&["auth", "grants", key], &what));
            }
        }
        grants
    }

    /// The values under a key of the section.
    #[must_use]
    pub fn under(&self, key: &str) -> &[String] {
        match key {
            "http" => &self.http,
            "browser" => &self.browser,
            "jose" => &self.jose,
            "token_store" => &self.token_store,
            _ => &[],
        }
    }
}
