//! The text of a master file, cut into entries: one line each, or several where parentheses say so (RFC 1035, 5.1).
//!
//! Words keep their quotes and escapes: what they mean depends on where they stand.

/// A word of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    /// As it is written; of a quoted one, what stands between the quotes.
    pub(super) text: &'t str,
    /// Whether it stood in quotes.
    pub(super) is_quoted: bool,
    pub(super) spot: Spot,
}

/// A place in one text, cheap to note for every word.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spot {
    /// Line, from 1.
    pub(super) line: usize,
    /// Byte offset of the line's begin.
    pub(super) line_start: usize,
    /// Byte offset.
    pub(super) at: usize,
}

impl Spot {
    /// Column, from 1, in characters.
    pub(super) fn column(self, text: &str) -> usize {
        text.get(self.line_start..self.at).map_or(1, |before| before.chars().count() + 1)
    }
}

/// What keeps an entry from being read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LexError {
    pub(super) what: String,
    pub(super) hint: &'static str,
}

/// Reads entry after entry.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        // Some editors begin a text with a mark that says how it is encoded.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at, line: 1, line_start: at }
    }

    /// The next entry's words replace those in `tokens`; whether its owner was left blank. None at the end of the text. After
    /// an error, which is at the spot that comes with it, the next line is the next entry.
    pub(super) fn entry(&mut self, tokens: &mut Vec<Token<'t>>) -> Option<Result<bool, (Spot, LexError)>> {
        tokens.clear();
        let mut open: Vec<Spot> = Vec::new();
        let mut is_blank = self.is_at_blank();
        loop {
            let Some(byte) = self.peek() else {
                if let Some(spot) = open.first() {
                    let what = "this `(` is never closed".to_owned();
                    return Some(Err((*spot, LexError { what, hint: "add a `)`" })));
                }
                return if tokens.is_empty() { None } else { Some(Ok(is_blank)) };
            };
            let spot = self.spot();
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.new_line();
                    if open.is_empty() {
                        if !tokens.is_empty() {
                            return Some(Ok(is_blank));
                        }
                        is_blank = self.is_at_blank();
                    }
                }
                b';' => self.skip_line(),
                b'(' => {
                    self.at += 1;
                    open.push(spot);
                }
                b')' => {
                    self.at += 1;
                    if open.pop().is_none() {
                        self.skip_line();
                        let what = "this `)` closes nothing".to_owned();
                        return Some(Err((spot, LexError { what, hint: "drop it, or add a `(` before it" })));
                    }
                }
                _ => match self.word() {
                    Ok((text, is_quoted)) => tokens.push(Token { text, is_quoted, spot }),
                    Err(error) => {
                        self.skip_line();
                        return Some(Err((spot, error)));
                    }
                },
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spot(&self) -> Spot {
        Spot { line: self.line, line_start: self.line_start, at: self.at }
    }

    fn is_at_blank(&self) -> bool {
        matches!(self.peek(), Some(b' ' | b'\t'))
    }

    fn new_line(&mut self) {
        self.at += 1;
        self.line += 1;
        self.line_start = self.at;
    }

    /// To the end of the line, which is not passed.
    fn skip_line(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    /// A word; inside of quotes blanks, `;` and parentheses are nothing special. Quotes in the middle of a word belong to it, as in
    /// `alpn="h2,h3"`.
    fn word(&mut self) -> Result<(&'t str, bool), LexError> {
        let is_quoted = self.peek() == Some(b'"');
        if is_quoted {
            self.at += 1;
        }
        let start = self.at;
        let mut inside = is_quoted;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' if inside => break,
                b'"' if is_quoted => {
                    let text = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok((text, true));
                }
                b'"' => inside = !inside,
                b'\\' => {
                    self.at += 1;
                    if matches!(self.peek(), None | Some(b'\n')) {
                        let what = "a backslash is the last of its line".to_owned();
                        return Err(LexError { what, hint: "it is followed by a character, or by three digits" });
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' if !inside => break,
                _ => {}
            }
            self.at += 1;
        }
        if inside {
            let what = "a quote is not closed before the end of its line".to_owned();
            return Err(LexError { what, hint: "add a `\"`; a longer text is cut into several" });
        }
        Ok((self.text.get(start..self.at).unwrap_or_default(), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each entry's words, `_` before those of a blank owner, quoted ones in `'`; errors with line and column.
    fn entries(text: &str) -> Vec<String> {
        let (mut lexer, mut tokens, mut all) = (Lexer::new(text), Vec::new(), Vec::new());
        while let Some(entry) = lexer.entry(&mut tokens) {
            all.push(match entry {
                Ok(is_blank) => {
                    let show = |token: &Token<'_>| match token.is_quoted {
                        true => format!("'{}'", token.text),
                        false => token.text.to_owned(),
                    };
                    let words: Vec<String> =
                        is_blank.then(|| "_".to_owned()).into_iter().chain(tokens.iter().map(show)).collect();
                    words.join(" ")
                }
                Err((spot, error)) => format!("{}:{}: {}", spot.line, spot.column(text), error.what),
            });
        }
        all
    }

    #[test]
    fn entries_are_lines_or_more() {
        for (text, want) in [
            ("", &[][..]),
            ("\n \n\t; only a comment\n", &[]),
            ("a A 1\r\nb A 2", &["a A 1", "b A 2"]),
            ("  A 1 ; said\n", &["_ A 1"]),
            ("a SOA (1 ; one\n 2\n\n3) 4\n b", &["a SOA 1 2 3 4", "_ b"]),
            ("((a)b)", &["a b"]),
            (r#"a TXT "x ; (y" "z\"" ""  k="v w";c"#, &[r#"a TXT 'x ; (y' 'z\"' '' k="v w""#]),
            (r#""a""b"c"#, &["'a' 'b' c"]),
            (r"a\ b\;c \(", &[r"a\ b\;c \("]),
            ("\u{feff}a", &["a"]),
            ("a )\nb", &["1:3: this `)` closes nothing", "b"]),
            ("é (a\nb", &["1:3: this `(` is never closed"]),
            (
                "a \"b\nc\"",
                &[
                    "1:3: a quote is not closed before the end of its line",
                    "2:1: a quote is not closed before the end of its line",
                ],
            ),
            ("a\\\nb\\", &["1:1: a backslash is the last of its line", "2:1: a backslash is the last of its line"]),
        ] {
            assert_eq!(entries(text), want, "{text}");
        }
    }
}
