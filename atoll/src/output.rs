//! What people see: tables, colours on a terminal only, errors that name the next step; one JSON object where `--json` asks.

use std::{
    fmt::Write as _,
    future::Future,
    io::{IsTerminal, Write as _},
};

use crate::exit::Exit;

/// Runs a verb on a small runtime.
pub(crate) fn block_on(verb: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    block_on_threads(2, verb)
}

/// Runs something on a runtime of that many threads, 1 at least.
pub(crate) fn block_on_threads(
    threads: usize,
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads.max(1)).enable_all().build()?.block_on(work)
}

/// Prints an error and its causes to stderr.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut text = format!("atoll: {error}\n");
    for cause in error.chain().skip(1) {
        let _ = writeln!(text, "  because: {cause}");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints a remark to stderr, beside what a verb has to say.
pub(crate) fn remark(text: &str) {
    // A closed stderr is nobody's fault.
    let _ = writeln!(std::io::stderr(), "atoll: {text}");
}

/// Prints one line to stdout. A closed pipe is the reader's way of saying "enough".
pub(crate) fn say(line: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{}", line.as_ref()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(serde_json::to_string(value)?);
    Ok(())
}

/// Colours, if stdout is a terminal that wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn for_stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    /// No colours.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(false)
    }

    /// A colour of one's own for each of many.
    pub(crate) fn nth(self, n: usize, text: &str) -> String {
        const COLOURS: [&str; 6] = ["36", "35", "34", "32", "33", "96"];
        self.paint(COLOURS[n % COLOURS.len()], text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31;1", text)
    }

    pub(crate) fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A table with aligned columns. Cells may carry colours; their codes take no room.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|r| r.get(column)).map(|c| visible(c)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - visible(cell) + 2));
            }
            if number > 0 {
                f.write_char('\n')?;
            }
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}

/// Characters of a cell that take room on the screen.
fn visible(cell: &str) -> usize {
    let mut count = 0;
    let mut chars = cell.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            let _ = chars.by_ref().find(|c| *c == 'm');
        } else {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_colour_the_cells_have() {
        let mut table = Table::new(&["REGION", "STATE"]);
        table.row(vec!["us-east".into(), Paint(true).good("up")]);
        table.row(vec!["eu".into(), "down".into()]);
        assert_eq!(table.to_string(), "REGION   STATE\nus-east  \u{1b}[32mup\u{1b}[0m\neu       down");
    }
}
