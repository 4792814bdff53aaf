use super::*;

fn wire(rtype: &str, value: &str) -> Result<String, String> {
    let bytes = TypeNumber::parse(rtype)?.wire(value)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn data_becomes_what_the_rfcs_say() {
    for (rtype, value, want) in [
        ("NS", "ns.a.", "026e73016100"),
        ("NS", ".", "00"),
        ("MX", "10 Mail.A", "000a046d61696c016100"),
        ("SRV", "1 2 443 a.b.", "0001000201bb0161016200"),
        ("PTR", r"a\.b.c", "03612e62016300"),
        ("CAA", r#"0 issue "ca.test""#, "000569737375656361 2e74657374"),
        ("HINFO", r#"a "b c""#, "016103622063"),
        ("TXT", r#"a "" \065"#, "0161000141"),
        ("NAPTR", r#"1 2 "u" "x" "!a!" ."#, "0001000201750178 0321612100"),
        ("TLSA", "3 1 1 0AFF 00", "0301010aff00"),
        ("DS", "5 8 2 ab", "00050802ab"),
        ("OPENPGPKEY", "aGV5 YQ==", "68657961"),
        ("HTTPS", "0 a.", "0000016100"),
        ("HTTPS", "1 . port=53 alpn=h2,h3", "000100 00010006026832026833 000300020035"),
        ("SVCB", "1 . mandatory=alpn alpn=h2 no-default-alpn", "000100 000000020001 00010003026832 00020000"),
        (
            "HTTPS",
            "1 . ipv6hint=::1 ipv4hint=192.0.2.1 key9=x",
            "000100 00040004c0000201 00060010 00000000000000000000000000000001 0009000178",
        ),
        ("TYPE731", r"\# 3 ab cd 01", "abcd01"),
        ("TYPE1", r"\# 4 c0000201", "c0000201"),
        ("MX", r"\# 5 000a 015800", "000a017800"),
        ("CAA", r"\# 3 000161", "000161"),
        ("TXT", r"\# 4 0161 0162", "01610162"),
        ("HTTPS", r"\# 9 0001 00 0003 0002 0035", "0001 00 0003 0002 0035"),
        ("LOC", "42 21 54 N 71 06 18 W -24m 30m", "00331613 89172dd0 70be15f0 00988d20"),
        ("LOC", "1 S 2 E 0", "00121613 7fc91180 806ddd00 00989680"),
        ("LOC", "90 S 180 W 0", "00121613 6cb02700 59604e00 00989680"),
        ("A", "192.0.2.1", "c0000201"),
        ("URI", r#"1 2 "x:y""#, "00010002783a79"),
    ] {
        assert_eq!(wire(rtype, value), Ok(want.replace(' ', "")), "{rtype} {value}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (rtype, value, want) in [
        ("MX", "mail.a", "`mail.a` is not a number from 0 to 65535"),
        ("MX", "10", "a name is missing"),
        ("MX", "10 a b", "`b` is too much"),
        ("NS", "a..b", "`a..b` is not a name: two dots stand side by side, or one at its head, or it is empty"),
        ("NS", "", "a name is missing"),
        ("TXT", "\"a", "a quote is not closed"),
        ("TXT", r"\256", "a backslash is followed by a character, or by three digits up to 255"),
        ("TLSA", "3 1 1 abc", "hexadecimal digits come in pairs of 0-9 and a-f"),
        ("TLSA", "3 1 1 +a", "hexadecimal digits come in pairs of 0-9 and a-f"),
        ("OPENPGPKEY", "abc", "base64 has A-Z, a-z, 0-9, `+`, `/`, and up to two `=` at its end"),
        ("TYPE731", "abcd", r"data of this type is written `\# LENGTH HEX` (RFC 3597)"),
        ("TYPE731", r"\# 2 ab", "2 bytes are announced, 1 given"),
        ("HTTPS", "1 . port=x", "`port` is followed by a port"),
        ("HTTPS", "1 . alpn=h2 alpn=h3", "`alpn` is there twice"),
        ("HTTPS", "1 . mandatory=port", "`mandatory` names parameter 3, which is not there"),
        ("HTTPS", "1 . colour=red", "`colour` is not a parameter; write alpn, port, … or key123"),
        ("A", r"\# 3 c00002", "these 3 bytes do not have its form"),
        ("A", r"\# 5 c000020101", "these 5 bytes do not have its form"),
        ("NS", r"\# 3 05aabb", "these 3 bytes do not have its form"),
        ("NS", r"\# 2 c00c", "these 2 bytes do not have its form"),
        ("NS", r"\# 2 0000", "these 2 bytes do not have its form"),
        ("MX", r"\# 2 000a", "these 2 bytes do not have its form"),
        ("TXT", r"\# 0", "these 0 bytes do not have its form"),
        ("TXT", r"\# 2 0261", "these 2 bytes do not have its form"),
        ("CAA", r"\# 3 00012d", "these 3 bytes do not have its form"),
        ("DS", r"\# 4 00010801", "these 4 bytes do not have its form"),
        ("HTTPS", r"\# 11 0001 00 0003 0000 0003 0000", "these 11 bytes do not have its form"),
        ("HTTPS", r"\# 7 0001 00 0003 0009", "these 7 bytes do not have its form"),
        ("LOC", "91 N 0 E 0", "an angle is degrees up to 90, minutes and seconds, and N or S"),
        ("LOC", "1 60 N 0 E 0", "an angle is degrees up to 90, minutes and seconds, and N or S"),
        ("LOC", "1 1 1 1 N 0 E 0", "an angle is degrees up to 90, minutes and seconds, and N or S"),
        ("LOC", "1 N 1 E", "the altitude is missing; write 20m"),
        ("LOC", "1 N 1 E 42849673m", "an altitude is -100000.00m to 42849672.95m"),
        ("LOC", "1 N 1 E 1 1 1 1 1", "`1` is too much"),
        ("LOC", "1 N 1 E 1 x", "`x` is not 0m to 90000000m"),
        ("CAA", "0 is-sue x", "`is-sue` is not a tag of letters and digits"),
        ("OPT", "", "it is written like MX, HTTPS or TYPE257"),
        ("TYPE255", "", "that number belongs to questions and to the protocol, not to data"),
    ] {
        assert_eq!(wire(rtype, value), Err(want.to_owned()), "{rtype} {value}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_written_makes_a_panic(form in 0..FORMS.len(), value in r#"[ a-f0-9.=,"\\#@-]{0,40}"#) {
        let _ = TypeNumber(FORMS[form].1).wire(&value);
    }
}
