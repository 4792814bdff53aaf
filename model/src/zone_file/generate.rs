//! `$GENERATE range lhs [ttl] [class] type rhs`: one line that stands for many, with BIND's meaning. Not in any RFC.
//!
//! `$` is the number; `${offset,width,radix}` the number plus `offset`, at least `width` characters with zeros before it, in radix
//! `d`, `o`, `x` or `X`, or as nibbles from the last to the first with dots between, `n` or `N`. `$$` and `\$` are a dollar.

use std::fmt::Write;

/// The most characters of a number.
const WIDTH_MAX: usize = 63;

/// `start-stop` or `start-stop/step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) stop: u32,
    pub(super) step: u32,
}

impl Range {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a range: write START-STOP or START-STOP/STEP, numbers up to 2147483647");
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| i32::try_from(*n).is_ok()).ok_or_else(wrong);
        let (bounds, step) = text.split_once('/').unwrap_or((text, "1"));
        let (start, stop) = bounds.split_once('-').ok_or_else(wrong)?;
        let range = Self { start: number(start)?, stop: number(stop)?, step: number(step)? };
        if range.step == 0 {
            return Err(format!("`{text}` never ends: its step is 0"));
        }
        if range.start > range.stop {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(range)
    }

    /// How many numbers it has.
    pub(super) fn count(self) -> u64 {
        u64::from((self.stop - self.start) / self.step) + 1
    }

    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        (self.start..=self.stop).step_by(self.step as usize)
    }
}

/// Fills a number into a template and appends the result.
pub(super) fn fill(template: &str, number: u32, out: &mut String) -> Result<(), String> {
    let mut rest = template;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        let special = &rest[at..];
        if let Some(after) = special.strip_prefix('\\') {
            // An escape stays one; of an escaped dollar, which is plain in a name or text, the dollar stays.
            let mut chars = after.chars();
            let next = chars.next();
            match next {
                Some('$') => out.push('$'),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            }
            rest = chars.as_str();
        } else if let Some(after) = special.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some(after) = special.strip_prefix("${") {
            let (format, after) = after.split_once('}').ok_or_else(|| format!("`{template}`: `${{` is not closed"))?;
            formatted(format, number, out).ok_or_else(|| {
                format!("`${{{format}}}` is not `${{OFFSET,WIDTH,RADIX}}`, with a radix of d, o, x, X, n or N, or leads below 0")
            })?;
            rest = after;
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "{number}");
            rest = &special[1..];
        }
    }
    out.push_str(rest);
    Ok(())
}

fn formatted(format: &str, number: u32, out: &mut String) -> Option<()> {
    let mut parts = format.split(',');
    let offset: i64 = parts.next()?.trim().parse().ok()?;
    let width = parts.next().map_or(Some(0), |width| width.trim().parse::<usize>().ok())?;
    let radix = parts.next().map_or("d", str::trim);
    let value = u32::try_from(i64::from(number).checked_add(offset)?).ok()?;
    if width > WIDTH_MAX || parts.next().is_some() {
        return None;
    }
    let _ = match radix {
        "d" => write!(out, "{value:0width$}"),
        "o" => write!(out, "{value:0width$o}"),
        "x" => write!(out, "{value:0width$x}"),
        "X" => write!(out, "{value:0width$X}"),
        "n" | "N" => {
            nibbles(value, width, radix == "N", out);
            Ok(())
        }
        _ => return None,
    };
    Some(())
}

/// The last nibble first. Dots count for the width, as in BIND.
fn nibbles(mut value: u32, mut width: usize, is_upper: bool, out: &mut String) {
    loop {
        let digit = char::from_digit(value & 15, 16).unwrap_or('0');
        out.push(if is_upper { digit.to_ascii_uppercase() } else { digit });
        value >>= 4;
        width = width.saturating_sub(1);
        if width == 0 && value == 0 {
            return;
        }
        out.push('.');
        width = width.saturating_sub(1);
        if width == 0 && value == 0 {
            // BIND ends there too: a dot for which there was room, and no digit after it.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_bounded() {
        let range = |text| Range::parse(text).map(|range| (range.count(), range.numbers().collect::<Vec<_>>()));
        assert_eq!(range("1-3"), Ok((3, vec![1, 2, 3])));
        assert_eq!(range("0-5/2"), Ok((3, vec![0, 2, 4])));
        assert_eq!(range("7-7/9"), Ok((1, vec![7])));
        for wrong in ["", "1", "1-", "-3", "3-1", "1-3/0", "1-3/", "1-2147483648", "a-b", "1-3-5"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Range::parse("0-2147483647").map(Range::count), Ok(1 << 31));
    }

    #[test]
    fn numbers_are_filled_in_as_bind_does_it() {
        for (template, number, want) in [
            ("host-$", 7, Some("host-7")),
            ("$.$", 7, Some("7.7")),
            ("a$$b", 7, Some("a$b")),
            (r"a\$b\.c", 7, Some(r"a$b\.c")),
            ("${0}", 7, Some("7")),
            ("${-3}", 7, Some("4")),
            ("${-8}", 7, None),
            ("${10,3}", 7, Some("017")),
            ("${0,3,d}", 1234, Some("1234")),
            ("${0,2,o}", 8, Some("10")),
            ("${0,4,x}", 255, Some("00ff")),
            ("${0,0,X}", 255, Some("FF")),
            ("${0,0,n}", 0xab3, Some("3.b.a")),
            ("${0,5,N}", 0xab, Some("B.A.0")),
            ("${0,7,n}", 1, Some("1.0.0.0")),
            ("${0,3,b}", 1, None),
            ("${0,3,d,1}", 1, None),
            ("${0,64}", 1, None),
            ("${}", 1, None),
            ("${0", 1, None),
            ("é$\\", 1, Some("é1\\")),
        ] {
            let mut out = String::new();
            let filled = fill(template, number, &mut out);
            assert_eq!(filled.ok().map(|()| out.as_str()), want, "{template}");
        }
    }
}
