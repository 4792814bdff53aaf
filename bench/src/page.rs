//! A report as a page: under what circumstances, and the tables. For the terminal, and as Markdown for a file.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context;
use serde::Serialize;

/// What every report shows, whatever was measured.
pub(crate) struct Page {
    /// The bench and its date.
    pub(crate) title: String,
    /// A line each.
    pub(crate) circumstances: Vec<String>,
    /// Columns for a fixed width, with a line's end.
    pub(crate) tables: String,
}

/// Writes a report to its file if there is one, and to stdout: as a page, or for programs.
pub(crate) fn show(report: &impl Serialize, page: &Page, file: Option<&Path>, json: bool) -> anyhow::Result<()> {
    if let Some(path) = file {
        fs::write(path, page.markdown()).with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    let text = if json { serde_json::to_string_pretty(report)? + "\n" } else { page.text() };
    print!("{text}");
    Ok(())
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
