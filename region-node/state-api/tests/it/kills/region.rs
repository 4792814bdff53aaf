//! A region as a process of its own: a store, its Redis protocol port, its links. It is this test binary, started once more.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use pki::{Identity, Principal, WorldCa};
use replication_link::{LinkConfig, Peer};
use replication_storage::{Durability, StateStore, StoreConfig};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Set in the process that is to be a region: its number, and the world's directory.
const REGION: &str = "ATOLL_TEST_REGION";
const WORLD: &str = "ATOLL_TEST_WORLD";
/// Stands before what a region says: the test runner writes to the same pipe.
const SAYS: &str = "@says ";
/// How long a region may take to say something.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the processes of a world share: a directory with keys and addresses.
pub(crate) struct World {
    dir: PathBuf,
    regions: u16,
}

impl World {
    /// A world of regions 1 to `regions`; its directory goes when it goes.
    pub(crate) fn new(regions: u16) -> Self {
        let dir = std::env::temp_dir().join(format!("atoll-kills-{}", std::process::id()));
        let ca = WorldCa::create(&dir.join("pki"), "shop").unwrap();
        // Sockets are held until all have a port, so that no port is given twice.
        let sockets: Vec<UdpSocket> = (0..regions).map(|_| UdpSocket::bind((LOCAL, 0)).unwrap()).collect();
        for (id, socket) in (1..=regions).zip(&sockets) {
            let files = ca.issue(&Principal::Region(name(id)), &[LOCAL]).unwrap();
            let addr = socket.local_addr().unwrap();
            let paths = [&files.ca, &files.cert, &files.key].map(|path| path.display().to_string());
            std::fs::write(dir.join(format!("{}.txt", name(id))), format!("{addr}\n{}\n", paths.join("\n"))).unwrap();
        }
        Self { dir, regions }
    }

    /// Starts a region, which goes on where its last process was killed.
    pub(crate) fn start(&self, id: u16) -> Region {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["kills::region::the_process_of_a_region", "--exact", "--nocapture", "--test-threads", "1"])
            .env(REGION, format!("{id}/{}", self.regions))
            .env(WORLD, &self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let (sender, said) = channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some((_, text)) = line.split_once(SAYS)
                    && sender.send(text.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        Region { process, stdin, said }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A running process; killed when it goes.
pub(crate) struct Region {
    process: Child,
    stdin: ChildStdin,
    said: Receiver<String>,
}

impl Region {
    /// Waits until it serves; its Redis protocol port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.hear().parse().unwrap()
    }

    /// What every partition has seen, as a hash, and the sum over what is in it.
    pub(crate) fn digest(&mut self) -> Vec<(u64, u64)> {
        writeln!(self.stdin, "digest").unwrap();
        let numbers: Vec<u64> = self.hear().split(' ').map(|number| number.parse().unwrap()).collect();
        numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect()
    }

    fn hear(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("the region's process says what it was asked")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn name(id: u16) -> String {
    format!("region-{id}")
}

/// The other side: not a test unless it is told to be a region.
#[test]
fn the_process_of_a_region() {
    let Ok(region) = std::env::var(REGION) else { return };
    let (id, regions) = region.split_once('/').unwrap();
    let world = PathBuf::from(std::env::var(WORLD).unwrap());
    be_a_region(id.parse().unwrap(), regions.parse().unwrap(), &world);
}

fn be_a_region(id: u16, regions: u16, world: &Path) {
    let mut config = StoreConfig::new(world.join(name(id)), "shop", id);
    // Small, so that kills fall into the changes of files and into checkpoints too.
    (config.segment_bytes, config.checkpoint_bytes, config.ring_bytes) = (64 << 10, 256 << 10, 64 << 10);
    config.durability = if id == regions { Durability::Always } else { Durability::EverySecond };
    let (store, _) = StateStore::open(config).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let _link = replication_link::start(link_config(id, regions, world), store.clone()).unwrap();
    let port = state_api::start(crate::port::config(), store.clone()).unwrap();
    println!("{SAYS}{}", port.local_addr());
    // Ends with the test: then nobody holds the other end any more.
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if line == "digest" {
            println!("{SAYS}{}", digest(&store));
        }
    }
}

fn link_config(id: u16, regions: u16, world: &Path) -> LinkConfig {
    let of = |id: u16| {
        let text = std::fs::read_to_string(world.join(format!("{}.txt", name(id)))).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let addr = |id: u16| of(id)[0].parse().unwrap();
    let peers = (1..=regions).filter(|peer| *peer != id).map(|id| Peer { id, name: name(id), addr: addr(id) });
    let files = of(id);
    let identity = Identity::load(Path::new(&files[1]), Path::new(&files[2]), Path::new(&files[3])).unwrap();
    LinkConfig { self_id: id, self_name: name(id), listen: addr(id), peers: peers.collect(), identity }
}

fn digest(store: &StateStore) -> String {
    use std::hash::{DefaultHasher, Hasher};
    let words = store.digest().partitions.into_iter().map(|partition| {
        let mut hasher = DefaultHasher::new();
        hasher.write(partition.vv.to_string().as_bytes());
        format!("{} {}", hasher.finish(), partition.sum)
    });
    words.collect::<Vec<_>>().join(" ")
}
