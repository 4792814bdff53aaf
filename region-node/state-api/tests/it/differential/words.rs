//! What the classes of the grammar stand for: keys that clash now and then, numbers at their limits, odd bytes.

use super::luck::Luck;

/// Names of keys by the type they mostly hold; every type's commands also meet the others'.
const KEYS: &[(&str, &[&str])] = &[
    ("str", &["s1", "s2", "s3"]),
    ("num", &["n1", "n2"]),
    ("hash", &["h1", "h2", "h3"]),
    ("set", &["t1", "t2", "t3"]),
    ("zset", &["z1", "z2", "z3"]),
    ("list", &["l1", "l2", "l3"]),
    ("hll", &["p1", "p2"]),
];

/// In place of a proper word: what a command must refuse, or take for what it is.
pub(crate) const ODD: &[&[u8]] = &[
    b"",
    b"abc",
    b"0",
    b"-1",
    b"nan",
    b"inf",
    b"-inf",
    b"1.5",
    b" 1",
    b"1 ",
    b"+5",
    b"-0",
    b"007",
    b"0x10",
    b"1e400",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"99999999999999999999999999",
    b"\x00\xff\r\n",
    b"(1",
    b"[a",
    b"LIMIT",
    b"NX",
    b"WITHSCORES",
];

/// Odd words that may stand where a time is told: none of them is a moment soon to come.
pub(crate) const ODD_TIMES: &[&[u8]] = &[
    b"",
    b"abc",
    b"0",
    b"-1",
    b"nan",
    b"1.5",
    b" 200000",
    b"200000 ",
    b"+200000",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"9223372036854775",
    b"9223372036854774",
    b"18446744073709551616",
    b"\x00\xff\r\n",
    b"NX",
    b"GT",
];

const SMALL: &[&str] =
    &["a", "b", "c", "d", "e", "f", "g", "1", "2", "3", "10", "-5", "3.5", "", "\u{1}\r\n\u{0}", "ü"];
const VALUES: &[&str] = &[
    "a",
    "b",
    "",
    "1",
    "7",
    "10",
    "-3",
    "100",
    "3.25",
    "0.1",
    "1e3",
    " 1",
    "9223372036854775807",
    "-9223372036854775808",
    "hello world",
    "\r\n\u{0}\u{7f}",
    "a-text-that-is-too-long-to-lie-inside-the-slot-of-its-key-and-so-lies-elsewhere",
    "foobar",
    "ohmytext",
    "mynewtext",
];
const INTEGERS: &[&str] = &[
    "1",
    "2",
    "3",
    "5",
    "7",
    "10",
    "-1",
    "-2",
    "-10",
    "0",
    "100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775806",
    "4611686018427387904",
];
const FLOATS: &[&str] =
    &["1", "2.5", "-1.5", "0.1", "0.2", "3", "-0.25", "10.75", "1e2", "5.0e1", "-3", "100.125", "0"];
const SCORES: &[&str] = &[
    "0", "1", "2", "3", "1.5", "2.5", "-1", "-2.75", "10", "1e10", "0.1", "3.0e-5", "inf", "-inf", "+inf", "1e308",
    "-0", "1", "2", "3", "100", "17.25",
];
const SCORE_BOUNDS: &[&str] =
    &["-inf", "+inf", "0", "1", "2", "(1", "(2", "(2.5", "3", "(-inf", "(+inf", "10", "-1", "1.5"];
const LEX_BOUNDS: &[&str] = &["-", "+", "[a", "(a", "[b", "(c", "[d", "(f", "[1", "(3", "[", "("];
const PATTERNS: &[&str] =
    &["*", "*1", "?", "[ab]", "*[^1]", "{*", "a*", "*h?", "*\\h1", "*[s-u][12]", "", "*l*", "*[", "[a-c]*"];
