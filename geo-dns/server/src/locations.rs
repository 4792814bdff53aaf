//! Location files: databases and prefix files that lie over the embedded country table, watched, and read again when they change.
//!
//! ```text
//! every few seconds: time, size and inode of each file ─ another one, twice in a row ─▸ read ─▸ lay over each other ─▸ Geo ─▸ Views
//!                                                                                   each on a thread that no query waits for
//! ```
//!
//! - DNS never waits for a file: the embedded table answers until the files are read.
//! - A file is taken whole or not at all. One that is missing, cut short or rubbish leaves in force what was read of it before, and
//!   the status names it until it is put right.
//! - A file should be replaced by renaming another one over it. One that is written in place is read when it is left alone.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use steering::geo::{Geo, Layer, read_mmdb, read_prefixes};
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

/// From one look at the files to the next.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The largest file that is read, bytes: several times the largest city database.
const MAX_BYTES: u64 = 1 << 30;

/// What became of the files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LocationStatus {
    /// Each file, in the order in which they lie over each other.
    pub files: Vec<FileStatus>,
    /// How often something new was taken into force.
    pub loads: u64,
    /// How long the last time took, from reading to having it ready.
    pub took: Duration,
    /// How many bytes what is in force takes.
    pub bytes: usize,
    /// Whether every file was looked at once.
    pub looked: bool,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileStatus {
    /// The file.
    pub path: PathBuf,
    /// Of what is in force of it, if anything is.
    pub in_force: Option<InForce>,
    /// Why the file as it is now cannot be used.
    pub problem: Option<String>,
    /// Times that it could not be used, since the start.
    pub refusals: u64,
}

/// What is in force of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// What kind of database it calls itself; none of a prefix file.
    pub kind: Option<String>,
    /// When its maker built it, seconds since 1970; none of a prefix file.
    pub build_epoch: Option<u64>,
    /// When it was written to this disk.
    pub modified: SystemTime,
    /// How many ranges of addresses it tells apart.
    pub ranges: usize,
}

/// Files that are watched. Dropping it ends that; what is in force stays.
#[derive(Debug)]
pub struct Locations {
    geo: watch::Receiver<Arc<Geo>>,
    status: watch::Receiver<LocationStatus>,
    task: Option<JoinHandle<()>>,
}

impl Locations {
    /// Where addresses are, at present.
    pub fn geo(&self) -> watch::Receiver<Arc<Geo>> {
        self.geo.clone()
    }

    /// What became of the files.
    pub fn status(&self) -> watch::Receiver<LocationStatus> {
        self.status.clone()
    }
}

impl Drop for Locations {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Watches files that lie over the embedded table, the last one on top: `NAME.mmdb` is a database in MaxMind's format, every other
/// one a prefix file. To be called inside a tokio runtime.
pub fn watch_files(files: Vec<PathBuf>, look_every: Duration) -> Locations {
    let (geo_sender, geo) = watch::channel(Geo::embedded());
    let (status_sender, status) = watch::channel(LocationStatus::default());
    let task = (!files.is_empty()).then(|| {
        let watcher =
            Watcher { files: files.into_iter().map(Watched::new).collect(), geo: geo_sender, status: status_sender };
        tokio::spawn(watcher.run(look_every))
    });
    Locations { geo, status, task }
}

/// By what a file is known to have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> io::Result<Self> {
        Ok(Self { modified: metadata.modified()?, bytes: metadata.len(), inode: metadata.ino() })
    }
}

/// A file, and what is known of it.
struct Watched {
    path: PathBuf,
    /// At the last look; none if it was not there.
    seen: Option<Stamp>,
    /// When it was read last, whatever came of it.
    read: Option<Stamp>,
    /// What is in force of it. Not kept if it is the only file, since nothing is ever laid over it again.
    layer: Option<Arc<Layer>>,
    status: FileStatus,
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        let status = FileStatus { path: path.clone(), in_force: None, problem: None, refusals: 0 };
        Self { path, seen: None, read: None, layer: None, status }
    }

    /// Whether the file has to be read, now that it was seen like that.
    fn is_due(&mut self, seen: io::Result<Stamp>, first_look: bool) -> bool {
        match seen {
            Err(error) => {
                self.seen = None;
                self.read = None;
                self.refuse(format!("cannot be read: {error}"));
                false
            }
            Ok(stamp) => {
                // Somebody may be writing it still.
                let settled = first_look || self.seen == Some(stamp);
                self.seen = Some(stamp);
                settled && self.read != Some(stamp)
            }
        }
    }

    fn refuse(&mut self, why: String) {
        if self.status.problem.as_ref() != Some(&why) {
            let serves = if self.status.in_force.is_some() {
                "what was read of it before goes on serving"
            } else {
                "nothing of it is used"
            };
            tracing::warn!(file = %self.path.display(), error = why, "this location file cannot be used; {serves}");
            self.status.refusals += 1;
            self.status.problem = Some(why);
        }
    }
}

