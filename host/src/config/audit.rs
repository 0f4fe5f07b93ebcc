//! `[audit]`: where it is written down who did what, besides the database, and for how
//! long it is kept there.

use std::{path::PathBuf, time::Duration};

use super::{
    source::{Mistakes, Section},
    values::Span,
};

/// `[audit]`: where it is written down who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// JSON lines besides the database's table.
    pub lines: Option<Lines>,
    /// How long entries stay in the database.
    pub keep: Duration,
}

/// Where JSON lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Standard error, between the lines of the log.
    Stderr,
    /// A file, which may be moved away at any time.
    File(PathBuf),
}

impl Audit {
    pub(super) fn read(root: &mut Section<'_>, mistakes: &mut Mistakes) -> Self {
        let mut section = root.section("audit", mistakes);
        let lines = section.take::<PathBuf>("file", mistakes).map(|file| {
            if file.as_os_str() == "stderr" { Lines::Stderr } else { Lines::File(file) }
        });
        let keep = section.take("keep", mistakes);
        section.finish(mistakes);
        Self { lines, keep: keep.map_or(Duration::from_hours(90 * 24), |Span(span)| span) }
    }
}
