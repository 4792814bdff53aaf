//! A single figure, the bar that it is held against, and figures in columns.

use std::fmt::Write as _;

use serde::Serialize;

/// One thing that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    what: String,
    got: f64,
    unit: &'static str,
    /// At most, or at least, so much.
    bar: Option<Bar>,
    met: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, got: f64, unit: &'static str, bar: Option<Bar>) -> Self {
        let met = bar.map(|bar| match bar {
            Bar::AtMost(most) => got <= most,
            Bar::AtLeast(least) => got >= least,
        });
        Self { what: what.into(), got, unit, bar, met }
    }

    pub(crate) fn line(&self) -> String {
        let bar = match self.bar {
            None => String::new(),
            Some(Bar::AtMost(most)) => format!("≤ {most}"),
            Some(Bar::AtLeast(least)) => format!("≥ {least}"),
        };
        let met = self.met.map_or("", mark);
        format!("{:<66}  {:>12}  {:<8}  {bar:<12}  {met}", self.what, number(self.got), self.unit).trim_end().to_owned()
    }
}

/// How a bar is called that was reached, or was not.
pub(crate) fn mark(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// Three digits that count, or all of a large number.
fn number(figure: f64) -> String {
    match figure {
        large if large >= 1000.0 => format!("{large:.0}"),
        middle if middle >= 10.0 => format!("{middle:.1}"),
        small => format!("{small:.2}"),
    }
}

/// Columns as wide as their widest cell, two spaces apart, nothing at the ends of lines.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_kept_from_the_right_side() {
        let met = |got, bar| Figure::new("x", got, "", Some(bar)).met;
        assert_eq!(met(99.0, Bar::AtMost(100.0)), Some(true));
        assert_eq!(met(101.0, Bar::AtMost(100.0)), Some(false));
        assert_eq!(met(99.0, Bar::AtLeast(100.0)), Some(false));
        assert_eq!(Figure::new("x", 1.0, "", None).met, None);
        assert!(Figure::new("x", 101.0, "B", Some(Bar::AtMost(100.0))).line().ends_with("≤ 100         MISSED"));
    }
}
