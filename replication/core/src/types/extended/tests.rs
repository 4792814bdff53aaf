//! Texts and sums, digit for digit as redis-server has them.

use super::*;

fn shown(text: &str) -> Option<String> {
    Extended::parse(text.as_bytes()).map(Extended::show)
}

/// What redis-server 7 on x86-64 answers to INCRBYFLOAT.
#[test]
fn numbers_are_read_and_shown_as_the_c_library_does() {
    for (text, expected) in [
        ("0", "0"),
        ("-0.0", "0"),
        ("0x1p4", "16"),
        ("0X.8", "0.5"),
        ("-0x1.8p1", "-3"),
        ("0.1", "0.1"),
        ("3000.1", "3000.10000000000000009"),
        ("1000.02", "1000.02000000000000002"),
        ("0.123456789012345678901", "0.12345678901234568"),
        ("1e-20", "0"),
        ("-1e-4000", "0"),
        ("1e19", "10000000000000000000"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551617", "18446744073709551616"),
        ("36893488147419103233", "36893488147419103232"),
        ("1e30", "1000000000000000000024696061952"),
        (
            "1e300",
            "1000000000000000000008997324079559193870523944273290747938260082321265646596180935755849152083750497\
             1903503725086142748359035925561846729839130962605207486462873271356418436532940842551076060167897266\
             5293237003055138294762099454029477278188962060617926761162709741065056718738610569008942491510400614\
             4",
        ),
    ] {
        let expected: String = expected.split_whitespace().collect();
        assert_eq!(shown(text).as_deref(), Some(&expected[..]), "{text}");
    }
    let long = "1".repeat(5120);
    for text in
        ["", "-", ".", "e5", "1e", "0x", "0x.p1", "0x1p", " 1", "1 ", "nan", "1e5000", "1e-5000", "12a", "1_0", &long]
    {
        assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Extended::parse(b"-Infinity"), Some(Extended::Infinite { negative: true }));
    let longest = shown("1e4932").unwrap();
    assert_eq!(longest.len(), 4933);
    assert_eq!(shown(&longest), Some(longest));
}

#[test]
fn sums_are_rounded_once() {
    for (a, b, expected) in [
        ("3000.1", "0", Some("3000.10000000000000009")),
        ("10.6", "1234567.25", Some("1234577.85000000000002274")),
        ("1e19", "0.5", Some("10000000000000000000")),
        ("9223372036854775807", "1", Some("9223372036854775808")),
        ("18446744073709551615", "1", Some("18446744073709551616")),
        ("18446744073709551615", "-1", Some("18446744073709551614")),
        ("1e300", "-1e300", Some("0")),
        ("1e-4000", "1e-4000", Some("0")),
        ("0.5", "-0x1p-1", Some("0")),
        ("-2", "0.5", Some("-1.5")),
        ("1e4932", "1e4932", None),
        ("inf", "-inf", None),
    ] {
        let (a, b) = (Extended::parse(a.as_bytes()).unwrap(), Extended::parse(b.as_bytes()).unwrap());
        assert_eq!(a.plus(b).map(Extended::show).as_deref(), expected, "{a:?} + {b:?}");
        assert_eq!(a.plus(b), b.plus(a));
    }
}
