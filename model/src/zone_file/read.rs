//! Entries of master files: records with all that they leave out (RFC 1035, 5; RFC 2308, 4). What is no record, `directives.rs` reads.

use super::{
    Limits, Load,
    data::{self, Data},
    directives::DIRECTIVES,
    lex::{Lexer, Spot, Token},
    names, ttl,
};
use crate::{
    Record, Soa, TypeNumber,
    errors::{KeyPath, Place, SourceFile, WorldError},
};

/// How many errors are looked for: nobody reads more before correcting these.
pub(super) const ERRORS_MAX: usize = 100;

/// What the files said so far.
pub(super) struct Reader<'l> {
    pub(super) load: &'l Load<'l>,
    pub(super) limits: Limits,
    pub(super) files: Vec<SourceFile>,
    pub(super) errors: Vec<WorldError>,
    /// The zone's own name; that of the first record, which is its SOA then, if nobody said it.
    pub(super) zone: Option<String>,
    pub(super) soa: Option<(Soa, Place)>,
    pub(super) records: Vec<Record>,
    /// Where each of them is.
    pub(super) places: Vec<Place>,
    pub(super) origin: Option<String>,
    /// What `$TTL` says.
    pub(super) default_ttl: Option<u32>,
    /// The last one that a record said: what holds without `$TTL` (RFC 1035, 5.1).
    last_ttl: Option<u32>,
    /// Owner of the last record, relative to the zone.
    pub(super) owner: Option<String>,
    /// That owner was wrong, and told: what follows it and says none is passed over.
    owner_is_wrong: bool,
    /// Of all files so far.
    pub(super) bytes: usize,
    /// Names of the files that are being read, outermost first.
    pub(super) open: Vec<String>,
    pub(super) is_over: bool,
}

/// The text that is being read.
#[derive(Clone, Copy)]
pub(super) struct Frame<'t> {
    pub(super) file: usize,
    pub(super) text: &'t str,
    /// The line that made it, of a text that stands in no file.
    pub(super) made_at: Option<Place>,
}

impl Frame<'_> {
    pub(super) fn place(&self, spot: Spot) -> Place {
        let here = || Place { file: self.file, line: spot.line, column: spot.column(self.text) };
        self.made_at.unwrap_or_else(here)
    }
}

impl<'l> Reader<'l> {
    pub(super) fn new(origin: Option<String>, limits: Limits, load: &'l Load<'l>) -> Self {
        Self {
            load,
            limits,
            files: Vec::new(),
            errors: Vec::new(),
            zone: origin.clone(),
            soa: None,
            records: Vec::new(),
            places: Vec::new(),
            origin,
            default_ttl: None,
            last_ttl: None,
            owner: None,
            owner_is_wrong: false,
            bytes: 0,
            open: Vec::new(),
            is_over: false,
        }
    }

    /// Reads a file, and those that it includes.
    pub(super) fn file(&mut self, name: &str, text: &str, included_at: Option<Place>) {
        let file = self.files.len();
        self.files.push(SourceFile { name: name.to_owned(), included_at });
        self.bytes = self.bytes.saturating_add(text.len());
        let frame = Frame { file, text, made_at: None };
        if self.bytes > self.limits.bytes {
            let most = self.limits.bytes;
            self.fault(frame, Spot::default(), format!("all files of a zone together have at most {most} bytes"), "");
            self.is_over = true;
            return;
        }
        self.open.push(name.to_owned());
        self.entries(frame);
        self.open.pop();
    }

    pub(super) fn entries(&mut self, frame: Frame<'_>) {
        let (mut lexer, mut tokens) = (Lexer::new(frame.text), Vec::new());
        while !self.is_over
            && let Some(entry) = lexer.entry(&mut tokens)
        {
            match entry {
                Err((spot, error)) => self.fault(frame, spot, error.what, error.hint),
                Ok(is_blank) => self.entry(frame, &tokens, is_blank),
            }
        }
    }

    pub(super) fn fault(&mut self, frame: Frame<'_>, spot: Spot, what: impl Into<String>, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        let place = if spot.line == 0 { Place { file: frame.file, line: 1, column: 1 } } else { frame.place(spot) };
        self.errors.push(WorldError::new(KeyPath::root(), what).at(place).maybe_hint(hint));
        self.is_over |= self.errors.len() >= ERRORS_MAX;
    }

