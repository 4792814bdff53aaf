//! Replies taken apart, and compared as a form's [`Mode`] says.

use std::fmt;

use super::grammar::Mode;

/// One reply: a line, bytes, or more of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// `+OK`, `-ERR …`, `:1`, `,1.5`, `_`: with its mark.
    Line(Vec<u8>),
    /// Bytes, with the mark.
    Bulk(u8, Vec<u8>),
    /// An array, a set, a map (flat), with the mark.
    Many(u8, Vec<Self>),
}

impl Value {
    /// Takes a whole reply apart.
    pub(crate) fn parse(reply: &[u8]) -> Self {
        let mut rest = reply;
        let value = Self::take(&mut rest);
        assert!(rest.is_empty(), "more than one reply: {}", reply.escape_ascii());
        value
    }

    fn take(rest: &mut &[u8]) -> Self {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a reply has lines");
        let line = &rest[..end - 1];
        *rest = &rest[end + 1..];
        let length = || std::str::from_utf8(&line[1..]).ok()?.parse::<usize>().ok();
        match (line[0], length()) {
            (mark @ (b'$' | b'='), Some(length)) => {
                let bytes = rest[..length].to_vec();
                *rest = &rest[length + 2..];
                Self::Bulk(mark, bytes)
            }
            (mark @ (b'*' | b'~' | b'>' | b'%'), Some(length)) => {
                let count = if mark == b'%' { length * 2 } else { length };
                Self::Many(mark, (0..count).map(|_| Self::take(rest)).collect())
            }
            _ => Self::Line(line.to_vec()),
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Line(line) if line[0] == b'-')
    }

    /// Whether it is this line.
    pub(crate) fn is(&self, text: &str) -> bool {
        matches!(self, Self::Line(line) if line == text.as_bytes())
    }

    /// Whether it is one of these words, as bytes.
    pub(crate) fn is_one_of(&self, words: &[&str]) -> bool {
        matches!(self, Self::Bulk(_, text) if words.iter().any(|word| word.as_bytes() == text))
    }

    fn int(&self) -> Option<i64> {
        let Self::Line(line) = self else { return None };
        std::str::from_utf8(line.strip_prefix(b":")?).ok()?.parse().ok()
    }

    /// The bytes of a text or a number, whatever form they came in.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bulk(_, bytes) => bytes,
            Self::Line(line) => &line[1..],
            Self::Many(..) => b"",
        }
    }

    /// What an array holds; one value is an array of one, and no value one of none.
    pub(crate) fn items(&self) -> Vec<&Self> {
        match self {
            Self::Many(_, items) => items.iter().collect(),
            Self::Line(line) if matches!(&line[..], b"$-1" | b"*-1" | b"_") => Vec::new(),
            one => vec![one],
        }
    }

    /// The leaves as bytes, nested ones included, in order.
    pub(crate) fn leaves(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Many(_, items) => items.iter().flat_map(Self::leaves).collect(),
            one => one.items().into_iter().map(|leaf| leaf.bytes().to_vec()).collect(),
        }
    }

    /// What both sides must share where luck decides the rest: the marks and the lengths.
    pub(crate) fn shape(&self) -> String {
        match self {
            Self::Line(line) if line[0] == b'-' => String::from_utf8_lossy(line).into_owned(),
            Self::Line(line) if matches!(&line[..], b"$-1" | b"*-1" | b"_") => "nothing".to_owned(),
            Self::Line(line) => char::from(line[0]).to_string(),
            Self::Bulk(mark, _) => char::from(*mark).to_string(),
            Self::Many(mark, items) => {
                let inner: Vec<String> = items.iter().map(Self::shape).collect();
                format!("{}({})", char::from(*mark), inner.join(" "))
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "{}", line.escape_ascii()),
            Self::Bulk(_, bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Many(mark, items) => {
                write!(f, "{}[", char::from(*mark))?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Seconds, and milliseconds, that a time to live may differ by: the servers read their clocks one after the other.
const AGE_SECONDS: i64 = 10;
const AGE_MILLIS: i64 = AGE_SECONDS * 1000;

/// Whether two replies agree; commands that take a talk are looked at elsewhere.
pub(crate) fn agree(mode: Mode, ours: &Value, theirs: &Value) -> bool {
    if ours == theirs {
        return true;
    }
    match mode {
        Mode::Unordered => sorted(ours, 1) == sorted(theirs, 1),
        Mode::Pairs => sorted(ours, 2) == sorted(theirs, 2),
        Mode::Ageing => match (ours.int(), theirs.int()) {
            (Some(ours @ 1..), Some(theirs @ 1..)) => {
                let close = if ours > 30_000_000 { AGE_MILLIS } else { AGE_SECONDS };
                (ours - theirs).abs() <= close
            }
            _ => false,
        },
        Mode::Kind => ours.is_error() == theirs.is_error() && (ours.is_error() || ours.shape() == theirs.shape()),
        _ => false,
    }
}

/// The mark, and the rows in order; what is no array is itself.
fn sorted(value: &Value, row: usize) -> (u8, Vec<&[Value]>) {
    match value {
        Value::Many(mark, items) => {
            let mut rows: Vec<&[Value]> = items.chunks(row).collect();
            rows.sort_unstable();
            (*mark, rows)
        }
        one => (0, vec![std::slice::from_ref(one)]),
    }
}
