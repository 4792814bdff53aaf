//! What is sent: commands, now and then with a mistake in them, and transactions.

use super::{
    grammar::{Command, Form, Mode},
    luck::Luck,
    words::{ODD, ODD_TIMES, Words},
};

/// Something that is sent as a whole, or left out as a whole when a failure is made short.
#[derive(Debug, Clone)]
pub(crate) struct Step(pub(crate) Vec<Line>);

/// A command on one of two connections.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) command: Command,
    /// Sent by somebody else.
    pub(crate) other: bool,
}

/// Commands in a hundred that get a mistake.
const MISTAKES: usize = 10;
/// Steps in a thousand that are transactions.
const TRANSACTIONS: usize = 12;

/// Where steps come from.
pub(crate) struct Source<'a> {
    /// Each as often as its weight says.
    forms: Vec<&'a Form>,
    /// Those that are asked inside MULTI only.
    blocking: Vec<&'a Form>,
    words: Words,
    luck: Luck,
    /// Whether all keys lie in one partition, as those of a transaction must.
    one_partition: bool,
}

impl<'a> Source<'a> {
    /// `tag` empty: keys lie anywhere, so only commands that work key by key are taken.
    pub(crate) fn new(forms: &[&'a Form], tag: String, luck: Luck) -> Self {
        let usable = forms.iter().filter(|form| !form.slot || !tag.is_empty());
        let (blocking, direct): (Vec<&Form>, Vec<&Form>) = usable.copied().partition(|form| form.blocking);
        let forms = direct.into_iter().flat_map(|form| std::iter::repeat_n(form, form.weight)).collect();
        Self { forms, blocking, one_partition: !tag.is_empty(), words: Words::new(tag), luck }
    }

    pub(crate) fn step(&mut self) -> Step {
        if self.one_partition && self.luck.below(1000) < TRANSACTIONS {
            return self.transaction();
        }
        let command = self.command();
        Step(vec![Line { command, other: false }])
    }

    fn command(&mut self) -> Command {
        let form = *self.luck.pick(&self.forms);
        let command = form.expand(&mut self.luck, &mut self.words);
        if self.luck.percent(MISTAKES) { self.mistaken(form, command) } else { command }
    }

    /// A word too few, too many, or another one.
    fn mistaken(&mut self, form: &Form, mut command: Command) -> Command {
        let (luck, tag) = (&mut self.luck, self.words.tag.as_bytes());
        let key_first = command.words.get(1).is_some_and(|word| word.starts_with(tag));
        let odd = if form.has_time() { ODD_TIMES } else { ODD };
        let at = 1 + luck.below(command.words.len());
        match luck.below(5) {
            0 if at < command.words.len() && !form.has_time() => drop(command.words.remove(at)),
            0 if command.words.len() > 1 => drop(command.words.pop()),
            1 => {
                let is_key = command.words.last().is_some_and(|word| word.starts_with(tag));
                command.words.push([if is_key { tag } else { b"" }, luck.pick::<&[u8]>(odd)].concat());
            }
            2 if command.words.len() > 2 && !form.has_time() => {
                let last = command.words.len() - 1;
                command.words.swap(at.min(last), 1 + luck.below(last));
            }
            _ if at < command.words.len() => {
                let is_key = command.words[at].starts_with(tag);
                command.words[at] = [if is_key { tag } else { b"" }, luck.pick::<&[u8]>(odd)].concat();
            }
            _ => command.words[0].make_ascii_lowercase(),
        }
        // A wrong word where a key belongs is a key of the same partition.
        if let Some(word) = command.words.get_mut(1)
            && key_first
            && !word.starts_with(tag)
        {
            *word = [tag, word].concat();
        }
        command
    }

    /// `[WATCH] MULTI … EXEC`, with somebody else's write in between, or given up.
    fn transaction(&mut self) -> Step {
        let said = |words: &[&[u8]]| Line { command: Command::new(Mode::Exact, words), other: false };
        let mut lines = Vec::new();
        let watched = self.luck.percent(40);
        if watched {
            let mut keys = Vec::new();
            self.words.of("key", &mut self.luck, &mut keys);
            lines.push(said(&[b"WATCH", &keys[0]]));
            if self.luck.percent(50) {
                let command = self.simple();
                lines.push(Line { command, other: true });
            }
            if self.luck.percent(10) {
                lines.push(said(&[b"UNWATCH"]));
            }
        }
        lines.push(said(&[b"MULTI"]));
        let mut open = true;
        for _ in 0..self.luck.below(5) {
            let blocks = open && !self.blocking.is_empty() && self.luck.percent(25);
            let command = if blocks {
                let form = *self.luck.pick(&self.blocking);
                form.expand(&mut self.luck, &mut self.words)
            } else {
                self.simple()
            };
            // What comes behind these is outside, where the blocking ones would hold up the connection.
            open &= !["EXEC", "DISCARD"].contains(&command.name().as_str());
            lines.push(Line { command, other: false });
        }
        lines.push(said(&[if self.luck.percent(88) { b"EXEC" } else { b"DISCARD" }]));
        Step(lines)
    }

    /// A command that one question answers.
    fn simple(&mut self) -> Command {
        loop {
            let command = self.command();
            if !command.mode.is_talk() {
                return command;
            }
        }
    }
}