    fn entry(&mut self, frame: Frame<'_>, tokens: &[Token<'_>], is_blank: bool) {
        let Some((first, rest)) = tokens.split_first() else { return };
        let word = first.text.to_ascii_uppercase();
        let is_directive = !first.is_quoted && word.starts_with('$');
        if is_directive && is_blank && DIRECTIVES.contains(&word.as_str()) {
            let what = format!("`{}` does not stand at the begin of its line", first.text);
            return self.fault(frame, first.spot, what, "drop the blanks before it");
        }
        if !is_directive || is_blank {
            return self.record(frame, tokens, is_blank);
        }
        self.directive(frame, first, &word, rest);
    }

    fn record(&mut self, frame: Frame<'_>, tokens: &[Token<'_>], is_blank: bool) {
        let mut rest = tokens;
        let mut name = None;
        if !is_blank && let Some((first, after)) = tokens.split_first() {
            rest = after;
            match names::absolute(first.text, self.origin.as_deref()) {
                Ok(absolute) => name = Some(absolute),
                Err(what) => return self.wrong_owner(frame, first.spot, what),
            }
            self.owner_is_wrong = false;
        }
        let spot = tokens.first().map_or(Spot::default(), |first| first.spot);
        let Some((said_ttl, rtype, words)) = self.head(frame, spot, rest) else {
            if let Some(name) = name {
                self.owner = self.zone.as_deref().and_then(|zone| names::owner(&name, zone));
            }
            return;
        };
        if let Some(name) = name
            && let Err(what) = self.take_owner(&name, rtype)
        {
            return self.wrong_owner(frame, spot, what);
        }
        let Some(owner) = self.owner.clone() else {
            if self.owner_is_wrong {
                return;
            }
            let what = "this record has no owner, and no record before it has one";
            return self.fault(frame, spot, what, "write a name at the very begin of the line");
        };
        let data = match data::read(rtype, words, self.origin.as_deref()) {
            Ok(data) => data,
            Err(why) => {
                let at = words.first().map_or(spot, |word| word.spot);
                return self.fault(frame, at, format!("this is not data of {}: {why}", rtype.mnemonic()), "");
            }
        };
        let Some(ttl) = said_ttl.or(self.default_ttl).or(self.last_ttl) else {
            let what = "this record has no TTL, and nothing before it says one";
            return self.fault(frame, spot, what, "begin the file with `$TTL 1h`");
        };
        self.last_ttl = said_ttl.or(self.last_ttl);
        self.put(frame, spot, owner, ttl, data);
    }

    fn wrong_owner(&mut self, frame: Frame<'_>, spot: Spot, what: String) {
        (self.owner, self.owner_is_wrong) = (None, true);
        self.fault(frame, spot, what, "");
    }

    /// TTL and class, each if it is there and in either order, the type, and the words of the data.
    fn head<'w, 't>(
        &mut self,
        frame: Frame<'_>,
        spot: Spot,
        words: &'w [Token<'t>],
    ) -> Option<(Option<u32>, TypeNumber, &'w [Token<'t>])> {
        let (mut rest, mut said_ttl, mut said_class) = (words, None, false);
        loop {
            let Some((word, after)) = rest.split_first() else {
                self.fault(frame, spot, "a type and data are missing", "write `www A 192.0.2.1`");
                return None;
            };
            rest = after;
            match ttl::seconds(word.text) {
                Some(Ok(seconds)) if said_ttl.is_none() => said_ttl = Some(seconds),
                Some(Ok(_)) => {
                    self.fault(frame, word.spot, format!("`{}` is a second TTL", word.text), "drop one of them");
                    return None;
                }
                Some(Err(what)) => {
                    self.fault(frame, word.spot, what, "");
                    return None;
                }
                None if is_class(word.text) && !said_class => {
                    said_class = true;
                    if !word.text.eq_ignore_ascii_case("IN") && !word.text.eq_ignore_ascii_case("CLASS1") {
                        let what = format!("class `{}` cannot be served", word.text);
                        self.fault(frame, word.spot, what, "only IN can; drop the record");
                        return None;
                    }
                }
                None => {
                    let rtype = TypeNumber::parse(&word.text.to_ascii_uppercase());
                    return match rtype {
                        Ok(rtype) => Some((said_ttl, rtype, rest)),
                        Err(why) => {
                            let what = format!("`{}` is not a type of record: {why}", word.text);
                            self.fault(frame, word.spot, what, "before it stand owner, TTL and class");
                            None
                        }
                    };
                }
            }
        }
    }

    /// Makes a name the owner of this record and of those that say none.
    fn take_owner(&mut self, name: &str, rtype: TypeNumber) -> Result<(), String> {
        let zone = match &self.zone {
            Some(zone) => zone,
            None if rtype.0 == 6 => self.zone.insert(name.to_owned()),
            None => return Err("the first record is not the zone's SOA, and nobody said the zone's name".to_owned()),
        };
        self.owner = names::owner(name, zone);
        match self.owner {
            Some(_) => Ok(()),
            None => Err(format!("`{name}` lies outside of the zone, `{zone}`")),
        }
    }

    fn put(&mut self, frame: Frame<'_>, spot: Spot, owner: String, ttl: u32, data: Data) {
        match data {
            Data::Soa(_) if owner != "@" => {
                self.fault(frame, spot, "a SOA stands at the zone's own name", "drop it");
            }
            Data::Soa(_) if self.soa.is_some() => {
                self.fault(frame, spot, "the zone has a SOA already", "drop one of them");
            }
            Data::Soa(soa) => self.soa = Some((Soa { ttl: Some(ttl), ..soa }, frame.place(spot))),
            Data::Of(_) if self.records.len() >= self.limits.records => {
                let most = self.limits.records;
                self.fault(frame, spot, format!("a zone has at most {most} records"), "");
                self.is_over = true;
            }
            Data::Of(data) => {
                self.records.push(Record { name: owner, data, ttl: Some(ttl) });
                self.places.push(frame.place(spot));
            }
        }
    }
}

fn is_class(word: &str) -> bool {
    let known = ["IN", "CH", "HS", "CS", "ANY", "NONE"].iter().any(|class| word.eq_ignore_ascii_case(class));
    known || word.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("CLASS"))
}
