//! Reading a directory into memory, without changing anything in it: the last checkpoint, the journal behind it, and the
//! question whether this is surely all that was ever said from here.

use std::path::Path;

use replication_core::{CatchUp, Delta, Hlc, Merged, PARTITIONS, Partition, ReplicaId};

use crate::{
    Files, OpenError,
    checkpoint::{self, Last, Loaded, Marks},
    identity::Found,
    journal::{
        self, Owner, Reached, Replayed,
        record::{Kind, Record},
    },
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

/// Reads a directory. `known` is the identity that was found in it; `me` is who reads.
pub(crate) fn read(
    files: &dyn Files,
    dir: &Path,
    owner: &Owner,
    me: ReplicaId,
    known: Option<&Found>,
) -> Result<Reading, OpenError> {
    let (mut replay, last) = begin(checkpoint::load(files, dir, owner, me)?, me);
    let from = last.map_or(0, |last| last.position);
    let power_failed = known.is_none_or(|known| known.power_failed(files));
    let replayed = journal::replay(files, dir, owner, from, power_failed, &mut |record| replay.take(record))?;
    let reached = Reached::load(files, dir)?;
    let in_doubt = doubt(files, known, &replayed, last, reached);
    let sync_lost = !power_failed && reached.is_some_and(|reached| reached.sync_lost);
    Ok(Reading { replay, last, replayed, in_doubt, sync_lost })
}

fn begin(loaded: Option<Loaded>, me: ReplicaId) -> (Replay, Option<Last>) {
    match loaded {
        Some(Loaded { last, marks, partitions }) => {
            (Replay { partitions, last_local: marks.last, marks, me }, Some(last))
        }
        None => {
            let partitions = (0..PARTITIONS).map(|id| Partition::new(id, me)).collect();
            (Replay { partitions, marks: Marks::default(), last_local: Hlc::ZERO, me }, None)
        }
    }
}

/// What the journal is read into.
pub(crate) struct Replay {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) marks: Marks,
    /// The stamp of the last change made here.
    pub(crate) last_local: Hlc,
    me: ReplicaId,
}

impl Replay {
    fn take(&mut self, record: &Record<'_>) -> Result<(), String> {
        match record.kind {
            Kind::Delta => self.delta(record.payload),
            Kind::CatchUp => self.catch_up(record.payload),
            Kind::Watermarks => {
                let marks = Marks::decode(record.payload).ok_or("watermarks that cannot be read")?;
                self.marks.last = self.marks.last.max(marks.last);
                self.marks.regions.extend(marks.regions);
                Ok(())
            }
            Kind::Partition | Kind::Piece | Kind::End => Err("a record that belongs into a checkpoint".into()),
            Kind::Synced => Ok(()),
        }
    }

    fn delta(&mut self, payload: &[u8]) -> Result<(), String> {
        let (delta, _) = Delta::decode(payload).map_err(|e| e.to_string())?.ok_or("a delta that is cut off")?;
        self.marks.last = self.marks.last.max(delta.hlc);
        if delta.replica == self.me {
            self.last_local = self.last_local.max(delta.hlc);
        }
        match self.partition(delta.partition)?.merge(&delta) {
            Merged::Applied | Merged::Duplicate => Ok(()),
            Merged::Gap { have, got } => {
                Err(format!("change {got} of replica {} follows change {have}: some are missing", delta.replica))
            }
            Merged::WrongPartition => Err("a change that belongs to another partition".into()),
        }
    }

    fn catch_up(&mut self, payload: &[u8]) -> Result<(), String> {
        let (catch_up, _) = CatchUp::decode(payload).map_err(|e| e.to_string())?.ok_or("a catch-up that is cut off")?;
        self.partition(catch_up.partition)?.apply_catch_up(&catch_up).map_err(|e| e.to_string())?;
        Ok(())
    }

    fn partition(&mut self, id: u16) -> Result<&mut Partition, String> {
        self.partitions
            .get_mut(usize::from(id))
            .ok_or_else(|| format!("a change of partition {id}, which does not exist"))
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