const OFFSETS: &[&str] = &["0", "1", "2", "3", "5", "7", "8", "15", "16", "17", "31", "63", "100", "200"];
const INDEXES: &[&str] = &["0", "1", "2", "3", "5", "10", "-1", "-2", "-3", "-5", "-100", "100"];
const COUNTS: &[&str] = &["0", "1", "2", "3", "5", "10", "100"];
const FIELD_TYPES: &[&str] = &["u8", "i8", "u4", "i5", "u16", "i16", "u1", "i1", "u32", "i64", "u63", "i33", "u7"];

/// The words of one part of a run.
pub(crate) struct Words {
    /// Stands before every key's name: a hash tag, so that all keys lie in one partition, or nothing.
    pub(crate) tag: String,
    /// No time is told twice, so that no comparison of two depends on the millisecond.
    times: u64,
}

impl Words {
    pub(crate) fn new(tag: String) -> Self {
        Self { tag, times: 0 }
    }

    fn key(&self, name: &str) -> Vec<u8> {
        format!("{}{name}", self.tag).into_bytes()
    }

    /// A key that mostly holds `class`.
    fn key_of(&self, class: &str, luck: &mut Luck) -> Vec<u8> {
        let own = KEYS.iter().find(|(name, _)| *name == class).map(|(_, keys)| *keys);
        match own {
            Some(keys) if !luck.percent(8) => self.key(luck.pick::<&str>(keys)),
            _ if luck.percent(5) => self.key("missing"),
            _ => {
                // Sketches stay among themselves: as strings, their bytes differ after a PFCOUNT.
                if class == "hll" {
                    return self.key("p1");
                }
                let (_, keys) = luck.pick(&KEYS[..KEYS.len() - 1]);
                self.key(luck.pick::<&str>(keys))
            }
        }
    }

    /// A span of time in units of ten seconds, never the same twice.
    fn time(&mut self, luck: &mut Luck) -> u64 {
        self.times += 1;
        2_000 + (self.times * 7_919 + luck.below(3) as u64 * 100_003) % 900_000
    }

    /// Appends the word, or the words, of a class.
    pub(crate) fn of(&mut self, class: &str, luck: &mut Luck, out: &mut Vec<Vec<u8>>) {
        let from = |list: &[&str], luck: &mut Luck| luck.pick(list).as_bytes().to_vec();
        let word = match class {
            "key" | "str" | "num" | "hash" | "set" | "zset" | "list" | "hll" => self.key_of(class, luck),
            "field" | "member" | "item" => from(SMALL, luck),
            "value" => from(VALUES, luck),
            "int" => from(INTEGERS, luck),
            "float" => from(FLOATS, luck),
            "score" => from(SCORES, luck),
            "bound" => from(SCORE_BOUNDS, luck),
            "lex" => from(LEX_BOUNDS, luck),
            "pattern" => from(PATTERNS, luck),
            "offset" => from(OFFSETS, luck),
            "index" => from(INDEXES, luck),
            "count" => from(COUNTS, luck),
            "count+" => from(&COUNTS[1..], luck),
            "bit" => from(&["0", "1"], luck),
            "bits" => from(FIELD_TYPES, luck),
            "weight" => from(&["1", "2", "0.5", "-1", "0"], luck),
            "type" => from(&["string", "hash", "set", "zset", "list", "stream", "nonsense"], luck),
            "seconds" => (self.time(luck) * 10).to_string().into_bytes(),
            "millis" => (self.time(luck) * 10_000).to_string().into_bytes(),
            "unix" => (4_000_000_000 + self.time(luck) * 10).to_string().into_bytes(),
            "unixms" => ((4_000_000_000 + self.time(luck) * 10) * 1000).to_string().into_bytes(),
            "sets#" | "zsets#" | "lists#" => return self.counted(class.trim_end_matches("s#"), luck, out),
            _ => panic!("no such class of words: {class}"),
        };
        out.push(word);
    }

    /// `2 key key`
    fn counted(&self, class: &str, luck: &mut Luck, out: &mut Vec<Vec<u8>>) {
        let count = 1 + luck.below(3);
        let said = if luck.percent(95) { count as i64 } else { count as i64 + luck.below(4) as i64 - 2 };
        out.push(said.to_string().into_bytes());
        out.extend((0..count).map(|_| self.key_of(class, luck)));
    }
}
