//! A simple pattern over a line of output. Pure.
//!
//! A text is found anywhere in the line. `*` stands for any text, so `listening on *:*` finds `Listening on` only as it is
//! written, but whatever the address. Colours (ANSI sequences) in the line do not count, since frameworks paint their words.

/// Text to be found in a line, with `*` for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// `None` for a pattern that every line would match.
    pub fn new(text: &str) -> Option<Self> {
        text.chars().any(|c| c != '*' && !c.is_whitespace()).then(|| Self(text.to_owned()))
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the line holds the pattern's pieces in their order.
    pub fn finds(&self, line: &str) -> bool {
        let plain = without_ansi(line);
        let mut rest = plain.as_str();
        // The earliest place for each piece leaves most room for the next ones, so no way back is needed.
        self.0.split('*').all(|piece| match rest.find(piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    }
}

/// The line without ANSI control sequences (ECMA-48: `ESC [`, parameters, one final byte from `@` to `~`).
fn without_ansi(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        if chars.next() == Some('[') {
            let _ = chars.by_ref().find(|c| ('@'..='~').contains(c));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, line: &str, expected: bool) {
        assert_eq!(Pattern::new(pattern).unwrap().finds(line), expected, "{pattern:?} in {line:?}");
    }

    #[test]
    fn pieces_are_found_in_their_order() {
        check("ready", "app is ready.", true);
        check("ready", "Ready", false);
        check("listening on *:*", "listening on 127.0.0.1:3000", true);
        check("listening on *:*", "listening on a pipe", false);
        check("a*b*a", "ab", false);
        check("a*b*a", "xaxbxax", true);
        check("*done", "all done", true);
        check("started server", "\u{1b}[32mstarted\u{1b}[0m server\u{1b}[", true);
    }

    #[test]
    fn a_pattern_of_nothing_is_none() {
        for text in ["", " ", "*", "* *"] {
            assert_eq!(Pattern::new(text), None, "{text:?}");
        }
    }
}
