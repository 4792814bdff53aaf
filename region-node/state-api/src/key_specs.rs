//! Where the keys of a command stand, as `COMMAND INFO` tells it to clients that route by key. Most commands have one place, which
//! follows from [`Keys`]; the others list theirs.

use crate::{
    resp::Writer,
    table::{Command, Keys},
};

/// One place of keys among the arguments.
#[derive(Clone, Copy)]
pub(crate) struct KeySpec {
    flags: &'static [&'static str],
    place: Place,
    notes: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Place {
    /// From the argument at `first` on, every `step`th up to `last`, which counts from `first`, or from the end when negative.
    Range { first: usize, last: i64, step: usize },
    /// The argument at this place says how many keys follow it.
    Counted(usize),
    /// It depends on what the keys hold, or may be anywhere.
    #[allow(dead_code, reason = "for SORT, whose patterns make names out of what is sorted")]
    Unknown,
}

impl KeySpec {
    /// One key.
    pub(crate) const fn at(first: usize, flags: &'static [&'static str]) -> Self {
        Self { flags, place: Place::Range { first, last: 0, step: 1 }, notes: None }
    }

    /// All arguments from `first` on.
    pub(crate) const fn from(first: usize, flags: &'static [&'static str]) -> Self {
        Self { flags, place: Place::Range { first, last: -1, step: 1 }, notes: None }
    }

    /// As many as the argument at `at` says.
    pub(crate) const fn counted(at: usize, flags: &'static [&'static str]) -> Self {
        Self { flags, place: Place::Counted(at), notes: None }
    }

    /// Nobody can tell without running the command.
    #[allow(dead_code, reason = "for SORT, whose patterns make names out of what is sorted")]
    pub(crate) const fn unknown(flags: &'static [&'static str], notes: &'static str) -> Self {
        Self { flags, place: Place::Unknown, notes: Some(notes) }
    }

    fn of(keys: Keys) -> Self {
        // Relative to the first key, unless counted from the end.
        let last = if keys.last < 0 { keys.last.into() } else { i64::from(keys.last) - keys.first as i64 };
        let place = match keys.counted {
            Some(at) if keys.first == 0 => Place::Counted(at),
            _ => Place::Range { first: keys.first, last, step: keys.step },
        };
        Self { flags: keys.flags, place, notes: keys.notes }
    }

    fn write(&self, out: &mut Writer) {
        out.map(3 + usize::from(self.notes.is_some()));
        if let Some(notes) = self.notes {
            out.bulk(b"notes");
            out.bulk(notes.as_bytes());
        }
        out.bulk(b"flags");
        out.set(self.flags.len());
        self.flags.iter().for_each(|flag| out.status(flag));
        let (begin, find) = match self.place {
            Place::Range { first, last, step } => (
                [("index", first as i64)].to_vec(),
                ("range", [("lastkey", last), ("keystep", step as i64), ("limit", 0)].to_vec()),
            ),
            Place::Counted(at) => (
                [("index", at as i64)].to_vec(),
                ("keynum", [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)].to_vec()),
            ),
            Place::Unknown => (Vec::new(), ("unknown", Vec::new())),
        };
        write_step(out, "begin_search", if begin.is_empty() { "unknown" } else { "index" }, &begin);
        write_step(out, "find_keys", find.0, &find.1);
    }
}

fn write_step(out: &mut Writer, name: &str, kind: &str, spec: &[(&str, i64)]) {
    out.bulk(name.as_bytes());
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(spec.len());
    for (field, value) in spec {
        out.bulk(field.as_bytes());
        out.int(*value);
    }
}

impl Command {
    /// Whether a router cannot tell all keys by their places alone.
    pub(crate) fn has_movable_keys(&self) -> bool {
        self.all_specs().iter().any(|spec| !matches!(spec.place, Place::Range { .. }))
    }

    /// Writes all places of keys.
    pub(crate) fn write_key_specs(&self, out: &mut Writer) {
        let specs = self.all_specs();
        out.set(specs.len());
        specs.iter().for_each(|spec| spec.write(out));
    }

    fn all_specs(&self) -> Vec<KeySpec> {
        if self.specs.is_empty() { self.keys.into_iter().map(KeySpec::of).collect() } else { self.specs.to_vec() }
    }
}
