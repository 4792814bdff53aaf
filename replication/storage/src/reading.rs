//! Reading a directory into memory, without changing anything in it: the last checkpoint, the journal behind it, and the
//! question whether this is surely all that was ever said from here.

use std::path::Path;

use replication_core::{Hlc, Partition, ReplicaId};

use crate::{
    Files, OpenError,
    checkpoint::{self, Last, Marks},
    identity::Found,
    journal::{
        self, Owner, Reached, Replayed, Sink,
        record::{Kind, Record},
    },
    lanes::{self, Router},
};

/// What was found in a directory.
pub(crate) struct Reading {
    pub(crate) replay: Replay,
    /// The checkpoint that it began with.
    pub(crate) last: Option<Last>,
    pub(crate) replayed: Replayed,
    /// Why the next start takes a new name, if it has to.
    pub(crate) in_doubt: Option<String>,
    /// The last process of this boot of the machine lost a sync and did not make it good.
    pub(crate) sync_lost: bool,
}

/// What was read into memory.
pub(crate) struct Replay {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) marks: Marks,
    /// The stamp of the last change made here.
    pub(crate) last_local: Hlc,
    /// The latest stamp of all changes, whoever made them: no more to be trusted than when they came.
    pub(crate) last_seen: Hlc,
}

/// Reads a directory. `known` is the identity that was found in it; `me` is who reads, through so many `lanes`.
pub(crate) fn read(
    files: &dyn Files,
    dir: &Path,
    owner: &Owner,
    me: ReplicaId,
    known: Option<&Found>,
    lanes: usize,
) -> Result<Reading, OpenError> {
    let power_failed = known.is_none_or(|known| known.power_failed(files));
    let (read, filled) = lanes::fill(dir, lanes, me, |router| {
        let loaded = checkpoint::load(files, dir, owner, router)?;
        let (last, mut marks) = loaded.map_or((None, Marks::default()), |(last, marks)| (Some(last), marks));
        let before = marks.last;
        let from = last.map_or(0, |last| last.position);
        let mut sink = IntoLanes { router, marks: &mut marks };
        let replayed = journal::replay(files, dir, owner, from, power_failed, &mut sink)?;
        Ok((last, marks, before, replayed))
    })?;
    let (last, mut marks, before, replayed) = read;
    marks.last = marks.last.max(filled.last_local);
    // A checkpoint does not tell changes made here from others; none of them was made after its last stamp.
    let last_local = before.max(filled.last_local);
    let replay = Replay { partitions: filled.partitions, marks, last_local, last_seen: filled.last_seen };
    let reached = Reached::load(files, dir)?;
    let in_doubt = doubt(files, known, &replayed, last, reached);
    let sync_lost = !power_failed && reached.is_some_and(|reached| reached.sync_lost);
    Ok(Reading { replay, last, replayed, in_doubt, sync_lost })
}

/// Where the journal's records go: changes to the lanes, the rest into the marks.
struct IntoLanes<'a> {
    router: &'a mut Router,
    marks: &'a mut Marks,
}

impl Sink for IntoLanes<'_> {
    fn begin(&mut self, file: &Path) {
        self.router.begin(file);
    }

    fn take(&mut self, at: u64, record: &Record<'_>) -> Result<(), String> {
        match record.kind {
            Kind::Delta | Kind::CatchUp => self.router.route(at, record),
            Kind::Watermarks => {
                let marks = Marks::decode(record.payload).ok_or("watermarks that cannot be read")?;
                self.marks.last = self.marks.last.max(marks.last);
                self.marks.regions.extend(marks.regions);
            }
            Kind::Partition | Kind::Piece | Kind::End => return Err("a record that belongs into a checkpoint".into()),
            Kind::Synced => {}
        }
        Ok(())
    }
}

/// Why it is not certain that everything ever said from this directory is still in it.
fn doubt(
    files: &dyn Files,
    known: Option<&Found>,
    replayed: &Replayed,
    checkpoint: Option<Last>,
    reached: Option<Reached>,
) -> Option<String> {
    if let Some(torn) = &replayed.torn {
        return Some(format!("{} was cut off at byte {}: {}", torn.file.display(), torn.offset, torn.what));
    }
    let Some(known) = known else {
        let something = replayed.last.is_some() || checkpoint.is_some();
        return something.then(|| "the file `identity` cannot be read".into());
    };
    if let Some(doubt) = known.doubt(files) {
        return Some(doubt.into());
    }
    let end = replayed.end;
    match reached {
        _ if replayed.last.is_none() => Some("the journal is not there".into()),
        None => Some("the note of how far the journal had got cannot be read".into()),
        Some(Reached { position, .. }) if position > end => {
            Some(format!("the journal ends at position {end} and had got to {position} before"))
        }
        Some(_) => None,
    }
}
