//! What happened, line by line: a hash that two runs of a seed must share, and the lines themselves where somebody reads them.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

/// The record of one run.
#[derive(Default)]
pub(crate) struct Trace {
    hash: Xxh3,
    line: String,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A record that keeps its lines if somebody wants to read them.
    pub(crate) fn new(keep_lines: bool) -> Self {
        Self { lines: keep_lines.then(Vec::new), ..Self::default() }
    }

    /// Notes something.
    pub(crate) fn say(&mut self, at_ms: u64, what: fmt::Arguments<'_>) {
        use fmt::Write;
        self.line.clear();
        // Writing to a string does not fail.
        let _ = write!(self.line, "{at_ms:>6} ms  {what}");
        self.hash.update(self.line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(self.line.clone());
        }
    }

    /// The hash of everything so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// The lines, if they were kept.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
