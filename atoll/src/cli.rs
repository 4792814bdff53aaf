//! The command line, as data. What each verb does is in `verbs/`, `up/` and `region.rs`.

use std::{net::IpAddr, path::PathBuf};

use chaos_sim::{
    decision::{self, DecisionSim},
    state,
};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::verbs::sim::Seeds;

/// Run an app in several regions at once.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, about, disable_help_subcommand = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) world: WorldArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where the world is.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorldArgs {
    /// Data directory of a local world
    #[arg(long, global = true, default_value = ".atoll", env = "ATOLL_DATA")]
    pub(crate) data: PathBuf,
    /// Admin endpoint of a remote world, `https://ADDRESS:9700`; may be given more than once
    #[arg(long, global = true, env = "ATOLL_ENDPOINT", value_delimiter = ',')]
    pub(crate) endpoint: Vec<String>,
    /// The world's CA, for a remote world
    #[arg(long, global = true, env = "ATOLL_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// File with the admin token, for a remote world
    #[arg(long, global = true, env = "ATOLL_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a world of three or five regions on this machine, or change a running one
    Up(UpArgs),
    /// Run all roles of one region in this process
    Region(RegionArgs),
    /// Regions, verdicts, plan, replication lag, leader
    Status(StatusArgs),
    /// Say why: a region's verdict, or a DNS answer
    Explain(ExplainArgs),
    /// Take a region out of answers, on your word
    Drain(DrainArgs),
    /// Take your word back
    Undrain(UndrainArgs),
    /// Hold a region or a pool's member up or down, on your word, until it expires
    Override(OverrideArgs),
    /// Make the World what a file says, after showing what changes
    Apply(ApplyArgs),
    /// The Plans that went before, what changed, and the way back
    Plan(PlanArgs),
    /// Close a gate, so that nothing behind it changes, or open it
    Gate(GateArgs),
    /// Forget how often a region went down
    Damping(DampingArgs),
    /// Move the home of a pool's state
    Home(HomeArgs),
    /// Play deaths on a copy of the live state: what would be decided, who would serve, what could not be carried
    WhatIf(WhatIfArgs),
    /// Stop the automation of single members, even without a quorum, or start it again
    Automation(AutomationArgs),
    /// Look at apps, reload, scale and roll them back, and read their files
    App(AppArgs),
    /// Prove that it works, on the live world
    Drill(DrillArgs),
    /// Prove that it works, in a simulated world that a seed decides
    Sim(SimArgs),
    /// Check world files, or see how one is written
    World(WorldFileArgs),
    /// Check the master file of a zone
    Zone(ZoneArgs),
    /// Check a region's state on disk
    State(StateArgs),
    /// The built-in demo shop
    #[command(hide = true)]
    DemoApp(DemoAppArgs),
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(subcommand)]
    pub(crate) change: Option<UpChange>,
    /// How many regions a new world has
    #[arg(long, value_parser = parse_regions)]
    pub(crate) regions: Option<usize>,
    /// How quick a new world fails over
    #[arg(long, value_enum)]
    pub(crate) profile: Option<ProfileName>,
    /// Round trips between the regions
    #[arg(long, value_enum, default_value_t = WanPreset::Lan)]
    pub(crate) wan: WanPreset,
    /// File that says which apps run, instead of the demo shop: TOML, or an ecosystem file of PM2's
    #[arg(long, value_name = "FILE")]
    pub(crate) app: Option<PathBuf>,
    /// File that says where clients are, over the built-in countries: NAME.mmdb is a MaxMind database, any other one a prefix file;
    /// may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) locations: Vec<PathBuf>,
    /// Second byte of a new world's loopback addresses, 127.NET.i.1; another world at the same time needs another one
    #[arg(long, default_value_t = 0, value_name = "NET")]
    pub(crate) net: u8,
}

fn parse_regions(text: &str) -> Result<usize, String> {
    match text {
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("a world on one machine has 3 or 5 regions".into()),
    }
}

/// A set of timings for probing and deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileName {
    /// A dead region is out of all answers within 4 s
    Default,
    /// Within 1.5 s; for regions less than 100 ms apart
    Fast,
}

impl From<ProfileName> for model::Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Default => Self::Default,
            ProfileName::Fast => Self::Fast,
        }
    }
}