/// What was read of a file.
struct Fresh {
    layer: Arc<Layer>,
    in_force: InForce,
}

struct Watcher {
    files: Vec<Watched>,
    geo: watch::Sender<Arc<Geo>>,
    status: watch::Sender<LocationStatus>,
}

impl Watcher {
    async fn run(mut self, look_every: Duration) {
        let mut first_look = true;
        while !self.status.is_closed() || !self.geo.is_closed() {
            self.look(first_look).await;
            first_look = false;
            sleep(look_every).await;
        }
    }

    /// Looks at all files once, and takes what is new.
    async fn look(&mut self, first_look: bool) {
        let began = Instant::now();
        let paths: Vec<PathBuf> = self.files.iter().map(|file| file.path.clone()).collect();
        let seen =
            spawn_blocking(move || paths.iter().map(|path| Stamp::of(&path.metadata()?)).collect::<Vec<_>>()).await;
        // A look that failed as a whole is one that was not taken.
        let Ok(seen) = seen else { return };
        let mut fresh = Vec::new();
        for (i, seen) in seen.into_iter().enumerate() {
            let file = &mut self.files[i];
            if !file.is_due(seen, first_look) {
                continue;
            }
            let path = file.path.clone();
            match spawn_blocking(move || read(&path)).await.unwrap_or_else(|panic| Err(by_panic(&panic))) {
                Ok(read) => {
                    file.read = file.seen;
                    fresh.push((i, read));
                }
                Err(why) => {
                    file.read = file.seen;
                    file.refuse(why);
                }
            }
        }
        if !fresh.is_empty() {
            self.take(fresh, began).await;
        }
        let files: Vec<FileStatus> = self.files.iter().map(|file| file.status.clone()).collect();
        self.status.send_if_modified(|status| {
            let news = status.files != files || !status.looked;
            status.files = files;
            status.looked = true;
            news
        });
    }

    /// Lays everything over each other anew.
    async fn take(&mut self, fresh: Vec<(usize, Fresh)>, began: Instant) {
        let mut layers: Vec<Option<Arc<Layer>>> = self.files.iter().map(|file| file.layer.clone()).collect();
        for (i, read) in &fresh {
            layers[*i] = Some(read.layer.clone());
        }
        let below = layers.clone();
        let laid = spawn_blocking(move || {
            Geo::embedded().with(below.iter().flatten().map(|layer| &**layer)).map_err(|error| error.to_string())
        });
        let geo = match laid.await.unwrap_or_else(|panic| Err(by_panic(&panic))) {
            Ok(geo) => geo,
            Err(why) => {
                fresh.into_iter().for_each(|(i, _)| self.files[i].refuse(why.clone()));
                return;
            }
        };
        let is_only_one = self.files.len() == 1;
        for (i, read) in fresh {
            let file = &mut self.files[i];
            let (kind, ranges) = (read.in_force.kind.as_deref().unwrap_or("prefixes"), read.in_force.ranges);
            tracing::info!(file = %file.path.display(), kind, ranges, "this location file is in force");
            file.layer = (!is_only_one).then_some(read.layer);
            file.status.in_force = Some(read.in_force);
            file.status.problem = None;
        }
        let bytes = geo.bytes();
        self.geo.send_replace(Arc::new(geo));
        self.status.send_modify(|status| {
            status.loads += 1;
            status.bytes = bytes;
            status.took = began.elapsed();
        });
    }
}

fn by_panic(panic: &tokio::task::JoinError) -> String {
    format!("reading it made this program panic, which is a fault of the program: {panic}")
}

/// Reads a file, whole.
fn read(path: &Path) -> Result<Fresh, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let modified = metadata.modified().map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("has more than {MAX_BYTES} bytes; use a database with less detail"));
    }
    let source = format!("file {}", path.display());
    let (layer, kind, build_epoch) = if path.extension().is_some_and(|extension| extension == "mmdb") {
        let (mut layer, head) = read_mmdb(&bytes, &source).map_err(|error| error.to_string())?;
        layer.source = format!("{source} ({})", head.kind).into();
        (layer, Some(head.kind), Some(head.build_epoch))
    } else {
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            format!("is no text, which a prefix file is ({error}); a database is named like city.mmdb")
        })?;
        (read_prefixes(text, &source).map_err(|error| error.to_string())?, None, None)
    };
    let in_force = InForce { kind, build_epoch, modified, ranges: layer.ranges() };
    Ok(Fresh { layer: Arc::new(layer), in_force })
}
