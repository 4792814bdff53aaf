//! Closed incarnations leave the vectors that regions tell each other: one sum stands for what a region has of one.
//!
//! A region that cannot be sure of its past goes on under a new name, and its old name, a *closed* replica, writes no more.
//! Contexts name it for ever, in every partition, though nothing of it changes: told in full, each lost disk would add
//! 2.6 KB to every hello (measured, packed) and some bytes to every acknowledgement. So from version 3 on a hello says of a closed replica
//! one [`Column`], 22 bytes, and acknowledgements leave it out.
//!
//! Laws:
//! - *closed is what its own region says so of*: a replica is closed once a hello of its region, under another name, has
//!   listed it. Names are not used again, so nothing that is closed opens; a region that hears its present name called
//!   closed has lost its past, and takes a new one.
//! - *closed is not finished*: a detached region, or a disk that was put back, may hold changes of a closed replica that
//!   nobody else has, and must be able to deliver them. So "I have it all" is never said: a column stands for exact
//!   numbers, and they stay in each partition's context. A rule like "all incarnations below N are covered" would call
//!   such changes duplicates, and lose them.
//! - *a column is believed by whoever can say it himself*: if it equals the hearer's own, the hearer's numbers are the
//!   speaker's. If not, the speaker is taken to have nothing of that replica until he has told his vectors in full.
//! - *less than the truth is safe*: whoever is taken to have less than he has is sent more than he lacks, and forgets no
//!   removal too early; he ends in the same state (the catch-ups of core's `laws.rs`).

use std::collections::BTreeSet;

use replication_core::{ReplicaId, VersionVector};
use xxhash_rust::xxh3::Xxh3;

/// A closed replica, and how far each partition has followed it, in one sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) replica: ReplicaId,
    /// 128 bits, so that two different columns never have the same one.
    pub(crate) sum: u128,
}

impl Column {
    fn of(vectors: &[(u16, VersionVector)], replica: ReplicaId) -> Self {
        let mut sum = Xxh3::new();
        for (partition, vv) in vectors {
            let seq = vv.get(replica);
            if seq > 0 {
                sum.update(&partition.to_le_bytes());
                sum.update(&seq.to_le_bytes());
            }
        }
        Self { replica, sum: sum.digest128() }
    }
}

/// Takes closed replicas out of the vectors of all partitions, and says in their place what it took.
pub(crate) fn take_out(vectors: &mut [(u16, VersionVector)], closed: &BTreeSet<ReplicaId>) -> Vec<Column> {
    let columns = closed.iter().map(|replica| Column::of(vectors, *replica)).collect();
    for (_, vv) in vectors.iter_mut() {
        *vv = without(vv, closed);
    }
    columns
}

/// Puts in what `columns` stand for, as far as `ours`, the hearer's vectors of all partitions, can tell; whether they could
/// tell all of it.
pub(crate) fn put_back(theirs: &mut [(u16, VersionVector)], columns: &[Column], ours: &[(u16, VersionVector)]) -> bool {
    let known: Vec<ReplicaId> =
        columns.iter().filter(|column| Column::of(ours, column.replica) == **column).map(|c| c.replica).collect();
    for (partition, vv) in theirs.iter_mut() {
        let Some((_, own)) = ours.get(usize::from(*partition)) else { continue };
        known.iter().for_each(|replica| vv.raise(*replica, own.get(*replica)));
    }
    known.len() == columns.len()
}

/// A vector without what is closed.
fn without(vv: &VersionVector, closed: &BTreeSet<ReplicaId>) -> VersionVector {
    vv.iter().filter(|(replica, _)| !closed.contains(replica)).collect()
}

/// What a connection's hello said of closed replicas, so that acknowledgements need not repeat it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    closed: BTreeSet<ReplicaId>,
    /// Per partition, how many changes of them that were. It rises whenever any of them does, since none ever falls.
    covered: Vec<u64>,
}

impl Said {
    /// What is said by columns that stand for `closed` in `vectors`, which are those of all partitions.
    pub(crate) fn new(vectors: &[(u16, VersionVector)], closed: BTreeSet<ReplicaId>) -> Self {
        let covered = vectors.iter().map(|(_, vv)| covered(vv, &closed)).collect();
        Self { closed, covered }
    }

