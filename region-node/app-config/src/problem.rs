//! What is wrong with an app file, and where; and what its reader should know though nothing is wrong.

use std::fmt;

/// A place in a text, line and column counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// The place of a byte offset; the end of the text if the offset lies beyond it.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, if the file tells.
    pub place: Option<Place>,
    /// Which key: `app.web.instances`, `apps[0].script`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: None, key: key.into(), what: what.into(), hint: None }
    }

    pub(crate) fn at(self, place: Option<Place>) -> Self {
        Self { place: place.or(self.place), ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with an app file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// What the file was called.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// How many are shown: nobody reads more before correcting these.
const SHOWN: usize = 50;

impl Problems {
    pub(crate) fn one(file: &str, problem: Problem) -> Self {
        Self { file: file.to_owned(), problems: vec![problem] }
    }

    pub(crate) fn of(file: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        Self { file: file.to_owned(), problems }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(SHOWN).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            if !self.file.is_empty() {
                write!(f, "{}:", self.file)?;
                if let Some(place) = problem.place {
                    write!(f, "{}:{}:", place.line, place.column)?;
                }
                write!(f, " ")?;
            }
            write!(f, "{problem}")?;
        }
        match self.problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more errors"),
        }
    }
}

impl std::error::Error for Problems {}

/// What the reader of a file should know though it can be run: a key that is left aside, or means something else here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which app; empty for the file as a whole.
    pub app: String,
    /// Which key.
    pub key: String,
    /// What becomes of it, and what to use instead; one line.
    pub what: String,
    /// Whether something that the file asks for does not happen. Else it happens in another way.
    pub is_warning: bool,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.app.is_empty() {
            write!(f, "{}: ", self.app)?;
        }
        write!(f, "`{}`: {}", self.key, self.what)
    }
}

/// "did you mean", if one of the known words is close enough.
///
/// Close is a common beginning and most letters (Jaro-Winkler), or one slip in a short word, two in a longer one.
pub(crate) fn did_you_mean<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<String> {
    let slips = if word.chars().count() < 6 { 1 } else { 2 };
    let near = known.into_iter().filter_map(|known| {
        let likeness = strsim::jaro_winkler(word, known);
        (likeness >= 0.8 || strsim::osa_distance(word, known) <= slips).then_some((likeness, known))
    });
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| format!("did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a = 1\nä = \"é\" # x\n";
        for (offset, line, column) in [(0, 1, 1), (4, 1, 5), (6, 2, 1), (11, 2, 5), (99, 3, 1)] {
            assert_eq!(Place::of(text, offset), Place { line, column }, "{offset}");
        }
    }
}
