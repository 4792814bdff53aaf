//! Domain names between their two forms.
//!
//! ```text
//! wire   3 w w w   5 a . b / c  …     a label is any 1 to 63 bytes; upper and lower case are one (RFC 1035, 2.3.3)
//! World  www.a\046b\047c…             a-z, 0-9, `_` and inner `-` as they are, every other byte as `\` and three digits
//! ```
//!
//! A World has one way to write each name, so that equal names are equal texts, and a dot in a text always parts two labels.
//! An asterisk is plain only where it means a wildcard: alone, in front of an owner.

/// Longest label, bytes.
pub(crate) const LABEL_MAX: usize = 63;
/// Longest name on the wire, its lengths and the root counted (RFC 1035, 3.1).
pub(crate) const WIRE_MAX: usize = 255;

/// Appends a label as a World writes it.
pub(crate) fn write_label(label: &[u8], out: &mut String) {
    for (at, byte) in label.iter().map(u8::to_ascii_lowercase).enumerate() {
        if is_plain(byte) && !(byte == b'-' && (at == 0 || at + 1 == label.len())) {
            out.push(char::from(byte));
        } else {
            let digits = [byte / 100, byte / 10 % 10, byte % 10];
            out.push('\\');
            out.extend(digits.map(|digit| char::from(b'0' + digit)));
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
}

/// What an escape stands for, its backslash read already: `\x` is x, `\065` the byte of that number (RFC 1035, 5.1).
pub(crate) fn escaped(rest: &mut impl Iterator<Item = u8>) -> Result<u8, String> {
    let wrong = || "a backslash is followed by a character, or by three digits up to 255".to_owned();
    let first = rest.next().ok_or_else(wrong)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let digits = [Some(first), rest.next(), rest.next()];
    let number = digits.into_iter().try_fold(0_u32, |number, digit| {
        digit.filter(u8::is_ascii_digit).map(|digit| number * 10 + u32::from(digit - b'0'))
    });
    number.and_then(|number| u8::try_from(number).ok()).ok_or_else(wrong)
}

/// A name's labels, escapes resolved, each handed to `each`; whether it ends in a dot, and is absolute by that.
///
/// The root, `.`, has no labels.
pub(crate) fn labels(text: &str, mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<bool, String> {
    if text == "." {
        return Ok(true);
    }
    let mut label = [0; LABEL_MAX];
    let mut length = 0;
    let mut rest = text.bytes();
    loop {
        let next = rest.next();
        let byte = match next {
            None | Some(b'.') => {
                if length == 0 {
                    return Err("two dots stand side by side, or one at its head, or it is empty".into());
                }
                each(&label[..length])?;
                if next.is_none() || rest.len() == 0 {
                    return Ok(next.is_some());
                }
                length = 0;
                continue;
            }
            Some(b'\\') => escaped(&mut rest)?,
            Some(byte) => byte,
        };
        *label.get_mut(length).ok_or("a label has at most 63 bytes")? = byte;
        length += 1;
    }
}

/// Wire form of an absolute name in presentation form, lower case, uncompressed. A last dot is welcome and not needed.
pub fn name_wire(text: &str) -> Result<Vec<u8>, String> {
    let mut wire = Vec::with_capacity(text.len() + 2);
    labels(text, |label| {
        push_label(&mut wire, label);
        Ok(())
    })?;
    finish_wire(wire)
}

/// Appends a label of 1 to 63 bytes to a name's wire form.
pub(crate) fn push_label(wire: &mut Vec<u8>, label: &[u8]) {
    wire.push(label.len() as u8);
    wire.extend(label.iter().map(u8::to_ascii_lowercase));
}

/// Ends a name's wire form.
pub(crate) fn finish_wire(mut wire: Vec<u8>) -> Result<Vec<u8>, String> {
    wire.push(0);
    if wire.len() > WIRE_MAX { Err(format!("it has more than {WIRE_MAX} bytes")) } else { Ok(wire) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(label: &[u8]) -> String {
        let mut out = String::new();
        write_label(label, &mut out);
        out
    }

    #[test]
    fn labels_have_one_way_to_be_written() {
        for (label, want) in [
            (&b"www"[..], "www"),
            (b"WWW", "www"),
            (b"_tcp", "_tcp"),
            (b"a-b", "a-b"),
            (b"-a-", r"\045a\045"),
            (b"a.b", r"a\046b"),
            (b"*", r"\042"),
            (b"0/25", r"0\04725"),
            (b"\0\xff", r"\000\255"),
        ] {
            assert_eq!(written(label), want);
        }
    }

    #[test]
    fn names_become_wire_form() {
        for (text, want) in [
            (".", Ok(&b"\0"[..])),
            ("a.test", Ok(b"\x01a\x04test\0")),
            ("A.Test.", Ok(b"\x01a\x04test\0")),
            (r"a\.b\046c.test", Ok(b"\x05a.b.c\x04test\0")),
            (r"\065\*", Ok(b"\x02a*\0")),
            ("", Err("two dots stand side by side, or one at its head, or it is empty")),
            ("a..b", Err("two dots stand side by side, or one at its head, or it is empty")),
            (".a", Err("two dots stand side by side, or one at its head, or it is empty")),
            (r"a\", Err("a backslash is followed by a character, or by three digits up to 255")),
            (r"a\256", Err("a backslash is followed by a character, or by three digits up to 255")),
        ] {
            assert_eq!(name_wire(text), want.map(<[u8]>::to_vec).map_err(str::to_owned), "{text}");
        }
        assert_eq!(name_wire(&"a".repeat(64)), Err("a label has at most 63 bytes".into()));
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert_eq!(name_wire(&long).map(|wire| wire.len()), Ok(255));
        assert_eq!(name_wire(&format!("{long}d")), Err("it has more than 255 bytes".into()));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(label in proptest::collection::vec(proptest::num::u8::ANY, 1..=63)) {
            let wire = name_wire(&written(&label)).map_err(proptest::test_runner::TestCaseError::fail)?;
            proptest::prop_assert_eq!(&wire[1..=label.len()], label.to_ascii_lowercase());
            proptest::prop_assert_eq!(written(&wire[1..=label.len()]), written(&label));
        }
    }
}
