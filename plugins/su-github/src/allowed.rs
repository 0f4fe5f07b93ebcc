//! Who may come in.

/// The longest log-in name of GitHub, in bytes.
const MAX_LOGIN_BYTES: usize = 39;

/// The one account that may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed<'a> {
    /// By its numeric id, which it keeps for good.
    Id(u64),
    /// By its log-in name, which means the same in any case.
    Login(&'a str),
}

impl<'a> Allowed<'a> {
    /// Reads the setting: digits are an id, anything else is a log-in name.
    pub(crate) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse() {
                Ok(id) if id != 0 && !text.starts_with('0') => Ok(Self::Id(id)),
                _ => Err("is a number that no account has"),
            };
        }
        let of_a_login = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.len() > MAX_LOGIN_BYTES || !text.bytes().all(of_a_login) {
            return Err(
                "is neither a numeric id nor a log-in name, which has letters, digits, hyphens and \
                 underscores and neither `@` nor spaces",
            );
        }
        Ok(Self::Login(text))
    }

    /// Whether this account may come in.
    pub(crate) fn admits(self, id: u64, login: &str) -> bool {
        match self {
            Self::Id(allowed) => allowed == id,
            Self::Login(allowed) => allowed.eq_ignore_ascii_case(login),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_an_id_and_anything_else_a_name() {
        assert_eq!(Allowed::parse("12345678"), Ok(Allowed::Id(12_345_678)));
        assert_eq!(Allowed::parse("octocat"), Ok(Allowed::Login("octocat")));
        assert_eq!(Allowed::parse("1-up"), Ok(Allowed::Login("1-up")));
        assert_eq!(Allowed::parse("mona_acme"), Ok(Allowed::Login("mona_acme")));
    }

    #[test]
    fn what_names_no_account_is_refused() {
        for odd in [
            "",
            " ",
            "octocat ",
            "@octocat",
            "octo cat",
            "octocat,hubot",
            "*",
            "0",
            "007",
            "-1",
            "1.0",
            "18446744073709551616",
            "осtocat",
            "octocat\n",
            &"o".repeat(40),
        ] {
            let refused = Allowed::parse(odd).is_err();
            // A hyphen may stand anywhere: old accounts begin and end with one.
            assert_eq!(refused, odd != "-1", "{odd:?}");
        }
    }

    #[test]
    fn an_id_admits_whatever_the_name_is_and_no_other_id() {
        let allowed = Allowed::Id(583_231);
        assert!(allowed.admits(583_231, "renamed"));
        assert!(!allowed.admits(583_232, "octocat"));
    }

    #[test]
    fn a_name_admits_in_any_case_and_nothing_that_resembles_it() {
        let allowed = Allowed::Login("octocat");
        assert!(allowed.admits(1, "OctoCat"));
        for other in ["octocat2", "octoca", "", "octоcat"] {
            assert!(!allowed.admits(1, other), "{other}");
        }
    }
}
