//! Reading with several workers: the outcome is that of one, and so is what is refused.

use super::*;
use crate::{
    OpenError, Threads,
    journal::{Owner, record, segment},
    reading::{self, Reading},
};

fn read(dir: &Path, lanes: usize) -> Result<Reading, OpenError> {
    let found = Identity::load(&RealFiles, dir).unwrap().unwrap();
    let incarnation = found.identity.incarnation;
    let me = replication_core::ReplicaId { region: 1, incarnation };
    reading::read(&RealFiles, dir, &Owner::new("shop", 1, incarnation), me, Some(&found), lanes)
}

fn catch_up(from: &StateStore, to: &StateStore, id: u16) {
    to.apply_catch_up(&from.catch_up_since(id, &to.version_vector(id))).unwrap();
}

/// A directory with a checkpoint, several segments behind it, and changes of a peer among them.
fn lived() -> TempDir {
    let (dir, elsewhere) = (TempDir::new(), TempDir::new());
    let small = StoreConfig { segment_bytes: 20_000, threads: Threads::None, ..config(&dir, 1) };
    let (store, peer) = (open_with(small).0, open_with(config(&elsewhere, 2)).0);
    for n in 0..2000 {
        run(&store, &set(&format!("k{}", n % 700), &format!("value {n}")));
        run(&store, &incr("counter", 1));
        run(&store, &sadd(&format!("set{}", n % 30), &format!("member {n}")));
        if n % 5 == 0 {
            run(&store, &del(&format!("k{}", n % 350)));
            run(&peer, &incr("counter", 1));
            run(&peer, &set(&format!("k{}", n % 700), "elsewhere"));
        }
        if n == 800 {
            store.checkpoint().unwrap();
        }
        if n % 200 == 0 {
            store.inner.journal.sync().unwrap();
            (0..PARTITIONS).for_each(|id| catch_up(&peer, &store, id));
        }
    }
    store.shutdown().unwrap();
    dir
}

#[test]
fn any_number_of_workers_reads_the_same() {
    let dir = lived();
    assert!(dir.files("journal").len() > 2 && dir.files("checkpoint").len() == 1);
    let one = read(&dir, 1).unwrap();
    let keys = |reading: &Reading| {
        let mut keys = Vec::new();
        reading.replay.partitions.iter().for_each(|partition| {
            partition.scan(0, usize::MAX, NOON, &mut keys);
        });
        keys
    };
    assert!(keys(&one).len() > 600);
    for lanes in [2, 3, 8] {
        let many = read(&dir, lanes).unwrap();
        assert_eq!((many.replayed.records, many.replayed.end), (one.replayed.records, one.replayed.end));
        let stamps =
            |reading: &Reading| (reading.replay.marks.clone(), reading.replay.last_local, reading.replay.last_seen);
        assert_eq!(stamps(&many), stamps(&one));
        for (a, b) in many.replay.partitions.iter().zip(&one.replay.partitions) {
            assert_eq!((a.id(), a.vv(), a.digest()), (b.id(), b.vv(), b.digest()), "{lanes} lanes");
        }
        assert_eq!(keys(&many), keys(&one), "even the order of keys is the same");
    }
}

#[test]
fn of_several_records_that_cannot_be_read_the_first_is_named() {
    let dir = TempDir::new();
    let store = open(&dir);
    (0..50).for_each(|n| drop(run(&store, &set(&format!("k{n}"), "v"))));
    store.shutdown().unwrap();
    drop(store);
    // From here on changes are missing, in many partitions; their records are whole.
    let file = dir.files("journal").pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let (mut at, mut starts) = (segment::HEADER, Vec::new());
    while at < bytes.len() {
        starts.push(at);
        at += record::read(&bytes[at..]).unwrap().len();
    }
    let mut spoilt = bytes[..starts[20]].to_vec();
    for at in &starts[20..30] {
        let whole = record::read(&bytes[*at..]).unwrap();
        record::append(&mut spoilt, whole.kind, |buf| {
            buf.extend_from_slice(whole.payload);
            *buf.last_mut().unwrap() ^= 1;
        });
    }
    fs::write(&file, spoilt).unwrap();
    for lanes in [1, 2, 8] {
        match read(&dir, lanes).map(drop) {
            Err(OpenError::Damaged { file: named, offset, what }) => {
                assert_eq!((named, offset), (file.clone(), starts[20] as u64), "{lanes} lanes");
                assert!(what.contains("checksum"), "{what}");
            }
            other => panic!("{lanes} lanes: {other:?}"),
        }
    }
}
