//! The longest common subsequence of two strings, and the runs it is made of: the same one of several as Redis finds.

/// Most that the table of lengths may take, in bytes: it is filled while other clients of this thread wait.
const TABLE_BYTES: usize = 64 << 20;

/// A run that both strings have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Where it starts in the one.
    pub(super) one: usize,
    /// Where it starts in the other.
    pub(super) other: usize,
    pub(super) len: usize,
}

/// What two strings have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Common {
    /// The last one first, as Redis lists them.
    matches: Vec<Match>,
}

impl Common {
    /// Compares two strings; `None` if they are too long for that.
    pub(super) fn of(one: &[u8], other: &[u8]) -> Option<Self> {
        let width = other.len() + 1;
        let cells = width.checked_mul(one.len() + 1).filter(|cells| *cells <= TABLE_BYTES / size_of::<u32>())?;
        // lengths[i * width + j]: what the first i bytes of the one and the first j of the other have in common.
        let mut lengths = vec![0u32; cells];
        for (i, byte) in one.iter().enumerate() {
            let (above, row) = lengths[i * width..(i + 2) * width].split_at_mut(width);
            for (j, found) in other.iter().enumerate() {
                row[j + 1] = if byte == found { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (one.len(), other.len());
        while i > 0 && j > 0 {
            if one[i - 1] == other[j - 1] {
                (i, j) = (i - 1, j - 1);
                match matches.last_mut() {
                    Some(run) if run.one == i + 1 && run.other == j + 1 => {
                        *run = Match { one: i, other: j, len: run.len + 1 };
                    }
                    _ => matches.push(Match { one: i, other: j, len: 1 }),
                }
            } else if lengths[(i - 1) * width + j] > lengths[i * width + j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        Some(Self { matches })
    }

    /// The runs, the last one first.
    pub(super) fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// How many bytes.
    pub(super) fn len(&self) -> usize {
        self.matches.iter().map(|found| found.len).sum()
    }

    /// The bytes themselves.
    pub(super) fn text(&self, one: &[u8]) -> Vec<u8> {
        self.matches.iter().rev().flat_map(|found| &one[found.one..found.one + found.len]).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_is_found_from_the_end() {
        let check = |one: &str, other: &str, text: &str, runs: &[(usize, usize, usize)]| {
            let common = Common::of(one.as_bytes(), other.as_bytes()).unwrap();
            assert_eq!(common.text(one.as_bytes()), text.as_bytes(), "{one} {other}");
            let found: Vec<_> = common.matches().iter().map(|found| (found.one, found.other, found.len)).collect();
            assert_eq!((found.as_slice(), common.len()), (runs, text.len()), "{one} {other}");
        };
        check("ohmytext", "mynewtext", "mytext", &[(4, 5, 4), (2, 0, 2)]);
        check("", "", "", &[]);
        check("abc", "xyz", "", &[]);
        check("same", "same", "same", &[(0, 0, 4)]);
        check("abcd", "acbd", "acd", &[(3, 3, 1), (2, 1, 1), (0, 0, 1)]); // as Redis chooses among equals
    }

    #[test]
    fn strings_that_would_take_too_long_are_refused() {
        let long = vec![b'a'; 1 << 20];
        assert_eq!(Common::of(&long, &long), None);
        assert_eq!(Common::of(&long, b"aa").map(|common| common.len()), Some(2));
    }
}
