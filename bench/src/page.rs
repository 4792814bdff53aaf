//! A report as a page: under what circumstances, and the tables. For the terminal, and as Markdown for a file.

use std::fmt::Write as _;

/// What every report shows, whatever was measured.
pub(crate) struct Page {
    /// The bench and its date.
    pub(crate) title: String,
    /// A line each.
    pub(crate) circumstances: Vec<String>,
    /// Columns for a fixed width, with a line's end.
    pub(crate) tables: String,
}

impl Page {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.circumstances {
            let _ = writeln!(text, "{line}");
        }
        let _ = write!(text, "\n{}", self.tables);
        text
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", self.title);
        for line in &self.circumstances {
            let _ = writeln!(text, "- {line}");
        }
        let _ = write!(text, "\n```\n{}```\n", self.tables);
        text
    }
}
