//! Text that strangers wrote, made safe to show.

use std::fmt::Write as _;

/// Whether a character can forge a line, drive a terminal or reorder what a
/// reader sees (Unicode TR 36 section 3.2).
pub(crate) fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes treacherous characters as escapes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_treacherous(character) {
            let _ = write!(escaped, "{}", character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Cuts text to at most so many bytes, between two characters.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_line_and_terminal_commands_come_out_as_text() {
        assert_eq!(
            escape("a\nb\u{1b}[31m\u{2028}\u{202e}é"),
            "a\\u{a}b\\u{1b}[31m\\u{2028}\\u{202e}é"
        );
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("éé".to_owned(), 3), "é");
        assert_eq!(cut("abc".to_owned(), 3), "abc");
    }
}
