//! `.env` files: `NAME=value` lines. Text in, variables out.
//!
//! What is read is what dotenv's readers agree on: `#` comments, `export` before a name, single quotes (nothing is special), double
//! quotes (`\n`, `\r`, `\t`, `\\`, `\"`; they may run over lines), and an unquoted value up to ` #`. There is no expansion: `$HOME`
//! stays as it is, since what it expands to would differ from region to region and from reader to reader.

use std::collections::BTreeMap;

use crate::problem::{Place, Problem};

/// The longest file that is read, bytes.
pub(crate) const MOST: usize = 1 << 20;

/// The variables of a text; of one that is said twice the last.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let mut variables = BTreeMap::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let offset = text.len() - rest.len();
        let wrong = |what: &str| Problem::new("", what).at(Some(Place::of(text, offset)));
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let said = line.trim_start();
        if said.trim_end().is_empty() || said.starts_with('#') {
            rest = after;
            continue;
        }
        let said = said.strip_prefix("export ").map_or(said, str::trim_start);
        let (name, value) = said.split_once('=').ok_or_else(|| wrong("a line is `NAME=value`"))?;
        let name = name.trim_end();
        if !is_name(name) {
            return Err(wrong(&format!(
                "`{name}` is not the name of a variable: letters, digits and `_`, no digit first"
            )));
        }
        let value_at = line.find('=').map_or(line.len(), |at| at + 1);
        let value_text = rest.get(value_at..).unwrap_or_default().trim_start_matches([' ', '\t']);
        match value_text.chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => {
                let (value, end) =
                    quoted(value_text, quote).ok_or_else(|| wrong(&format!("a {quote} is not closed")))?;
                let (tail, next) = end.split_once('\n').unwrap_or((end, ""));
                let tail = tail.trim();
                if !tail.is_empty() && !tail.starts_with('#') {
                    return Err(wrong(&format!("there is something behind the closing {quote}: `{tail}`")));
                }
                variables.insert(name.to_owned(), value);
                rest = next;
            }
            _ => {
                variables.insert(name.to_owned(), unquoted(value).to_owned());
                rest = after;
            }
        }
    }
    Ok(variables)
}

/// Whether programs can read a variable of this name.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Without the comment, which begins with a `#` behind a space.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    let comment = value.match_indices('#').find(|(at, _)| *at == 0 || value[..*at].ends_with([' ', '\t']));
    comment.map_or(value, |(at, _)| &value[..at]).trim_end()
}

/// The text between quotes, and what follows them.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((value, &text[at + c.len_utf8()..]));
        }
        if c == '\\' && quote == '"' {
            match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => value.extend(['\\', other]),
            }
        } else {
            value.push(c);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, wanted: &Expect) {
        let found = match parse(text) {
            Ok(variables) => variables.iter().map(|(name, value)| format!("{name}={value:?}\n")).collect(),
            Err(problem) => format!("line {}: {problem}\n", problem.place.map_or(0, |place| place.line)),
        };
        wanted.assert_eq(&found);
    }

    #[test]
    fn lines_quotes_comments_and_export() {
        check(
            "# a comment\n\nexport PLAIN=one two # a comment\nHASH=a#b\nEMPTY=\nSPACED = x \nSINGLE='a $HOME \\n # b' # c\n\
             DOUBLE=\"a\\nb \\\"c\\\" \\d\"\nMANY=\"-----\nline\n-----\"\nBACK=`it's`\nDOLLAR=$HOME\r\nPLAIN=last",
            &expect![[r##"
                BACK="it's"
                DOLLAR="$HOME"
                DOUBLE="a\nb \"c\" \\d"
                EMPTY=""
                HASH="a#b"
                MANY="-----\nline\n-----"
                PLAIN="last"
                SINGLE="a $HOME \\n # b"
                SPACED="x"
            "##]],
        );
    }

    #[test]
    fn what_is_no_line_is_told_with_its_line() {
        check(
            "A=1\nB\n",
            &expect![[r#"
            line 2: a line is `NAME=value`
        "#]],
        );
        check(
            "A=1\n\n2B=1\n",
            &expect![[r#"
            line 3: `2B` is not the name of a variable: letters, digits and `_`, no digit first
        "#]],
        );
        check(
            "A=\"open\nB=1\n",
            &expect![[r#"
            line 1: a " is not closed
        "#]],
        );
        check(
            "A='x' y\n",
            &expect![[r#"
            line 1: there is something behind the closing ': `y`
        "#]],
        );
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,80}|[A-Z=\"'`#\\\\\n \t]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_in_single_quotes_is_taken_as_it_is(value in "[^'\r]{0,40}") {
            let read = parse(&format!("A='{value}'\nB=1")).map_err(|problem| problem.to_string());
            prop_assert_eq!(read, Ok(BTreeMap::from([("A".into(), value), ("B".into(), "1".into())])));
        }
    }
}