    /// What an acknowledgement of a partition has to name: closed replicas only if there is more of them than was said.
    pub(crate) fn news(&mut self, partition: u16, vv: VersionVector) -> VersionVector {
        let Some(said) = self.covered.get_mut(usize::from(partition)).filter(|_| !self.closed.is_empty()) else {
            return vv;
        };
        let covered = covered(&vv, &self.closed);
        if std::mem::replace(said, covered) == covered { without(&vv, &self.closed) } else { vv }
    }
}

fn covered(vv: &VersionVector, closed: &BTreeSet<ReplicaId>) -> u64 {
    closed.iter().map(|replica| vv.get(*replica)).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn replica(region: u16, incarnation: u32) -> ReplicaId {
        ReplicaId { region, incarnation }
    }

    /// Vectors of eight partitions over four replicas, mostly small.
    fn some_vectors(dice: &mut fastrand::Rng) -> Vec<(u16, VersionVector)> {
        let names = [replica(1, 7), replica(1, 9), replica(2, 3), replica(3, 5)];
        let vv = |dice: &mut fastrand::Rng| names.iter().map(|name| (*name, dice.u64(..3))).collect();
        (0..8).map(|partition| (partition, vv(dice))).collect()
    }

    #[test]
    fn whoever_has_the_same_reads_the_same_and_nobody_reads_more_than_is_there() {
        let closed: BTreeSet<ReplicaId> = [replica(1, 7), replica(2, 3)].into();
        let mut dice = fastrand::Rng::with_seed(3);
        let mut told = [0, 0];
        for _ in 0..2_000 {
            let theirs = some_vectors(&mut dice);
            let mut ours = some_vectors(&mut dice);
            if dice.bool() {
                // The hearer has the same of one of them.
                for ((_, ours), (_, theirs)) in ours.iter_mut().zip(&theirs) {
                    let same = theirs.get(replica(1, 7));
                    *ours = without(ours, &[replica(1, 7)].into());
                    ours.raise(replica(1, 7), same);
                }
            }
            let mut heard = theirs.clone();
            let columns = take_out(&mut heard, &closed);
            assert!(heard.iter().all(|(_, vv)| closed.iter().all(|replica| vv.get(*replica) == 0)));
            let all = put_back(&mut heard, &columns, &ours);
            told[usize::from(all)] += 1;
            for ((_, heard), (_, theirs)) in heard.iter().zip(&theirs) {
                assert!(theirs.dominates(heard), "[{heard}] is more than [{theirs}]");
                assert!(!all || heard == theirs);
                assert_eq!(without(heard, &closed), without(theirs, &closed));
            }
            let mut to_itself = theirs.clone();
            let columns = take_out(&mut to_itself, &closed);
            assert!(put_back(&mut to_itself, &columns, &theirs));
            assert_eq!(to_itself, theirs);
        }
        assert!(told[0] > 100, "{told:?}");
    }

    #[test]
    fn an_acknowledgement_names_what_is_closed_once_more_of_it_has_come() {
        let (open, gone) = (replica(1, 9), replica(1, 7));
        let vv = |gone_seq, open_seq| -> VersionVector { [(gone, gone_seq), (open, open_seq)].into_iter().collect() };
        let mut said = Said::new(&[(0, vv(4, 1)), (1, vv(0, 1))], [gone].into());
        assert_eq!(said.news(0, vv(4, 2)), vv(0, 2));
        assert_eq!(said.news(0, vv(5, 2)), vv(5, 2), "a disk was put back");
        assert_eq!(said.news(0, vv(5, 3)), vv(0, 3));
        assert_eq!(said.news(1, vv(1, 1)), vv(1, 1));
        assert_eq!(Said::default().news(0, vv(4, 2)), vv(4, 2));
    }

    #[test]
    fn a_column_tells_which_partition_has_what() {
        let closed: BTreeSet<ReplicaId> = [replica(1, 7)].into();
        let vectors = |a: u64, b: u64| -> Vec<(u16, VersionVector)> {
            [a, b].into_iter().zip(0..).map(|(seq, id)| (id, [(replica(1, 7), seq)].into_iter().collect())).collect()
        };
        let column = |mut vectors: Vec<(u16, VersionVector)>| take_out(&mut vectors, &closed)[0].sum;
        assert_ne!(column(vectors(1, 2)), column(vectors(2, 1)));
        assert_ne!(column(vectors(0, 1)), column(vectors(1, 0)));
        assert_eq!(column(vectors(5, 6)), column(vectors(5, 6)));
    }
}
