//! Who may see what of an app: the rule that decides a request, and nothing else.
//!
//! Every gateway and `vestibule check --explain` ask here. It is a pure function of the
//! configuration and of who is calling, so that both say the same.

use std::fmt;

use crate::{
    config::{App, PublicPath, canonical},
    identity::{OrgId, UserId},
};

/// What a request for an app is about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, as the browser sent it.
    pub path: &'a str,
    /// It is a browser's question before a request from another origin, which carries
    /// no credential (Fetch standard, "CORS-preflight request").
    pub preflight: bool,
}

/// Somebody who is logged in.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The user's id.
    pub user: &'a UserId,
    /// The organisation that the user acts for.
    pub org: &'a OrgId,
    /// The user's roles.
    pub roles: &'a [String],
}

/// The rule that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule<'a> {
    /// The app is for everybody who is logged in.
    LoggedIn,
    /// `users` names the user.
    User(&'a str),
    /// `roles` names a role of the user's.
    Role(&'a str),
    /// `organisations` names the one that the user acts for.
    Organisation(&'a str),
    /// `public` names the path.
    Public(&'a PublicPath),
    /// `preflight` lets the question pass.
    Preflight,
    /// Nobody is logged in, and nothing is public.
    NobodyIsLoggedIn,
    /// Somebody is logged in whom no list names.
    NotListed,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It passes, and the app learns who is calling.
    Known,
    /// It passes, and the app learns nothing.
    Unknown,
    /// Somebody has to log in first.
    LogIn,
    /// It does not pass.
    Forbidden,
}

impl Rule<'_> {
    /// What becomes of the request.
    #[must_use]
    pub const fn ruling(self) -> Ruling {
        match self {
            Self::LoggedIn | Self::User(_) | Self::Role(_) | Self::Organisation(_) => Ruling::Known,
            Self::Public(_) | Self::Preflight => Ruling::Unknown,
            Self::NobodyIsLoggedIn => Ruling::LogIn,
            Self::NotListed => Ruling::Forbidden,
        }
    }
}

/// Finds the rule that decides.
///
/// Who is calling comes first: what is public shows them as themselves. Where no list
/// names them, a public path shows them as nobody, because the app is not theirs.
#[must_use]
pub fn decide<'a>(app: &'a App, asked: &Asked<'_>, visitor: Option<&Visitor<'_>>) -> Rule<'a> {
    if let Some(rule) = visitor.and_then(|visitor| named(app, visitor)) {
        return rule;
    }
    // A path that can be read in two ways is in no list.
    if let Ok(path) = canonical(asked.path)
        && let Some(rule) = app.public.iter().find(|rule| rule.covers(asked.method, path))
    {
        return Rule::Public(rule);
    }
    match visitor {
        Some(_) => Rule::NotListed,
        None if app.preflight && asked.preflight && asked.method == "OPTIONS" => Rule::Preflight,
        None => Rule::NobodyIsLoggedIn,
    }
}

fn named<'a>(app: &'a App, visitor: &Visitor<'_>) -> Option<Rule<'a>> {
    if app.is_for_everybody() {
        return Some(Rule::LoggedIn);
    }
    let user = app.users.iter().find(|user| *user == visitor.user.as_str());
    let role = || app.roles.iter().find(|role| visitor.roles.contains(role));
    let org = || app.organisations.iter().find(|org| *org == visitor.org.as_str());
    user.map(|user| Rule::User(user))
        .or_else(|| role().map(|role| Rule::Role(role)))
        .or_else(|| org().map(|org| Rule::Organisation(org)))
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedIn => f.write_str("it names nobody: whoever is logged in may see it"),
            Self::User(user) => write!(f, "users names {user:?}"),
            Self::Role(role) => write!(f, "roles names {role:?}"),
            Self::Organisation(org) => write!(f, "organisations names {org:?}"),
            Self::Public(path) => write!(f, "public names \"{path}\""),
            Self::Preflight => f.write_str("preflight = true"),
            Self::NobodyIsLoggedIn => f.write_str("public does not name the path"),
            Self::NotListed => {
                f.write_str("neither users nor roles nor organisations names the user")
            }
        }
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known => "allowed, as the user",
            Self::Unknown => "allowed, as nobody",
            Self::LogIn => "a log-in is asked for",
            Self::Forbidden => "forbidden",
        })
    }
}
