//! Redis's glob patterns: `*`, `?`, `[a-c]`, `[^x]` and `\` before a character that stands for itself.

/// Says whether the whole of `text` matches `pattern`.
///
/// One step back is remembered, to the last `*`, which is enough: time grows with the product of the lengths, never faster.
pub(crate) fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = pattern {
            retry = Some((after, text));
            pattern = after;
            continue;
        }
        let step = match (pattern, text) {
            ([], []) => return true,
            ([], _) | (_, []) => None,
            (_, [byte, ..]) => one(pattern, *byte, ignore_case),
        };
        match (step, retry) {
            (Some(after), _) => (pattern, text) = (after, &text[1..]),
            (None, Some((after, [_, rest @ ..]))) => {
                retry = Some((after, rest));
                (pattern, text) = (after, rest);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte against the pattern's first item; answers with the pattern after it.
fn one(pattern: &[u8], byte: u8, ignore_case: bool) -> Option<&[u8]> {
    let fold = |byte: u8| if ignore_case { byte.to_ascii_lowercase() } else { byte };
    match pattern {
        [b'?', after @ ..] => Some(after),
        [b'[', class @ ..] => {
            let (hit, after) = in_class(class, fold(byte), fold);
            hit.then_some(after)
        }
        [b'\\', literal, after @ ..] | [literal, after @ ..] => (fold(*literal) == fold(byte)).then_some(after),
        [] => None,
    }
}

/// Matches one byte against what follows a `[`. A class that is not closed ends with the pattern.
fn in_class(class: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> (bool, &[u8]) {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut hit = false;
    loop {
        rest = match rest {
            [] => return (hit != negated, rest),
            [b']', after @ ..] => return (hit != negated, after),
            [b'\\', literal, after @ ..] => {
                hit |= fold(*literal) == byte;
                after
            }
            [low, b'-', high, after @ ..] => {
                let (low, high) = (fold(*low).min(fold(*high)), fold(*low).max(fold(*high)));
                hit |= (low..=high).contains(&byte);
                after
            }
            [literal, after @ ..] => {
                hit |= fold(*literal) == byte;
                after
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} should match {text:?}");
        }
        for text in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} should not match {text:?}");
        }
    }

    #[test]
    fn patterns_match_as_in_redis() {
        check("*", &["", "a", "anything"], &[]);
        check("sess:*", &["sess:", "sess:1"], &["ses:1", "xsess:1"]);
        check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
        check("h[ae]llo", &["hello", "hallo"], &["hillo"]);
        check("h[^e]llo", &["hallo", "hbllo"], &["hello"]);
        check("h[a-b]llo", &["hallo", "hbllo"], &["hcllo"]);
        check("h[b-a]llo", &["hallo", "hbllo"], &["hcllo"]);
        check("a\\*b", &["a*b"], &["axb"]);
        check("*a*b*c*", &["abc", "xaybzc", "aabbcc"], &["acb", ""]);
        check("a*", &["a", "ab"], &["", "ba"]);
        check("", &[""], &["a"]);
        check("[a", &["a"], &["b"]);
        check("a\\", &["a\\"], &["a"]);
    }

    #[test]
    fn case_is_ignored_on_request() {
        assert!(matches(b"MAX*", b"maxmemory", true));
        assert!(matches(b"[A-C]x", b"bX", true));
        assert!(!matches(b"MAX*", b"maxmemory", false));
    }

    #[test]
    fn hostile_patterns_stay_cheap() {
        let pattern = "*a".repeat(200) + "b";
        let text = "a".repeat(5_000);
        assert!(!matches(pattern.as_bytes(), text.as_bytes(), false));
    }
}
