//! JSON as PM2 takes it, as far as it is still JSON: with comments and with commas behind the last entry. Text in, value out. Places stay,
//! since what is left out is replaced by spaces.

use serde_json::Value as Raw;

use crate::problem::{Place, Problem};

pub(super) fn parse(text: &str) -> Result<Raw, Problem> {
    let plain = plain(text);
    serde_json::from_str(&plain).map_err(|error| {
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default().to_owned();
        let place = Place { line: error.line().max(1), column: error.column().max(1) };
        Problem::new("", format!("not JSON: {what}")).at(Some(place))
    })
}

/// The text with spaces for comments, and for commas that nothing follows.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The place of a comma that is not yet known to be needed.
    let mut comma = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' => string(rest),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => c.len_utf8(),
        };
        let (piece, after) = rest.split_at(taken);
        rest = after;
        if piece.starts_with("//") || piece.starts_with("/*") {
            out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            continue;
        }
        if matches!(c, ']' | '}')
            && let Some(at) = comma.take()
        {
            out.replace_range(at..=at, " ");
        }
        if c == ',' {
            comma = Some(out.len());
        } else if !c.is_whitespace() {
            comma = None;
        }
        out.push_str(piece);
    }
    out
}

/// How long a string is, quotes included.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn comments_and_last_commas_are_passed_over() {
        let text = "// a\n{ /* b */ \"apps\": [{ \"name\": \"a//b, ]\", \"x\": \"\\\"/*\", }, ], // c\n}";
        assert_eq!(parse(text), Ok(json!({ "apps": [{ "name": "a//b, ]", "x": "\"/*" }] })));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_line() {
        let problem =
            parse("{\n  /* a\n b */ \"x\": trux }").map_err(|problem| (problem.place.map(|p| p.line), problem.what));
        assert_eq!(problem, Err((Some(3), "not JSON: expected ident".into())));
    }

    proptest! {
        #[test]
        fn json_without_comments_is_read_as_it_is(text in "[\\[\\]{}\",:a1/* \n\\\\]{0,30}") {
            if let Ok(value) = serde_json::from_str::<Raw>(&text) {
                prop_assert_eq!(parse(&text).ok(), Some(value));
            } else {
                let _ = parse(&text);
            }
        }
    }
}
