//! What master files say to their reader: `$ORIGIN`, `$TTL`, `$INCLUDE` and `$GENERATE`.

use super::{
    generate::{self, Range},
    lex::Token,
    names,
    read::{Frame, Reader},
    ttl,
};
use crate::errors::did_you_mean;

/// How deep files include files.
const DEPTH_MAX: usize = 8;

pub(super) const DIRECTIVES: [&str; 4] = ["$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE"];

impl Reader<'_> {
    /// Does what an entry that begins so says; `word` is its first word in upper case.
    pub(super) fn directive(&mut self, frame: Frame<'_>, first: &Token<'_>, word: &str, rest: &[Token<'_>]) {
        match (word, rest) {
            ("$ORIGIN", [name]) => match names::absolute(name.text, self.origin.as_deref()) {
                Ok(origin) => self.origin = Some(origin),
                Err(what) => self.fault(frame, name.spot, what, ""),
            },
            ("$TTL", [word]) => match ttl::seconds(word.text) {
                Some(Ok(seconds)) => self.default_ttl = Some(seconds),
                Some(Err(what)) => self.fault(frame, word.spot, what, ""),
                None => self.fault(frame, word.spot, format!("`{}` is not a time", word.text), "write 3600 or 1h"),
            },
            ("$INCLUDE", [file]) => self.include(frame, file, None),
            ("$INCLUDE", [file, origin]) => self.include(frame, file, Some(origin)),
            ("$GENERATE", [range, owner, rest @ ..]) if !rest.is_empty() => self.generate(frame, range, owner, rest),
            ("$ORIGIN", _) => self.fault(frame, first.spot, "`$ORIGIN` is followed by one name", ""),
            ("$TTL", _) => self.fault(frame, first.spot, "`$TTL` is followed by one time", "write `$TTL 1h`"),
            ("$INCLUDE", _) => {
                self.fault(frame, first.spot, "`$INCLUDE` is followed by a file, and by an origin if you like", "");
            }
            ("$GENERATE", _) => {
                let hint = "write `$GENERATE 1-9 host-$ A 192.0.2.$`";
                self.fault(frame, first.spot, "`$GENERATE` is followed by a range, an owner, a type and data", hint);
            }
            _ => {
                let hint =
                    did_you_mean(word, DIRECTIVES).unwrap_or_else(|| format!("there are {}", DIRECTIVES.join(", ")));
                self.fault(frame, first.spot, format!("`{}` is not a directive", first.text), &hint);
            }
        }
    }

    /// Origin and owner are what they were, afterwards; `$TTL` and the last TTL go on, as in BIND.
    fn include(&mut self, frame: Frame<'_>, file: &Token<'_>, origin: Option<&Token<'_>>) {
        let origin = match origin.map(|word| names::absolute(word.text, self.origin.as_deref())) {
            None => self.origin.clone(),
            Some(Ok(origin)) => Some(origin),
            Some(Err(what)) => return self.fault(frame, file.spot, what, ""),
        };
        if self.open.len() >= DEPTH_MAX {
            let what = format!("files include files {DEPTH_MAX} deep at most");
            return self.fault(frame, file.spot, what, "include this one further out");
        }
        let from = self.open.last().cloned().unwrap_or_default();
        let loaded = match (self.load)(&from, file.text) {
            Ok(loaded) => loaded,
            Err(what) => return self.fault(frame, file.spot, what, ""),
        };
        if let Some(at) = self.open.iter().position(|open| *open == loaded.name) {
            let circle = [&self.open[at..], &[loaded.name]].concat().join("` → `");
            return self.fault(
                frame,
                file.spot,
                format!("files include each other in a circle: `{circle}`"),
                "break it",
            );
        }
        let before = (std::mem::replace(&mut self.origin, origin), self.owner.take());
        self.file(&loaded.name, &loaded.text, Some(frame.place(file.spot)));
        (self.origin, self.owner) = before;
    }

    fn generate(&mut self, frame: Frame<'_>, range: &Token<'_>, owner: &Token<'_>, rest: &[Token<'_>]) {
        let numbers = match Range::parse(range.text) {
            Ok(read) if read.count() + self.records.len() as u64 > self.limits.records as u64 => {
                let what = format!("`{}` makes more records than a zone may have, {}", range.text, self.limits.records);
                return self.fault(frame, range.spot, what, "");
            }
            Ok(range) => range.numbers(),
            Err(what) => return self.fault(frame, range.spot, what, ""),
        };
        // Data in quotes is taken out of them, as BIND does it, so that it can have blanks.
        let mut template = owner.text.to_owned();
        for (at, word) in rest.iter().enumerate() {
            template.push(' ');
            let is_data = at + 1 == rest.len();
            match word.is_quoted && !is_data {
                true => template.extend(["\"", word.text, "\""]),
                false => template.push_str(word.text),
            }
        }
        let (errors, made_at) = (self.errors.len(), frame.place(owner.spot));
        let mut line = String::new();
        for number in numbers {
            line.clear();
            if let Err(what) = generate::fill(&template, number, &mut line) {
                return self.fault(frame, owner.spot, what, "");
            }
            // What a line makes counts as if it stood there: it could make far more than anybody wrote.
            self.bytes = self.bytes.saturating_add(line.len());
            if self.bytes > self.limits.bytes {
                let what = format!("with what it makes, the zone has more than {} bytes", self.limits.bytes);
                return self.fault(frame, range.spot, what, "");
            }
            self.entries(Frame { file: frame.file, text: &line, made_at: Some(made_at) });
            // What is wrong with one is wrong with all.
            if self.errors.len() > errors || self.is_over {
                return;
            }
        }
    }
}
