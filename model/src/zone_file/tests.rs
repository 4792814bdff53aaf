//! What files mean, what is said of those that mean nothing, and that what is written reads back.

mod round_trip;

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::*;

/// A zone's begin, 5 lines.
const HEAD: &str = "$TTL 1h\n@ SOA ns1 host\\.master (\n  7 2h 15m\n  2w 30 )\n  NS ns1\n";

fn load_from(files: &[(&str, &str)]) -> impl Fn(&str, &str) -> Result<LoadedFile, String> {
    let files: BTreeMap<String, String> = files.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    move |_, name| {
        let text = files.get(name).ok_or_else(|| format!("{name}: there is no such file"))?;
        Ok(LoadedFile { name: name.to_owned(), text: text.clone() })
    }
}

fn read_all(text: &str, files: &[(&str, &str)]) -> Result<ZoneFile, WorldErrors> {
    let limits = Limits { records: 50, bytes: 100_000 };
    ZoneFile::read(Some("shop.test"), ("shop.zone", text), limits, &load_from(files))
}

/// The records of a zone that begins as `HEAD` does and has an address for its server.
fn records(text: &str, files: &[(&str, &str)]) -> String {
    match read_all(&format!("{HEAD}ns1 A 192.0.2.53\n{text}"), files) {
        Err(errors) => errors.to_string(),
        Ok(read) => {
            let line = |r: &Record| {
                let ttl = r.ttl.map(|ttl| format!("{ttl} ")).unwrap_or_default();
                format!("{} {ttl}{} {}", r.name, r.data.type_text(), r.data.value_text())
            };
            read.zone.records.iter().skip(1).map(line).collect::<Vec<_>>().join("\n")
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check(text: &str, want: Expect) {
    want.assert_eq(&records(text, &[]));
}

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_files(text: &str, files: &[(&str, &str)], want: Expect) {
    want.assert_eq(&records(text, files));
}

#[test]
fn the_start_of_authority_and_the_servers_make_the_zone() {
    let read = read_all(&format!("{HEAD}@ NS ns.else.where.\nns1 A 192.0.2.1"), &[]).unwrap();
    let zone = &read.zone;
    assert_eq!((zone.origin.as_str(), zone.ttl), ("shop.test", 3600));
    assert_eq!(zone.ns, ["ns1.shop.test", "ns.else.where"]);
    assert_eq!((zone.soa.primary.as_str(), zone.soa.mail.as_str()), ("ns1.shop.test", r"host\046master.shop.test"));
    assert_eq!((zone.soa.refresh, zone.soa.retry, zone.soa.expire), (7200, 900, 1_209_600));
    assert_eq!((zone.soa.minimum, zone.soa.ttl), (30, None));
    assert_eq!(read.check(), Ok(()));

    let own_ttl = HEAD.replacen("SOA", "5m SOA", 1);
    assert_eq!(read_all(&own_ttl, &[]).unwrap().zone.soa.ttl, Some(300));
}

#[test]
fn without_an_origin_the_first_record_says_it() {
    let read = |text: &str| {
        let read = ZoneFile::read(None, ("z", text), Limits::default(), &load_from(&[]));
        read.map(|read| read.zone.origin).map_err(|errors| errors.to_string())
    };
    let rest = "SOA ns.else. mail.else. 1 2 3 4 5\n NS ns.else.\n";
    assert_eq!(read(&format!("$TTL 1\nShop.Test. {rest}")).as_deref(), Ok("shop.test"));
    assert_eq!(read(&format!("$TTL 1\n$ORIGIN shop.test.\n@ {rest}")).as_deref(), Ok("shop.test"));
    expect!["z:2:1: `@` is relative, and no origin is known; write `$ORIGIN example.test.` above it, or a last dot"]
        .assert_eq(&read(&format!("$TTL 1\n@ {rest}")).unwrap_err());
    expect!["z:1:1: the first record is not the zone's SOA, and nobody said the zone's name"]
        .assert_eq(&read("a.shop.test. 1 A 192.0.2.1").unwrap_err());
}

#[test]
fn records_leave_out_what_the_last_one_said() {
    check(
        "www A 192.0.2.1\n\tA 192.0.2.2 ; another\n\n  AAAA 2001:db8::1\n",
        expect![[r#"
            www A 192.0.2.1
            www A 192.0.2.2
            www AAAA 2001:db8::1"#]],
    );
    check(
        "a 5 IN A 192.0.2.1\nb IN 6 A 192.0.2.1\nc in a 192.0.2.1\nd 1h30m A 192.0.2.1\ne CLASS1 TYPE1 192.0.2.1\n",
        expect![[r#"
            a 5 A 192.0.2.1
            b 6 A 192.0.2.1
            c A 192.0.2.1
            d 5400 A 192.0.2.1
            e A 192.0.2.1"#]],
    );
    check(
        "a A 192.0.2.1\n$TTL 60\nb A 192.0.2.1\n$ORIGIN Sub\nb A 192.0.2.2\n@ A 192.0.2.3\n$ORIGIN deep.sub.shop.test.\nx A 192.0.2.4\n",
        expect![[r#"
            a A 192.0.2.1
            b 60 A 192.0.2.1
            b.sub 60 A 192.0.2.2
            sub 60 A 192.0.2.3
            x.deep.sub 60 A 192.0.2.4"#]],
    );
    // Without $TTL the last one that was said holds (RFC 1035, 5.1).
    let old = "@ 9 SOA ns.else. m.else. 1 2 3 4 5\n NS ns.else.\na A 192.0.2.1\nb 8 A 192.0.2.1\nc A 192.0.2.1\n";
    let ttls: Vec<_> = read_all(old, &[]).unwrap().zone.records.iter().map(|record| record.ttl).collect();
    assert_eq!(ttls, [None, Some(8), Some(8)]);
}

#[test]
fn names_in_data_are_completed() {
    check(
        "a CNAME b\nb CNAME @\nm MX 10 mail\n MX 20 mail.else.\nn MX 0 .\ns SRV 1 2 3 t\nr RP a b\nd.x NS d\nx DNAME y\nh HTTPS 1 . alpn=\"h2,h3\"\nc CNAME localhost.\n",
        expect![[r#"
            a CNAME b.shop.test
            b CNAME shop.test
            m MX 10 mail.shop.test
            m MX 20 mail.else
            n MX 0 .
            s SRV 1 2 3 t.shop.test
            r RP a.shop.test b.shop.test
            d.x NS d.shop.test
            x DNAME y.shop.test
            h HTTPS 1 . alpn="h2,h3"
            c CNAME localhost."#]],
    );
}

#[test]
fn any_byte_can_be_in_a_name() {
    check(
        "a\\.b A 192.0.2.1\n\\065 A 192.0.2.2\n* A 192.0.2.3\n*.w A 192.0.2.4\nsub.* A 192.0.2.5\n0/25 NS ns.else.\n\\@ CNAME a\\.b\n$ORIGIN *.o\n@ A 192.0.2.6\n",
        expect![[r#"
            a\046b A 192.0.2.1
            a A 192.0.2.2
            * A 192.0.2.3
            *.w A 192.0.2.4
            sub.\042 A 192.0.2.5
            0\04725 NS ns.else
            \064 CNAME a\046b.shop.test
            *.o A 192.0.2.6"#]],
    );
}

#[test]
fn texts_keep_their_strings() {
    let long = "x".repeat(255);
    let text = format!("a TXT plain\nb TXT \"a b;(\" \n c TXT y\nd TXT \"{long}\" \"rest\"\n");
    assert_eq!(
        records(&text.replace("\n c", "\nc"), &[]),
        format!("a TXT plain\nb TXT a b;(\nc TXT y\nd TXT {long}rest")
    );
    check(
        "a TXT one \"t w o\"\nb TXT \"\"\nc TXT \\255\nd TXT \"q\\\"\\092\\065\"\n",
        expect![[r#"
            a TYPE16 one "t w o"
            b TYPE16 ""
            c TYPE16 \255
            d TXT q"\A"#]],
    );
}

#[test]
fn data_of_any_type_may_be_written_by_its_bytes() {
    check(
        "a A \\# 4 C0000201\nb TYPE731 \\# 3 ab (\n cd ef )\nc CNAME \\# 6 01 58 02 6162 00\nd MX \\# 3 000a00\ne TXT \\# 2 0178\nf TXT \\# 4 01780179\n",
        expect![[r#"
            a A 192.0.2.1
            b TYPE731 \# 3 ab cd ef
            c CNAME x.ab
            d MX \# 3 000a00
            e TXT x
            f TYPE16 \# 4 01780179"#]],
    );
}

#[test]
fn files_include_files() {
    check_files(
        "a A 192.0.2.1\n$INCLUDE \"hosts\" sub\n  A 192.0.2.4\n$INCLUDE ttl\nd A 192.0.2.5\n",
        &[("hosts", "x A 192.0.2.2\n$ORIGIN deeper\ny A 192.0.2.3\n"), ("ttl", "$TTL 5\n")],
        expect![[r#"
            a A 192.0.2.1
            x.sub A 192.0.2.2
            y.deeper.sub A 192.0.2.3
            a A 192.0.2.4
            d 5 A 192.0.2.5"#]],
    );
    check_files(
        "$INCLUDE one\n$INCLUDE one b\n$INCLUDE none\n$INCLUDE\n",
        &[("one", "\n $INCLUDE two\n$INCLUDE two\n"), ("two", "$INCLUDE one\nx y z\n")],
        expect![[r#"
            one:2:2: `$INCLUDE` does not stand at the begin of its line (drop the blanks before it), included at shop.zone:7
            two:1:10: files include each other in a circle: `one` → `two` → `one` (break it), included at one:3, included at shop.zone:7
            two:2:3: `y` is not a type of record: it is written like MX, HTTPS or TYPE257 (before it stand owner, TTL and class), included at one:3, included at shop.zone:7
            one:2:2: `$INCLUDE` does not stand at the begin of its line (drop the blanks before it), included at shop.zone:8
            two:1:10: files include each other in a circle: `one` → `two` → `one` (break it), included at one:3, included at shop.zone:8
            two:2:3: `y` is not a type of record: it is written like MX, HTTPS or TYPE257 (before it stand owner, TTL and class), included at one:3, included at shop.zone:8
            shop.zone:9:10: none: there is no such file
            shop.zone:10:1: `$INCLUDE` is followed by a file, and by an origin if you like"#]],
    );
}

#[test]
fn includes_are_bounded() {
    let files: Vec<(String, String)> = (0..9).map(|n| (format!("f{n}"), format!("$INCLUDE f{}\n", n + 1))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    check_files(
        "$INCLUDE f0\n",
        &files,
        expect![
            "f6:1:10: files include files 8 deep at most (include this one further out), included at f5:1, included at f4:1, included at f3:1, included at f2:1, included at f1:1, included at f0:1, included at shop.zone:7"
        ],
    );
    let large = "; large\n".repeat(7_000);
    check_files(
        "$INCLUDE l\n$INCLUDE l\na A here\n",
        &[("l", &large)],
        expect!["l:1:1: all files of a zone together have at most 100000 bytes, included at shop.zone:8"],
    );
}

#[test]
fn one_line_may_stand_for_many() {
    check(
        "$GENERATE 1-3 host-$ A 192.0.2.$\n$GENERATE 2-4/2 ${0,2,x} 60 IN CNAME host-${-1}\n$GENERATE 1-1 @ MX \"$ mail-$\"\n$GENERATE 0-1 $ TXT a\\$b$$\n",
        expect![[r#"
            host-1 A 192.0.2.1
            host-2 A 192.0.2.2
            host-3 A 192.0.2.3
            02 60 CNAME host-1.shop.test
            04 60 CNAME host-3.shop.test
            @ MX 1 mail-1.shop.test
            0 TXT a$b$
            1 TXT a$b$"#]],
    );
    check(
        "$GENERATE 1-51 a$ A 192.0.2.1\n$GENERATE 3-1 a$ A 192.0.2.1\n$GENERATE 1-3 ${0,z} A 192.0.2.1\n$GENERATE 1-3 a$ A 192.0.2.$$\n$GENERATE 1-3 a$\n",
        expect![[r#"
            shop.zone:7:11: `1-51` makes more records than a zone may have, 50
            shop.zone:8:11: `3-1` ends before it begins
            shop.zone:9:15: `${0,z}` is not `${OFFSET,WIDTH,RADIX}`, with a radix of d, o, x, X, n or N, or leads below 0
            shop.zone:10:15: this is not data of A: `192.0.2.$` is not an IPv4 address
            shop.zone:11:1: `$GENERATE` is followed by a range, an owner, a type and data (write `$GENERATE 1-9 host-$ A 192.0.2.$`)"#]],
    );
}

#[test]
fn what_one_line_makes_is_bounded() {
    let text = format!("$GENERATE 1-40 a$ TXT {}\n", format!("\"{}\" ", "x".repeat(250)).repeat(15));
    check(&text, expect!["shop.zone:7:11: with what it makes, the zone has more than 100000 bytes"]);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, want) in [
        ("a A 192.0.2.256", expect!["shop.zone:7:5: this is not data of A: `192.0.2.256` is not an IPv4 address"]),
        ("a A", expect!["shop.zone:7:1: this is not data of A: an IPv4 address is missing"]),
        ("a A 192.0.2.1 192.0.2.2", expect!["shop.zone:7:5: this is not data of A: `192.0.2.2` is too much"]),
        ("a CNAME b c", expect!["shop.zone:7:9: this is not data of CNAME: `c` is too much"]),
        (
            "a CNAME b..c",
            expect![
                "shop.zone:7:9: this is not data of CNAME: `b..c` is not a name: two dots stand side by side, or one at its head, or it is empty"
            ],
        ),
        ("a MX mail", expect!["shop.zone:7:6: this is not data of MX: `mail` is not a number from 0 to 65535"]),
        ("a", expect!["shop.zone:7:1: a type and data are missing (write `www A 192.0.2.1`)"]),
        ("a 5", expect!["shop.zone:7:1: a type and data are missing (write `www A 192.0.2.1`)"]),
        ("a 5 6 A 192.0.2.1", expect!["shop.zone:7:5: `6` is a second TTL (drop one of them)"]),
        (
            "a 1h30 A 192.0.2.1",
            expect!["shop.zone:7:3: `1h30` ends without a unit; write s, m, h, d or w behind each number"],
        ),
        (
            "a 2147483648 A 192.0.2.1",
            expect!["shop.zone:7:3: `2147483648` is more than 2147483647 seconds (RFC 2181, 8)"],
        ),
        ("a CH A 192.0.2.1", expect!["shop.zone:7:3: class `CH` cannot be served (only IN can; drop the record)"]),
        (
            "a IN IN A 192.0.2.1",
            expect![
                "shop.zone:7:6: `IN` is not a type of record: it is written like MX, HTTPS or TYPE257 (before it stand owner, TTL and class)"
            ],
        ),
        (
            "a ADDR 192.0.2.1",
            expect![
                "shop.zone:7:3: `ADDR` is not a type of record: it is written like MX, HTTPS or TYPE257 (before it stand owner, TTL and class)"
            ],
        ),
        (
            "a TYPE255 \\# 0",
            expect![
                "shop.zone:7:3: `TYPE255` is not a type of record: that number belongs to questions and to the protocol, not to data (before it stand owner, TTL and class)"
            ],
        ),
        ("a A \\# 3 aabbcc", expect!["shop.zone:7:5: this is not data of A: these 3 bytes do not have its form"]),
        ("a NS \\# 3 05aabb", expect!["shop.zone:7:6: this is not data of NS: these 3 bytes do not have its form"]),
        (
            "a TYPE731 text",
            expect![[
                r#"shop.zone:7:11: this is not data of TYPE731: data of this type is written `\# LENGTH HEX` (RFC 3597)"#
            ]],
        ),
        ("a SOA ns m 1 2 3 4 5", expect!["shop.zone:7:1: a SOA stands at the zone's own name (drop it)"]),
        ("@ SOA ns m 1 2 3 4 5", expect!["shop.zone:7:1: the zone has a SOA already (drop one of them)"]),
        (
            "@ SOA ns m 1 2 3 4",
            expect![
                "shop.zone:7:7: this is not data of SOA: a SOA has a primary server, a mailbox, a serial and four times, 7 words in all, not 6; parentheses join lines"
            ],
        ),
        (
            "@ SOA ns m 1.0 2 3 4 5",
            expect!["shop.zone:7:7: this is not data of SOA: `1.0` is not a serial, a number from 0 to 4294967295"],
        ),
        (
            "@ SOA ns m 1 2 x 4 5",
            expect!["shop.zone:7:7: this is not data of SOA: `x` is not a time; write 3600 or 1h"],
        ),
        (
            "@ 7 NS other.else.",
            expect!["shop.zone:7:1: the NS records of a zone have one TTL (RFC 2181, 5.2) (the first one says 3600)"],
        ),
        ("www.else. A 192.0.2.1", expect!["shop.zone:7:1: `www.else` lies outside of the zone, `shop.test`"]),
        ("workshop.test. A 192.0.2.1", expect!["shop.zone:7:1: `workshop.test` lies outside of the zone, `shop.test`"]),
        (
            "a..b A 192.0.2.1\n A 192.0.2.2",
            expect![
                "shop.zone:7:1: `a..b` is not a name: two dots stand side by side, or one at its head, or it is empty"
            ],
        ),
        (
            "a TXT \"open\nb TXT b",
            expect![[
                r#"shop.zone:7:7: a quote is not closed before the end of its line (add a `"`; a longer text is cut into several)"#
            ]],
        ),
        (
            "a TXT \\25",
            expect![
                "shop.zone:7:7: this is not data of TXT: a backslash is followed by a character, or by three digits up to 255"
            ],
        ),
        ("a A ( 192.0.2.1\nb A 192.0.2.2\n", expect!["shop.zone:7:5: this `(` is never closed (add a `)`)"]),
        (
            "a A 192.0.2.1 )\nb A x\n",
            expect![[r#"
            shop.zone:7:15: this `)` closes nothing (drop it, or add a `(` before it)
            shop.zone:8:5: this is not data of A: `x` is not an IPv4 address"#]],
        ),
        ("$ORIGIN", expect!["shop.zone:7:1: `$ORIGIN` is followed by one name"]),
        (
            "$ORIGIN a..b.",
            expect![
                "shop.zone:7:9: `a..b.` is not a name: two dots stand side by side, or one at its head, or it is empty"
            ],
        ),
        ("$TTL", expect!["shop.zone:7:1: `$TTL` is followed by one time (write `$TTL 1h`)"]),
        ("$TTL soon", expect!["shop.zone:7:6: `soon` is not a time (write 3600 or 1h)"]),
        ("$TTL 1h1", expect!["shop.zone:7:6: `1h1` ends without a unit; write s, m, h, d or w behind each number"]),
        ("$ORIGEN a.", expect!["shop.zone:7:1: `$ORIGEN` is not a directive (did you mean `$ORIGIN`?)"]),
        ("$DATE", expect!["shop.zone:7:1: `$DATE` is not a directive (there are $ORIGIN, $TTL, $INCLUDE, $GENERATE)"]),
        ("é A x", expect!["shop.zone:7:5: this is not data of A: `x` is not an IPv4 address"]),
    ] {
        check(text, want);
    }
}

#[test]
fn a_file_that_is_no_zone_says_what_is_missing() {
    let error = |text: &str| read_all(text, &[]).unwrap_err().to_string();
    expect![[r#"
        shop.zone:1:1: the zone has no SOA record (add one, at the zone's own name)
        shop.zone:1:1: the zone has no NS record at its own name (add one for each of its servers)"#]]
    .assert_eq(&error(""));
    expect!["shop.zone:1:1: this record has no TTL, and nothing before it says one (begin the file with `$TTL 1h`)"]
        .assert_eq(&error("a A 192.0.2.1\n"));
    expect![[r#"
        shop.zone:1:1: a type and data are missing (write `www A 192.0.2.1`)
        shop.zone:2:1: a type and data are missing (write `www A 192.0.2.1`)"#]]
    .assert_eq(&error("<html>\n<body>\n"));
    let many = "x y\n".repeat(1000);
    assert_eq!(error(&many).lines().count(), read::ERRORS_MAX);
    let records: String = (0..60).map(|n| format!("a{n} A 192.0.2.1\n")).collect();
    expect!["shop.zone:55:1: a zone has at most 50 records"].assert_eq(&error(&format!("{HEAD}{records}")));
}

#[test]
fn what_makes_no_sense_in_a_zone_is_told_with_its_line() {
    let said = |text: &str, files: &[(&str, &str)]| {
        read_all(&format!("{HEAD}{text}"), files).unwrap().check().unwrap_err().to_string()
    };
    expect![[r#"
        shop.zone:5:3: `ns1.shop.test` lies in this zone, which has no address for it (add an A or AAAA record of `ns1`)
        shop.zone:7:1: a CNAME stands alone: `www` has other records, too
        shop.zone:9:1: the alias `x` leads in a circle, or over more than 16 others
        shop.zone:10:1: the alias `y` leads in a circle, or over more than 16 others
        more:2:1: `below.d` lies at or below `d`, which is delegated to other servers (nobody would ever be told of it; drop one of the two), included at shop.zone:11"#]].assert_eq(&said(
        "www A 192.0.2.1\nwww CNAME b\nwww 5 A 192.0.2.2\nx CNAME y\ny CNAME x\n$INCLUDE more\nd NS ns.else.\n",
        &[("more", "\nbelow.d TXT t\n")],
    ));
    expect![[r#"
        shop.zone:5:3: `ns1.shop.test` lies in this zone, which has no address for it (add an A or AAAA record of `ns1`)
        shop.zone:6:1: a TTL (s) must be 0 to 604800, not 691200"#]]
    .assert_eq(&said("a 8d A 192.0.2.1\n", &[]));
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_written_makes_a_panic(text in r#"([a.@*$\\"();0-9 \n\t]|SOA|NS|A|TXT|CNAME|\$GENERATE|\$TTL|\$ORIGIN|\\#){0,60}"#) {
        let _ = read_all(&text, &[]);
    }
}
