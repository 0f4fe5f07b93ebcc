//! Text that strangers wrote, made such that the host accepts it in an identity.

/// The text without characters that can forge a line or reorder what a reader
/// sees, cut to at most so many bytes; `None` where nothing is left.
#[must_use]
pub fn printable(text: &str, bytes: usize) -> Option<String> {
    let mut text: String = text.chars().filter(|&character| !is_treacherous(character)).collect();
    text.truncate(text.floor_char_boundary(bytes));
    let trimmed = text.trim();
    (!trimmed.is_empty()).then(|| trimmed.into())
}

/// Whether the host refuses an identity with this character in it.
#[must_use]
pub fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_one_line_that_reads_as_it_stands() {
        assert_eq!(printable("Mona\r\nLisa\u{202e} ", 100).as_deref(), Some("MonaLisa"));
        assert_eq!(printable("ééé", 5).as_deref(), Some("éé"));
        assert_eq!(printable("\u{7}\n ", 100), None);
    }
}
