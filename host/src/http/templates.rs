//! Which route a path is for, as whoever counts wants to know it: by its template,
//! of which there are as many as there are routes, whatever paths come.

use std::sync::LazyLock;

use crate::metrics::MAX_ROUTES;

/// What stands for every path that is no route's.
const OTHER: &str = "other";

/// The routes' templates by number; the first is everything else.
pub(super) struct Templates {
    names: Vec<String>,
    numbers: matchit::Router<usize>,
}

/// The templates of everything that the router has.
pub(super) static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| {
    let document = super::routes().into_openapi();
    Templates::new(document.paths.paths.into_keys())
});

impl Templates {
    fn new(templates: impl IntoIterator<Item = String>) -> Self {
        let mut names = vec![OTHER.to_owned()];
        let mut numbers = matchit::Router::new();
        for template in templates.into_iter().take(MAX_ROUTES - 1) {
            // The router has taken each of them already.
            if numbers.insert(template.clone(), names.len()).is_ok() {
                names.push(template);
            }
        }
        Self { names, numbers }
    }

    /// The number of the template that a path fits.
    pub(super) fn number(&self, path: &str) -> usize {
        self.numbers.at(path).map_or(0, |found| *found.value)
    }

    /// The template of a number.
    pub(super) fn name(&self, number: usize) -> &str {
        self.names.get(number).map_or(OTHER, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_every_route() {
        let routes = crate::http::routes().into_openapi().paths.paths.len();
        assert!(routes < MAX_ROUTES, "{routes}");
        assert_eq!(TEMPLATES.names.len(), routes + 1);
    }

    #[test]
    fn a_path_has_the_template_of_its_route_whoever_it_names() {
        let named = |path| TEMPLATES.name(TEMPLATES.number(path));
        assert_eq!(named("/api/keys/abc"), "/api/keys/{id}");
        assert_eq!(named("/authz/envoy/any/path"), "/authz/envoy/{*path}");
        assert_eq!(named("/authz/nginx"), "/authz/nginx");
        assert_eq!(named("/wp-login.php"), "other");
    }
}
