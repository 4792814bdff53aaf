//! Makes a data directory ready: the world file, the CA and its certificates, the admin token, one configuration per region.
//!
//! ```text
//! .atoll/world.toml  up.lock  up.sock  admin.token  admin.token.hash
//!        pki/ca.pem ca.key  pki/<region>.region.pem .key
//!        regions/<region>/region.toml  region.log  state/  plane/  follower/
//! ```
//! Everything that exists is kept: a second `up` on the same data resumes the same world.

use std::{
    fs::{self, File, OpenOptions},
    num::NonZeroUsize,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use anyhow::Context;
use model::{Profile, RegionName, World};

use super::{layout::Layout, ports, wan};
use crate::{
    cli::UpArgs,
    exit::Misuse,
    output,
    region::{
        config::{AppConfig, DnsOptions, PkiFiles, RegionConfig},
        gateway_options::GatewayOptions,
    },
    verbs::world_files,
};

/// A data directory that is ready to be run, and the lock that keeps a second parent out.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) dir: PathBuf,
    pub(crate) world: World,
    pub(crate) layout: Layout,
    pub(crate) ca: PathBuf,
    pub(crate) token_file: PathBuf,
    /// Whether the demo shop is what runs.
    pub(crate) is_demo: bool,
    _lock: File,
}

impl Prepared {
    /// A region's own folder.
    pub(crate) fn region_dir(&self, name: &RegionName) -> PathBuf {
        self.dir.join("regions").join(name.as_str())
    }
}

pub(crate) fn prepare(dir: &Path, args: &UpArgs) -> anyhow::Result<Prepared> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the data directory {}", dir.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("data directory {}", dir.display()))?;
    let lock = lock(&dir)?;
    let world_file = dir.join("world.toml");
    let (text, is_new) = world_text(&world_file, args)?;
    let world = read_world(&text, &world_file, args)?;
    let layout = Layout::of(&world)?;
    // Before anything is written: a world that cannot listen here must not claim the directory.
    ports::check(&layout)?;
    if is_new {
        fs::write(&world_file, text).with_context(|| format!("cannot write {}", world_file.display()))?;
    }

    let pki_dir = dir.join("pki");
    let ca = pki::WorldCa::open_or_create(&pki_dir, &world.name)?;
    let token_file = dir.join("admin.token");
    let hash_file = dir.join("admin.token.hash");
    let token =
        if token_file.exists() { pki::AdminToken::load(&token_file)? } else { pki::AdminToken::create(&token_file)? };
    token.hash().save(&hash_file)?;

    let (apps, app) = app(args)?;
    let is_demo = apps.is_none();
    let locations = locations(args)?;
    let round_trip_ms = wan::longest_round_trip_ms(&world, args.wan);
    for name in layout.names() {
        let Some(listen) = layout.listen(name) else { continue };
        let folder = dir.join("regions").join(name.as_str());
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let issued = ca.issue(&pki::Principal::Region(name.to_string()), &[listen.admin.ip()])?;
        let config = RegionConfig {
            gateway: GatewayOptions { internal: Some(Layout::internal(&listen)), ..GatewayOptions::default() },
            region: name.clone(),
            world: world_file.clone(),
            data: folder.clone(),
            admin_token_hash: hash_file.clone(),
            round_trip_ms,
            // All regions share this machine: one thread each keeps them from waking one another's cores for nothing.
            threads: Some(1),
            dns: DnsOptions { threads: Some(NonZeroUsize::MIN), ..DnsOptions::default() },
            max_memory_bytes: None,
            checks: Default::default(),
            pki: PkiFiles { ca: ca.ca_pem_path(), cert: issued.cert, key: issued.key },
            listen,
            peers: layout.peers(name).into_iter().collect(),
            locations: locations.clone(),
            apps: apps.clone(),
            app: app.clone(),
        };
        let text = toml::to_string(&config).context("region configuration as TOML")?;
        let file = folder.join("region.toml");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(Prepared { ca: ca.ca_pem_path(), dir, world, layout, token_file, is_demo, _lock: lock })
}

/// The location files by absolute paths: regions read them, too. One that is not there is a slip of whoever has just typed it.
fn locations(args: &UpArgs) -> anyhow::Result<Vec<PathBuf>> {
    let absolute = |file: &PathBuf| {
        file.canonicalize().map_err(|error| Misuse(format!("{}: cannot be read: {error}", file.display())).into())
    };
    args.locations.iter().map(absolute).collect()
}

/// One parent per data directory. The kernel releases the lock however the parent ends.
fn lock(dir: &Path) -> anyhow::Result<File> {
    let file = dir.join("up.lock");
    let lock = OpenOptions::new().create(true).append(true).open(&file);
    let lock = lock.with_context(|| format!("cannot open {}", file.display()))?;
    if rustix::fs::flock(lock.as_fd(), rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(Misuse(format!(
            "{} is already running a world; stop it, or choose another directory with --data",
            dir.display()
        ))
        .into());
    }
    Ok(lock)
}

/// The text of the directory's world, or of a new default one.
fn world_text(file: &Path, args: &UpArgs) -> anyhow::Result<(String, bool)> {
    if !file.exists() {
        let profile = args.profile.map_or_else(Profile::default, Profile::from);
        return Ok((World::default_toml_of(profile, args.regions.unwrap_or(3), args.net), true));
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok((text, false))
}

fn read_world(text: &str, file: &Path, args: &UpArgs) -> Result<World, Misuse> {
    let world = world_files::parse(file, text)?;
    if args.regions.is_some_and(|regions| regions != world.regions.len()) {
        return Err(Misuse(format!(
            "{} is a world of {} regions; drop --regions, or choose another directory with --data",
            file.display(),
            world.regions.len()
        )));
    }
    if args.profile.is_some_and(|profile| Profile::from(profile) != world.profile) {
        return Err(Misuse(format!(
            "{} founds a world of profile `{}`; drop --profile and change the profile with `atoll apply`, or choose another directory with --data",
            file.display(),
            world.profile
        )));
    }
    Ok(world)
}

/// The user's apps, or the demo shop of this very binary. An app file is read here only to find its errors before anything starts:
/// each region reads it again, then and on each reload.
fn app(args: &UpArgs) -> anyhow::Result<(Option<PathBuf>, Option<AppConfig>)> {
    if let Some(file) = &args.app {
        let read = app_config::read(file, &app_config::Options::default());
        let notes = read.map_err(|problems| Misuse(problems.to_string()))?.notes;
        for note in notes {
            output::remark(&format!("{}: {note}", file.display()));
        }
        let path = file.canonicalize().with_context(|| format!("{}: no such file", file.display()))?;
        return Ok((Some(path), None));
    }
    let binary = std::env::current_exe().context("the path of this program")?;
    let shop = AppConfig {
        name: "demo-shop".into(),
        command: vec![binary.to_string_lossy().into_owned(), "demo-app".into()],
        instances: 1,
        env: Default::default(),
        cwd: None,
        health: "/healthz".into(),
    };
    Ok((None, Some(shop)))
}
