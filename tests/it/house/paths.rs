//! Which paths a source names: what it imports, with groups taken apart, and
//! what it names in full on the spot.
//!
//! No parser, only as much of Rust's grammar as paths need. What it cannot tell
//! apart it counts as a path: a rule may then complain too much, never too little.

/// A path by its segments, absolute where it is one of this crate's own: the
/// first segment is then `crate`.
pub(super) type Names = Vec<String>;

/// Every path of at least two segments, and every import. `module` is where the
/// source stands, such as `["http", "error"]`.
pub(super) fn named(text: &str, module: &[String]) -> Vec<Names> {
    let code = bare(text);
    let tokens = tokens(&code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "use" => {
                at += 1;
                tree(&tokens, &mut at, &[], &mut found);
            }
            "extern" if tokens.get(at + 1) == Some(&"crate") => {
                found.extend(tokens.get(at + 2).map(|name| vec![(*name).to_owned()]));
                at += 3;
            }
            _ => {
                let path = path(&tokens, &mut at);
                if path.len() > 1 {
                    found.push(path);
                }
            }
        }
    }
    found.retain(|path| !path.is_empty());
    found.into_iter().map(|path| absolute(path, module)).collect()
}

/// The text without comments, and without what stands in literals.
fn bare(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if character == '"' {
            quoted(rest, '"')
        } else if character == '\'' {
            character_literal(rest)
        } else if character == 'r' {
            raw_string(rest)
        } else {
            0
        };
        if skipped > 0 {
            code.push(' ');
            rest = &rest[skipped..];
        } else {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    code
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of a literal between two such marks.
fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if character == mark && !escaped {
            return at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    text.len()
}

/// The length of a character literal; nothing where a lifetime begins.
fn character_literal(text: &str) -> usize {
    let mut after = text.chars().skip(1);
    match (after.next(), after.next()) {
        (Some('\\'), _) | (_, Some('\'')) => quoted(text, '\''),
        _ => 0,
    }
}

/// The length of a raw string; nothing where a mere word begins.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|&byte| byte == b'#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let inside = 2 + hashes;
    let end = format!("\"{}", "#".repeat(hashes));
    text[inside..].find(&end).map_or(text.len(), |at| inside + at + end.len())
}

/// Words, `::`, and every other character that is not blank.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|character| !is_word(character)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_segment(token: &str) -> bool {
    token == "*" || token.starts_with(is_word)
}

/// A path from here on, of no segment where something else stands here.
fn path(tokens: &[&str], at: &mut usize) -> Names {
    let mut path = Names::new();
    // A leading `::` only says that what follows is a crate.
    if tokens[*at] == "::" {
        *at += 1;
    }
    while let Some(token) = tokens.get(*at).filter(|token| is_segment(token)) {
        path.push((*token).to_owned());
        *at += 1;
        let goes_on = tokens.get(*at + 1).is_some_and(|token| is_segment(token));
        if *token == "*" || tokens.get(*at) != Some(&"::") || !goes_on {
            return path;
        }
        *at += 1;
    }
    if path.is_empty() {
        *at += 1;
    }
    path
}

/// One tree of an import, without what it is renamed to.
fn tree(tokens: &[&str], at: &mut usize, prefix: &[String], found: &mut Vec<Names>) {
    let mut here = prefix.to_vec();
    while let Some(&token) = tokens.get(*at) {
        match token {
            "{" => {
                *at += 1;
                while tokens.get(*at).is_some_and(|token| *token != "}") {
                    tree(tokens, at, &here, found);
                    if tokens.get(*at) == Some(&",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "as" => *at += 2,
            "::" => *at += 1,
            // The group's own name.
            "self" if !here.is_empty() => *at += 1,
            token if is_segment(token) => {
                here.push(token.to_owned());
                *at += 1;
            }
            _ => break,
        }
    }
    found.push(here);
}

/// A path from the root of the crate, where it is one of the crate's own.
fn absolute(path: Names, module: &[String]) -> Names {
    // The binary names the library as others do.
    let root = |base: &[String], rest: &[String]| {
        let mut whole = vec!["crate".to_owned()];
        whole.extend_from_slice(base);
        whole.extend_from_slice(rest);
        whole
    };
    match path.first().map(String::as_str) {
        Some("vestibule") => root(&[], &path[1..]),
        Some("self") => root(module, &path[1..]),
        Some("super") => {
            let ups = path.iter().take_while(|segment| *segment == "super").count();
            root(&module[..module.len().saturating_sub(ups)], &path[ups..])
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(|&name| name.to_owned()).collect();
        named(text, &module).iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        assert_eq!(
            shown("pub(crate) use crate::{self as c, a::{B, self, c::*}, d as e,};", &[]),
            ["crate", "crate::a::B", "crate::a", "crate::a::c::*", "crate::d"],
        );
    }

    #[test]
    fn a_rename_hides_nothing() {
        assert_eq!(shown("use wasmtime as w; use ::axum as web;", &[]), ["wasmtime", "axum"]);
        assert_eq!(shown("extern crate axum as web;", &[]), ["axum"]);
    }

    #[test]
    fn paths_on_the_spot_count_and_single_words_do_not() {
        assert_eq!(
            shown("let x: Vec<sqlx::Row> = crate::store::open::<u8>(axum)?;", &[]),
            ["sqlx::Row", "crate::store::open"],
        );
    }

    #[test]
    fn relative_paths_are_resolved() {
        assert_eq!(
            shown("use super::Problem; use super::super::engine; use self::x::Y;", &["http", "me"]),
            ["crate::http::Problem", "crate::engine", "crate::http::me::x::Y"],
        );
    }

    #[test]
    fn comments_and_literals_name_nothing() {
        let text = r##"
            // crate::a::b
            /* crate::c /* crate::d */ crate::e */
            let x = ("crate::f \" crate::g", r#"crate::h " crate::i"#, '"', '\'', br"crate::j\");
            fn f<'a>(x: &'a str) { crate::found::it(x) }
        "##;
        assert_eq!(shown(text, &[]), ["crate::found::it"]);
    }
}
