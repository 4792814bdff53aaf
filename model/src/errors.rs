//! What is wrong with a world, and where: every error names its key, says what is wrong and, if it can, what was meant.

use std::fmt;

/// A key's way through the file: `zone[0].steered[1].pool`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct KeyPath(Vec<Step>);

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Into a table.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

impl KeyPath {
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// The path one key further in.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The path at a list's entry.
    pub(crate) fn at(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// The path around this one; none at the root.
    pub(crate) fn parent(&self) -> Option<Self> {
        let (_, around) = self.0.split_last()?;
        Some(Self(around.to_vec()))
    }

    /// The list that it begins in, and the entry.
    pub(crate) fn list_entry(&self) -> Option<(&str, usize)> {
        match self.0.get(..2)? {
            [Step::Key(list), Step::Index(at)] => Some((list, *at)),
            _ => None,
        }
    }

    /// Whether it begins with that key.
    pub(crate) fn begins_with(&self, key: &str) -> bool {
        matches!(self.0.first(), Some(Step::Key(first)) if first == key)
    }

    /// The path after `by` entries were put before those of the list at `list`.
    pub(crate) fn shifted(mut self, list: &Self, by: usize) -> Self {
        if self.0.starts_with(&list.0)
            && let Some(Step::Index(index)) = self.0.get_mut(list.0.len())
        {
            *index += by;
        }
        self
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A place in a text, line and column counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the file, from 0: which one, [`WorldErrors::files`] says.
    pub file: usize,
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// What errors call it.
    pub name: String,
    /// Where it was included, if it was. A file that is included twice is there twice.
    pub included_at: Option<Place>,
}

impl SourceFile {
    /// A file that nothing includes.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), included_at: None }
    }

    /// The same, if so many files come before the first of those that it belongs to.
    pub(crate) fn shifted(mut self, files: usize) -> Self {
        if let Some(place) = &mut self.included_at {
            place.file += files;
        }
        self
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldError {
    /// Where, if the world came from a text.
    pub place: Option<Place>,
    /// Which key; empty for the file as a whole.
    pub path: KeyPath,
    /// What is wrong.
    pub what: String,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
}

impl WorldError {
    pub(crate) fn new(path: KeyPath, what: impl Into<String>) -> Self {
        Self { place: None, path, what: what.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, if so many files come before the first of those that it is about.
    pub(crate) fn shifted(mut self, files: usize) -> Self {
        if let Some(place) = &mut self.place {
            place.file += files;
        }
        self
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for WorldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path != KeyPath::root() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a world, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldErrors {
    /// What the whole was called: a file's name, or a directory's; empty if there is none.
    pub file: String,
    /// Its files.
    pub files: Vec<SourceFile>,
    /// At least one.
    pub errors: Vec<WorldError>,
}

/// How many errors are shown: nobody reads more before correcting these.
const SHOWN: usize = 100;

impl fmt::Display for WorldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().take(SHOWN).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let source = error.place.and_then(|place| self.files.get(place.file));
            let file = source.map_or(&self.file, |source| &source.name);
            if !file.is_empty() {
                write!(f, "{file}:")?;
                if let Some(place) = error.place {
                    write!(f, "{}:{}:", place.line, place.column)?;
                }
                write!(f, " ")?;
            }
            write!(f, "{error}")?;
            self.write_inclusions(source, f)?;
        }
        match self.errors.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more errors"),
        }
    }
}

impl std::error::Error for WorldErrors {}

impl WorldErrors {
    /// The way into an included file, innermost first.
    fn write_inclusions<'e>(&'e self, mut source: Option<&'e SourceFile>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        while let Some(place) = source.and_then(|source| source.included_at) {
            source = self.files.get(place.file);
            let name = source.map_or("", |source| source.name.as_str());
            write!(f, ", included at {name}:{}", place.line)?;
        }
        Ok(())
    }
}

/// "did you mean", if one of the known words is close enough.
///
/// Close is a common beginning and most letters (Jaro-Winkler), or one slip in a short word (`wbe`), two in a longer one.
pub(crate) fn did_you_mean<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<String> {
    let slips = if word.chars().count() < 6 { 1 } else { 2 };
    let near = known.into_iter().filter_map(|known| {
        let likeness = strsim::jaro_winkler(word, known);
        (likeness >= 0.8 || strsim::osa_distance(word, known) <= slips).then_some((likeness, known))
    });
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| format!("did you mean `{known}`?"))
}
