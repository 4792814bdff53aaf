//! Reads `grammar.txt`: one form of a command per line, expanded at random into commands.

use super::{luck::Luck, words::Words};

const GRAMMAR: &str = include_str!("grammar.txt");

/// How two replies to one command are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Byte for byte.
    Exact,
    /// Items in any order.
    Unordered,
    /// Pairs of items in any order.
    Pairs,
    /// A number that shrinks while the test runs, or depends on when a server read its clock.
    Ageing,
    /// Only that both refuse, or both answer alike in kind.
    Kind,
    /// A choice of luck: each side's must come from what is there.
    Pick,
    /// A choice that is also removed: checked as [`Mode::Pick`], then both sides are made the same again.
    Pop,
    /// A cursor is followed to its end on both sides; what was seen is compared.
    Scan,
    /// As [`Mode::Scan`], of pairs.
    ScanPairs,
}

impl Mode {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "exact" => Self::Exact,
            "unordered" => Self::Unordered,
            "pairs" => Self::Pairs,
            "ageing" => Self::Ageing,
            "kind" => Self::Kind,
            "pick" => Self::Pick,
            "pop" => Self::Pop,
            "scan" => Self::Scan,
            "scanpairs" => Self::ScanPairs,
            _ => return None,
        })
    }

    /// Whether the command takes more than one question and answer.
    pub(crate) fn is_talk(self) -> bool {
        matches!(self, Self::Pick | Self::Pop | Self::Scan | Self::ScanPairs)
    }
}

/// A piece of a form.
enum Part {
    Word(&'static str),
    Class(&'static str),
    Choice { optional: bool, ways: Vec<Vec<Self>> },
    Repeat(Vec<Self>),
}

/// One line of the grammar.
pub(crate) struct Form {
    pub(crate) text: &'static str,
    pub(crate) mode: Mode,
    /// Atoll does not have it yet.
    pub(crate) pending: bool,
    /// Its keys must lie in one partition.
    pub(crate) slot: bool,
    /// It would hold up the connection, so it is asked inside MULTI only.
    pub(crate) blocking: bool,
    /// Listed so many times.
    pub(crate) weight: usize,
    parts: Vec<Part>,
}

/// One command to be sent, and how its replies are compared.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) mode: Mode,
    /// The line of the grammar it came from.
    pub(crate) form: &'static str,
}

impl Command {
    pub(crate) fn new(mode: Mode, words: &[&[u8]]) -> Self {
        Self { words: words.iter().map(|word| word.to_vec()).collect(), mode, form: "" }
    }

    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(&self.words[0]).to_ascii_uppercase()
    }
}

/// Every form, in the order of the file.
pub(crate) fn forms() -> Vec<Form> {
    let lines = GRAMMAR.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(parse_line).collect()
}

fn parse_line(line: &'static str) -> Form {
    let (flags, text) = line.split_once(' ').unwrap_or_else(|| panic!("a form has flags: {line}"));
    let text = text.trim();
    let mut form =
        Form { text, mode: Mode::Exact, pending: false, slot: false, blocking: false, weight: 1, parts: Vec::new() };
    for flag in flags.split(',') {
        match (flag, flag.strip_prefix('x')) {
            ("pending", _) => form.pending = true,
            ("slot", _) => form.slot = true,
            ("blocking", _) => form.blocking = true,
            (_, Some(weight)) => form.weight = weight.parse().unwrap(),
            (mode, None) => form.mode = Mode::parse(mode).unwrap_or_else(|| panic!("no such flag: {mode} in {line}")),
        }
    }
    let mut tokens = text.split_whitespace().peekable();
    form.parts = parse_parts(&mut tokens, &[]).0;
    assert!(tokens.peek().is_none(), "brackets do not match: {line}");
    form
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// Reads until one of `ends`, and says which.
fn parse_parts(tokens: &mut Tokens<'static>, ends: &[&str]) -> (Vec<Part>, &'static str) {
    let mut parts = Vec::new();
    while let Some(token) = tokens.next() {
        if ends.contains(&token) {
            return (parts, token);
        }
        parts.push(match token {
            "[" | "(" => {
                let close = if token == "[" { "]" } else { ")" };
                let (mut ways, mut end) = (Vec::new(), "|");
                while end == "|" {
                    let way;
                    (way, end) = parse_parts(tokens, &["|", close]);
                    ways.push(way);
                }
                Part::Choice { optional: token == "[", ways }
            }
            "{" => Part::Repeat(parse_parts(tokens, &["}"]).0),
            class if class.starts_with('<') => Part::Class(class.trim_matches(['<', '>'])),
            word => Part::Word(word),
        });
    }
    assert!(ends.is_empty(), "a bracket is not closed");
    (parts, "")
}

impl Form {
    /// A command of this form.
    pub(crate) fn expand(&self, luck: &mut Luck, words: &mut Words) -> Command {
        let mut out = Vec::new();
        expand(&self.parts, luck, words, &mut out);
        Command { words: out, mode: self.mode, form: self.text }
    }

    /// Whether a time to live is among its arguments: then no small number may get there by mistake, since it would expire
    /// between two questions.
    pub(crate) fn has_time(&self) -> bool {
        ["<seconds>", "<millis>", "<unix>", "<unixms>"].iter().any(|class| self.text.contains(class))
    }
}

fn expand(parts: &[Part], luck: &mut Luck, words: &mut Words, out: &mut Vec<Vec<u8>>) {
    for part in parts {
        match part {
            Part::Word(word) => out.push(word.as_bytes().to_vec()),
            Part::Class(class) => words.of(class, luck, out),
            Part::Choice { optional: true, .. } if luck.percent(60) => {}
            Part::Choice { ways, .. } => {
                let way = luck.below(ways.len());
                expand(&ways[way], luck, words, out);
            }
            Part::Repeat(inner) => {
                for _ in 0..[1, 1, 2, 2, 3, 6][luck.below(6)] {
                    expand(inner, luck, words, out);
                }
            }
        }
    }
}