/// Round trips between the regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WanPreset {
    /// 1 ms
    Lan,
    /// As between continents: 80 to 300 ms
    World,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UpChange {
    /// Start a region that was stopped or killed
    Start {
        /// Its name
        region: String,
        /// If its state on disk is damaged, put it aside and fetch it back from the other regions
        #[arg(long)]
        fetch_state: bool,
    },
    /// Stop a region as an operator would
    Stop {
        /// Its name
        region: String,
    },
    /// Kill a region's process with SIGKILL
    Kill {
        /// Its name
        region: String,
    },
    /// Look at the network between the regions, or hurt it
    Wan(WanArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WanArgs {
    #[command(subcommand)]
    pub(crate) change: WanChange,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WanChange {
    /// Show each link's shape and what went over it
    Show,
    /// Cut the link between two regions
    Cut {
        /// One end
        from: String,
        /// The other end
        to: String,
        /// Only packets from the first to the second are lost
        #[arg(long)]
        one_way: bool,
    },
    /// Change the links from one region to another, or all links
    Set {
        /// One end; all links if left out
        from: Option<String>,
        /// The other end
        to: Option<String>,
        /// One-way delay, milliseconds
        #[arg(long)]
        delay_ms: Option<f64>,
        /// Extra random delay, milliseconds
        #[arg(long)]
        jitter_ms: Option<f64>,
        /// Share of packets lost, 0 to 1
        #[arg(long)]
        loss: Option<f64>,
    },
    /// Give every link its first shape again
    Heal,
}

#[derive(Debug, Args)]
pub(crate) struct RegionArgs {
    /// Configuration of the region, TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// If the state on disk is damaged, put it aside and fetch it back from the other regions
    #[arg(long)]
    pub(crate) fetch_state: bool,
    /// Leave when standard input ends: the parent is gone
    #[arg(long, hide = true)]
    pub(crate) leave_with_parent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Refresh every second until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(subcommand)]
    pub(crate) what: ExplainWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExplainWhat {
    /// Why a region has its verdict: who saw what, who decided
    Region {
        /// Its name
        region: String,
    },
    /// Why a version of the Plan is what it is, with the evidence; or why a request made none
    Decision {
        /// The version, as `status` and `explain region` show it
        version: u64,
    },
    /// Why a steered name names the regions that it names
    Name {
        /// The name, absolute
        name: String,
    },
    /// Why a DNS answer is what it is
    Dns {
        /// The name asked for
        name: String,
        /// The client's address
        #[arg(long)]
        from: IpAddr,
        /// Record type, as in A, AAAA, HTTPS, MX, TYPE257
        #[arg(long = "type", default_value = "A")]
        record_type: String,
        /// Ask this region's DNS server; the first that answers if left out
        #[arg(long)]
        at: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The region, or `pool/NAME/REGION`
    pub(crate) subject: String,
    /// Why; other people will read it
    #[arg(long, default_value = "drained by hand")]
    pub(crate) reason: String,
    /// Who; your login name if left out
    #[arg(long)]
    pub(crate) who: Option<String>,
    /// For how long: 30m, 4h, 72h at most
    #[arg(long = "for", default_value = "4h", value_parser = parse_duration)]
    pub(crate) life: std::time::Duration,
    /// Step by step: 75, 50, 25, 10, 0 % of its traffic
    #[arg(long)]
    pub(crate) staged: bool,
    /// How long each step of --staged lasts at least
    #[arg(long, default_value = "60s", value_parser = parse_duration, requires = "staged")]
    pub(crate) step: std::time::Duration,
    /// Stay and show how it goes, until 99 % of caches have forgotten it
    #[arg(long)]
    pub(crate) watch: bool,
    /// Break the glass: a second person who takes the responsibility too; capacity is not asked then
    #[arg(long, value_name = "NAME")]
    pub(crate) second: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UndrainArgs {
    /// The region, or `pool/NAME/REGION`
    pub(crate) subject: String,
    /// Why
    #[arg(long, default_value = "undrained by hand")]
    pub(crate) reason: String,
    /// Who; your login name if left out
    #[arg(long)]
    pub(crate) who: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OverrideArgs {
    /// The region, or `pool/NAME/REGION`
    pub(crate) subject: String,
    /// What you want of it
    #[arg(value_enum)]
    pub(crate) action: Wanted,
    /// Why; other people will read it
    #[arg(long)]
    pub(crate) reason: String,
    /// Who; your login name if left out
    #[arg(long)]
    pub(crate) who: Option<String>,
    /// For how long: 30m, 4h, 72h at most
    #[arg(long = "for", value_parser = parse_duration)]
    pub(crate) life: std::time::Duration,
    /// Break the glass: a second person who takes the responsibility too; capacity is not asked then
    #[arg(long, value_name = "NAME")]
    pub(crate) second: Option<String>,
}

/// Who, and why.
#[derive(Debug, Clone, Args)]
pub(crate) struct SignArgs {
    /// Why; other people will read it
    #[arg(long)]
    pub(crate) reason: String,
    /// Who; your login name if left out
    #[arg(long)]
    pub(crate) who: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    #[command(subcommand)]
    pub(crate) what: GateWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GateWhat {
    /// Hold automation back, and with --people everybody
    Close {
        /// Only before this pool; before the whole world if left out
        #[arg(long)]
        pool: Option<String>,
        /// Hold people back too
        #[arg(long)]
        people: bool,
        #[command(flatten)]
        sign: SignArgs,
        /// For how long: 30m, 4h, 72h at most
        #[arg(long = "for", value_parser = parse_duration)]
        life: std::time::Duration,
    },
    /// Let changes pass again
    Open {
        /// The gate of this pool; the world's if left out
        #[arg(long)]
        pool: Option<String>,
        #[command(flatten)]
        sign: SignArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DampingArgs {
    #[command(subcommand)]
    pub(crate) what: DampingWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DampingWhat {
    /// Take the penalty for flapping away: its cause is gone
    Clear {
        /// The region, or `pool/NAME/REGION`
        subject: String,
        #[command(flatten)]
        sign: SignArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct HomeArgs {
    #[command(subcommand)]
    pub(crate) what: HomeWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HomeWhat {
    /// Make another member the home, under a new fencing epoch
    Move {
        /// The pool
        pool: String,
        /// The member
        region: String,
        /// The epoch that it is moved from; the one in force if left out
        #[arg(long)]
        epoch: Option<u64>,
        #[command(flatten)]
        sign: SignArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WhatIfArgs {
    /// Who dies: `down=eu-west,ap-south`
    #[arg(value_name = "down=REGION[,REGION]", value_parser = parse_deaths)]
    pub(crate) down: Deaths,
}

/// Who dies in a what-if.
#[derive(Debug, Clone)]
pub(crate) struct Deaths(pub(crate) Vec<String>);

fn parse_deaths(text: &str) -> Result<Deaths, String> {
    let names = text.strip_prefix("down=").ok_or("write `down=REGION`, or several with commas between them")?;
    let names: Vec<String> =
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.is_empty() { Err("nobody dies in it: name a region".into()) } else { Ok(Deaths(names)) }
}

#[derive(Debug, Args)]
pub(crate) struct AutomationArgs {
    #[command(subcommand)]
    pub(crate) what: AutomationWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AutomationWhat {
    /// The members' judges propose nothing from now on, over restarts too
    Stop {
        /// Only this region's member; every endpoint's if left out
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        sign: SignArgs,
    },
    /// They work again
    Start {
        /// Only this region's member; every endpoint's if left out
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        sign: SignArgs,
    },
    /// Say which are stopped, by whom and why
    Show,
}

/// What a human wants of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// Name it in answers, whatever the probes say
    Up,
    /// Leave it out of answers, whatever the probes say
    Down,
}

/// Whether a change is only looked at, and whether somebody is asked first.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConsentArgs {
    /// Show what would change, and change nothing; exit code 3 if anything would
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Agree beforehand, instead of being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The world file, or a directory of *.toml files that are one world
    #[arg(value_name = "FILE|DIR")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
    /// Why; `plan history` shows it
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Who; your login name if left out
    #[arg(long)]
    pub(crate) who: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(subcommand)]
    pub(crate) what: PlanWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanWhat {
    /// The latest versions, newest first, and what made them
    History {
        /// How many
        #[arg(long, default_value_t = 30)]
        limit: usize,
    },
    /// The Plan in force, or the one of a version
    Show {
        /// The version
        version: Option<u64>,
    },
    /// What changed in the World from one version to another, in words
    Diff {
        /// A version
        from: u64,
        /// Another one
        to: u64,
    },
    /// Make the World what it was at a version; this is a new version
    Rollback(RollbackArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The version
    pub(crate) version: u64,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
    /// Why; `plan history` shows it
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Who; your login name if left out
    #[arg(long)]
    pub(crate) who: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    pub(crate) what: DrillWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DrillWhat {
    /// What drills there are
    List,
    /// Run one
    Run {
        /// Its name
        #[arg(value_parser = ["lose-region"])]
        drill: String,
        /// The region to lose
        #[arg(long, default_value = "eu-west")]
        region: String,
        /// Acknowledged writes a second, over all regions
        #[arg(long, default_value_t = 300)]
        rate: u32,
        /// Seconds of steady state before the fault
        #[arg(long, default_value_t = 5)]
        baseline: u64,
        /// Seconds between the fault and the restart
        #[arg(long, default_value_t = 15)]
        hold: u64,
    },
    /// Lose one region after another, many times, and tell how long each phase took
    Sweep(SweepArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// How many deaths
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) times: u32,
    /// Lose only this region; may be given more than once. Every region in turn if left out
    #[arg(long)]
    pub(crate) region: Vec<String>,
    /// Acknowledged writes a second, over all regions
    #[arg(long, default_value_t = 300)]
    pub(crate) rate: u32,
    /// Seconds of steady state before each fault
    #[arg(long, default_value_t = 1)]
    pub(crate) baseline: u64,
    /// Seconds between a fault and the restart at least; it waits for every other server's new answer anyway
    #[arg(long, default_value_t = 0)]
    pub(crate) hold: u64,
    /// Write the report, with that of each death, to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    #[command(subcommand)]
    pub(crate) what: SimWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SimWhat {
    /// Replicated state: real stores and links on a simulated disk, network and clock
    State(SimStateArgs),
    /// The decision: real probes, votes, judges and guards in regions that die and are cut off
    Decision(SimDecisionArgs),
}

/// What every simulated world is asked for.
#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    /// The seeds from A up to and without B
    #[arg(long, value_name = "A..B", default_value = "0..500")]
    pub(crate) seeds: Seeds,
    /// Write what happens in the shortest failing run, or in the first seed's if none fails, to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SimStateArgs {
    #[command(flatten)]
    pub(crate) seeds: SeedArgs,
    /// How many regions each world has; each seed chooses if left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..=9))]
    pub(crate) regions: Option<u16>,
    /// Plant a bug, to see that it is caught; the seeds are to fail then
    #[arg(long, value_name = "BUG")]
    pub(crate) plant: Option<state::Plant>,
}

#[derive(Debug, Args)]
pub(crate) struct SimDecisionArgs {
    #[command(flatten)]
    pub(crate) seeds: SeedArgs,
    /// How many regions each world has; each seed chooses if left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(3..=9))]
    pub(crate) regions: Option<u16>,
    /// How many hours each world lasts
    #[arg(long, default_value_t = DecisionSim::HOURS, value_parser = clap::value_parser!(u64).range(1..=720))]
    pub(crate) hours: u64,
    /// Plant a bug, to see that it is caught; the seeds are to fail then
    #[arg(long, value_name = "BUG")]
    pub(crate) plant: Option<decision::Plant>,
}

#[derive(Debug, Args)]
pub(crate) struct WorldFileArgs {
    #[command(subcommand)]
    pub(crate) what: WorldFileWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorldFileWhat {
    /// Say what is wrong with a world file, line by line
    Check {
        /// The file, or a directory of *.toml files that are one world
        #[arg(value_name = "FILE|DIR")]
        path: PathBuf,
    },
    /// Print the JSON Schema of world files, for editors
    Schema,
    /// Print the world file that `up` would write
    Default {
        /// How many regions
        #[arg(long, default_value = "3", value_parser = parse_regions)]
        regions: usize,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ZoneArgs {
    #[command(subcommand)]
    pub(crate) what: ZoneWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ZoneWhat {
    /// Say what is wrong with a master file (RFC 1035) and those it includes, line by line; with --json, print the zone as a World has it
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// The zone's own name; the owner of the first record, a SOA, if left out
        #[arg(long)]
        origin: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    pub(crate) what: StateWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateWhat {
    /// Read all of a state directory, of a region that does not run, and say whether it is whole
    Verify {
        /// The directory, or a region's data directory
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AppArgs {
    #[command(subcommand)]
    pub(crate) what: AppWhat,
}

/// Which app, and where.
#[derive(Debug, Clone, Args)]
pub(crate) struct AppAtArgs {
    /// The app; may be left out where there is one only
    pub(crate) name: Option<String>,
    /// Only in this region; in all, one after the other, if left out
    #[arg(long)]
    pub(crate) region: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppWhat {
    /// List apps, with what their workers do and take
    #[command(visible_alias = "list")]
    Ls {
        /// Only in this region
        #[arg(long)]
        region: Option<String>,
    },
    /// Show an app's workers, and how it is configured
    #[command(visible_alias = "show")]
    Describe(AppAtArgs),
    /// Start the workers of a stopped app
    Start(AppAtArgs),
    /// Let the workers of an app finish their requests and end
    Stop(AppAtArgs),
    /// Replace an app's workers by new ones, one at a time, as they are configured now
    Restart(AppAtArgs),
    /// Read the app file again and make it so, one worker at a time; what does not become ready is taken back
    Reload {
        #[command(flatten)]
        at: AppAtArgs,
        /// Which `env_NAME` of an ecosystem file is taken from now on
        #[arg(long, value_name = "NAME")]
        env: Option<String>,
    },
    /// Give an app more workers, or fewer, until its next reload
    Scale {
        /// The app
        name: String,
        /// How many workers in each region
        #[arg(value_parser = clap::value_parser!(u16).range(1..))]
        instances: u16,
        /// Only in this region; in all, one after the other, if left out
        #[arg(long)]
        region: Option<String>,
    },
    /// Go back to the release before; once more, and it goes forward again
    Rollback(AppAtArgs),
    /// Show what workers write
    Logs {
        #[command(flatten)]
        at: AppAtArgs,
        /// How many lines of each app, of those that were written already
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000))]
        lines: u32,
        /// Stay, and show what comes
        #[arg(long, short)]
        follow: bool,
        /// Only of the worker in this slot
        #[arg(long, value_name = "SLOT")]
        worker: Option<u16>,
    },
    /// Watch workers: processor, memory, event loop
    Monit {
        /// Only in this region
        #[arg(long)]
        region: Option<String>,
    },
    /// Read an app file and say what would run, and what is left aside; no world is needed
    Check(AppFileArgs),
    /// Print an app file, such as PM2's, as one of ours
    Convert(AppFileArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AppFileArgs {
    /// The file: *.toml, *.config.js, *.config.cjs, *.config.mjs, *.json, *.yaml
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Which `env_NAME` of an ecosystem file is taken
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoAppArgs {
    /// Port to listen on
    #[arg(long, env = "PORT", default_value_t = 3000)]
    pub(crate) port: u16,
}

/// `90s`, `30m`, `4h`, or plain seconds.
fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is not a time; write 90s, 30m or 4h");
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some(_) => (text, 1),
        None => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(unit).filter(|s| *s > 0).ok_or_else(wrong)?;
    Ok(std::time::Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_docs_have_every_verb_for_apps() {
        let docs = include_str!("../../docs/cli.md");
        let section =
            docs.split("## `atoll app`").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
        let cli = Cli::command();
        let app = cli.find_subcommand("app").unwrap();
        for verb in app.get_subcommands().map(clap::Command::get_name) {
            let is_there = section.contains(&format!("`atoll app {verb}")) || section.contains(&format!("`{verb} "));
            assert!(is_there, "docs/cli.md says nothing of `atoll app {verb}`");
        }
    }

    #[test]
    fn a_what_if_names_who_dies() {
        assert_eq!(parse_deaths("down=eu-west, ap-south").map(|d| d.0), Ok(vec!["eu-west".into(), "ap-south".into()]));
        for wrong in ["", "down=", "eu-west", "up=eu-west", "down=,"] {
            assert!(parse_deaths(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| parse_duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("4h"), Ok(14_400));
        assert_eq!(seconds("7"), Ok(7));
        for wrong in ["", "h", "0s", "1.5h", "4d", "99999999999999999h"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
