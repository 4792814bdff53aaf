//! Names as master files write them, relative or not, to absolute names as a World writes them.

use super::lex::Token;
use crate::labels::{WIRE_MAX, labels, write_label};

/// A name in full, without a last dot; the root is empty. `@` is the origin, and without a last dot a name lies beneath it.
pub(super) fn absolute(word: &str, origin: Option<&str>) -> Result<String, String> {
    let needs_origin = || {
        format!("`{word}` is relative, and no origin is known; write `$ORIGIN example.test.` above it, or a last dot")
    };
    if word == "@" {
        return origin.map(str::to_owned).ok_or_else(needs_origin);
    }
    let mut name = String::with_capacity(word.len() + 1 + origin.map_or(0, str::len));
    let mut length = 1;
    let is_absolute = labels(word, |label| {
        if !name.is_empty() {
            name.push('.');
        }
        write_label(label, &mut name);
        length += label.len() + 1;
        Ok(())
    });
    if !is_absolute.map_err(|why| format!("`{word}` is not a name: {why}"))? {
        let origin = origin.ok_or_else(needs_origin)?;
        if !origin.is_empty() {
            name.push('.');
            name.push_str(origin);
            // It was within bounds when it was read.
            length += wire_length(origin) - 1;
        }
    }
    if length > WIRE_MAX {
        return Err(format!("`{word}` is not a name: with its origin it has more than {WIRE_MAX} bytes"));
    }
    Ok(name)
}

/// Bytes on the wire of a name as a World writes it.
fn wire_length(name: &str) -> usize {
    let mut length = 1;
    // What was written by `write_label` reads back.
    let _ = labels(name, |label| {
        length += label.len() + 1;
        Ok(())
    });
    length
}

/// An absolute name as the data of a record: with a last dot where it would look relative otherwise.
pub(super) fn in_data(mut name: String) -> String {
    if !name.contains('.') {
        name.push('.');
    }
    name
}

/// An absolute name relative to its zone, its wildcard plain. None if it lies elsewhere.
pub(super) fn owner(name: &str, zone: &str) -> Option<String> {
    let inner = match name.strip_suffix(zone) {
        Some("") => return Some("@".to_owned()),
        Some(inner) if zone.is_empty() => inner,
        inner => inner?.strip_suffix('.')?,
    };
    Some(match inner.strip_prefix(r"\042") {
        Some("") => "*".to_owned(),
        Some(rest) if rest.starts_with('.') => format!("*{rest}"),
        _ => inner.to_owned(),
    })
}

/// The name that a word of data says.
pub(super) fn of_token(token: &Token<'_>, origin: Option<&str>) -> Result<String, String> {
    absolute(token.text, origin).map(in_data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_and_written_in_one_way() {
        let origin = Some("shop.test");
        for (word, origin, want) in [
            ("@", origin, Ok("shop.test")),
            ("WWW", origin, Ok("www.shop.test")),
            ("a.b", origin, Ok("a.b.shop.test")),
            ("www.example.", origin, Ok("www.example")),
            (".", origin, Ok("")),
            (r"a\.b", origin, Ok(r"a\046b.shop.test")),
            (r"\065bc", origin, Ok("abc.shop.test")),
            (r"\@", origin, Ok(r"\064.shop.test")),
            ("*", origin, Ok(r"\042.shop.test")),
            ("0/25", origin, Ok(r"0\04725.shop.test")),
            (r"a\.", origin, Ok(r"a\046.shop.test")),
            ("a", Some(""), Ok("a")),
            ("a.", None, Ok("a")),
            ("a", None, Err("`a` is relative")),
            ("@", None, Err("`@` is relative")),
            ("a..b", origin, Err("`a..b` is not a name: two dots")),
        ] {
            match (absolute(word, origin), want) {
                (Ok(name), Ok(want)) => assert_eq!(name, want, "{word}"),
                (Err(error), Err(want)) => assert!(error.starts_with(want), "{error}"),
                (found, want) => panic!("{word}: {found:?}, not {want:?}"),
            }
        }
        let long = "a".repeat(63);
        let origin = format!("{long}.{long}.{long}");
        assert!(absolute(&"b".repeat(61), Some(&origin)).is_ok());
        assert!(absolute(&"b".repeat(62), Some(&origin)).is_err());
    }

    #[test]
    fn owners_are_relative_and_wildcards_plain() {
        for (name, zone, want) in [
            ("shop.test", "shop.test", Some("@")),
            ("www.shop.test", "shop.test", Some("www")),
            (r"\042.shop.test", "shop.test", Some("*")),
            (r"\042.a.shop.test", "shop.test", Some("*.a")),
            (r"a.\042.shop.test", "shop.test", Some(r"a.\042")),
            (r"\042b.shop.test", "shop.test", Some(r"\042b")),
            ("workshop.test", "shop.test", None),
            ("other.test", "shop.test", None),
            ("a.b", "", Some("a.b")),
            ("", "", Some("@")),
        ] {
            assert_eq!(owner(name, zone).as_deref(), want, "{name}");
        }
    }
}
