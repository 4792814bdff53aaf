//! Restarts by the clock: which apps' time has come, and the change that it makes.
//!
//! ```text
//! restart_at of each app ─┐
//! clock, zone ────────────┴─▶ Alarm: whose time has come? ─▶ change.rs, as if somebody had asked for a restart
//! ```
//!
//! [`Alarm`] is pure: the time and the zone are arguments. A region's clock goes up to a minute late, by its name, so that regions
//! that run the same app do not all restart in the same second.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use app_config::{App, Cron, Minute};
use chrono::{DateTime, Datelike, Local, LocalResult, NaiveDate, TimeZone, Timelike};
use plane_client::api::apps::{AppVerb, ChangeApp, ChangeEvent};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{Apps, api::Asked, change, lock};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A restart waits for another change for so long, and looks again so often.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
const AGAIN: Duration = Duration::from_secs(1);
/// A time that is noticed later than this has passed: the machine was asleep, or its clock was set.
const LATE_MS: i64 = 60_000;
const MINUTE_MS: i64 = 60_000;
/// Clocks are put forward by an hour, and once in history by a day, minutes.
const LONGEST_GAP: i64 = 24 * 60 + 1;

/// Milliseconds since 1970.
pub(super) type UnixMs = i64;

/// What clocks on the wall show, where this one hangs.
pub(super) trait Zone {
    /// What they show at an instant.
    fn shown(&self, at: UnixMs) -> Option<Minute>;
    /// When they begin to show a minute, the first time; `None` if they leave it out.
    fn begins(&self, minute: Minute) -> Option<UnixMs>;
}

/// The machine's own time zone.
pub(super) struct Here;

impl Zone for Here {
    fn shown(&self, at: UnixMs) -> Option<Minute> {
        let at: DateTime<Local> = Local.timestamp_millis_opt(at).earliest()?;
        // Each is within what its type can hold: a month of 12, an hour of 24.
        let small = |number: u32| u8::try_from(number).ok();
        Some(Minute {
            year: at.year(),
            month: small(at.month())?,
            day: small(at.day())?,
            hour: small(at.hour())?,
            minute: small(at.minute())?,
        })
    }

    fn begins(&self, m: Minute) -> Option<UnixMs> {
        let day = NaiveDate::from_ymd_opt(m.year, u32::from(m.month), u32::from(m.day))?;
        let shown = day.and_hms_opt(u32::from(m.hour), u32::from(m.minute), 0)?;
        match Local.from_local_datetime(&shown) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.timestamp_millis()),
            LocalResult::None => None,
        }
    }
}

/// The first instant later than another at which one of the times comes.
fn next(times: &[Cron], after: UnixMs, zone: &impl Zone) -> Option<UnixMs> {
    times.iter().filter_map(|time| next_of(time, after, zone)).min()
}

fn next_of(time: &Cron, after: UnixMs, zone: &impl Zone) -> Option<UnixMs> {
    let mut minute = zone.shown(after)?;
    // An hour that comes twice has at most 60 minutes that are over already.
    for _ in 0..=LONGEST_GAP {
        minute = time.next_after(minute)?;
        let begins = begins_or_gap_ends(minute, zone)?;
        if begins > after {
            return Some(begins);
        }
    }
    None
}

/// When a minute begins; of one that is left out, when the clock goes on.
fn begins_or_gap_ends(minute: Minute, zone: &impl Zone) -> Option<UnixMs> {
    let every: Cron = "* * * * *".parse().ok()?;
    let mut minute = minute;
    for _ in 0..=LONGEST_GAP {
        match zone.begins(minute) {
            Some(at) => return Some(at),
            None => minute = every.next_after(minute)?,
        }
    }
    None
}

/// How long it is until the clock restarts an app of a region, milliseconds.
pub(super) fn until_next(app: &App, region: &str) -> Option<u64> {
    let now = now() - lateness(region);
    u64::try_from(next(&app.restart_at, now, &Here)? - now).ok()
}

/// How late a region's clock goes: less than a minute, always the same. FNV-1a of its name, which spreads short names well.
pub(super) fn lateness(region: &str) -> UnixMs {
    let hash = region
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // Of a short name's hash the lower half is hardly mixed.
    i64::try_from((hash >> 32) % MINUTE_MS.unsigned_abs()).unwrap_or(0)
}

/// Up to when each app's times were looked at.
#[derive(Default)]
pub(super) struct Alarm {
    seen: BTreeMap<String, (Vec<Cron>, UnixMs)>,
}

impl Alarm {
    /// The apps whose time has come since the last look. An app that is new here, or has other times, waits for its next one.
    pub(super) fn look(&mut self, apps: &[Arc<App>], now: UnixMs, zone: &impl Zone) -> Vec<String> {
        self.seen.retain(|name, _| apps.iter().any(|app| app.name == *name));
        let mut due = Vec::new();
        for app in apps.iter().filter(|app| !app.restart_at.is_empty()) {
            // A clock that was put back a little shows the same times again, and they count once; put back by more, it begins anew.
            let known = self.seen.get(&app.name).filter(|(times, at)| *times == app.restart_at && at - now < LATE_MS);
            let since = known.map_or(now, |(_, at)| (*at).max(now - LATE_MS));
            if next(&app.restart_at, since, zone).is_some_and(|at| at <= now) {
                due.push(app.name.clone());
            }
            self.seen.insert(app.name.clone(), (app.restart_at.clone(), since.max(now)));
        }
        due
    }
}

/// The machine's clock.
pub(super) fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs::try_from(since.as_millis()).unwrap_or(UnixMs::MAX)
}

/// Restarts apps at their times, for as long as there are apps.
pub(super) async fn run(apps: Weak<Apps>, now: impl Fn() -> UnixMs, zone: impl Zone) {
    let mut alarm = Alarm::default();
    let mut under_way: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(apps) = apps.upgrade() else { return };
        let configs: Vec<Arc<App>> = lock(&apps.running).values().map(|running| running.config.clone()).collect();
        let late = lateness(apps.region.as_str());
        under_way.retain(|_, restart| !restart.is_finished());
        for name in alarm.look(&configs, now() - late, &zone) {
            // One that waits yet is for this time, too.
            let begin = || tokio::spawn(restart(Arc::downgrade(&apps), name.clone()));
            under_way.entry(name.clone()).or_insert_with(begin);
        }
    }
}

/// As if somebody had asked for it, but for the patience.
async fn restart(apps: Weak<Apps>, name: String) {
    let until = Instant::now() + PATIENCE;
    loop {
        let Some(apps) = apps.upgrade() else { return };
        let asked = Asked { app: Some(name.clone()), verb: AppVerb::Restart, how: ChangeApp::default() };
        // Nobody listens to its steps.
        let (tell, _) = mpsc::channel(1);
        match change::carry_out(&apps, asked, tell).await {
            ChangeEvent::Failed { kind, .. } if kind == "busy" && Instant::now() < until => {}
            ChangeEvent::Failed { kind, .. } if kind == "stopped" => return,
            ChangeEvent::Failed { why, last_lines, .. } => {
                let said =
                    if last_lines.is_empty() { String::new() } else { format!(", saying: {}", last_lines.join(" | ")) };
                tracing::warn!(app = %name, "the restart at its time did not go through: {why}{said}");
                return;
            }
            _ => {
                tracing::info!(app = %name, "restarted at its time");
                return;
            }
        }
        drop(apps);
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European time in 2026: clocks go forward at 2 o'clock on 29 March, and back at 3 on 25 October.
    struct Berlin;

    const FORWARD: UnixMs = 1_774_746_000_000;
    const BACK: UnixMs = 1_792_890_000_000;

    /// The days since 1970 of a date, and back: Hinnant's way.
    fn days(year: i32, month: u8, day: u8) -> i64 {
        let date = NaiveDate::from_ymd_opt(year, u32::from(month), u32::from(day)).unwrap();
        i64::from(date.num_days_from_ce()) - 719_163
    }

    fn utc(m: Minute) -> UnixMs {
        ((days(m.year, m.month, m.day) * 24 + i64::from(m.hour)) * 60 + i64::from(m.minute)) * MINUTE_MS
    }

    fn hours(at: UnixMs) -> i64 {
        if (FORWARD..BACK).contains(&at) { 2 } else { 1 }
    }

    impl Zone for Berlin {
        fn shown(&self, at: UnixMs) -> Option<Minute> {
            let shown = DateTime::from_timestamp_millis(at + hours(at) * 60 * MINUTE_MS)?;
            let small = |number: u32| number as u8;
            let (month, day) = (small(shown.month()), small(shown.day()));
            Some(Minute { year: shown.year(), month, day, hour: small(shown.hour()), minute: small(shown.minute()) })
        }

        fn begins(&self, minute: Minute) -> Option<UnixMs> {
            let summer = utc(minute) - 2 * 60 * MINUTE_MS;
            let winter = utc(minute) - 60 * MINUTE_MS;
            [summer, winter].into_iter().find(|at| self.shown(*at) == Some(minute))
        }
    }

    fn at(text: &str) -> UnixMs {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    fn app(name: &str, times: &[&str]) -> Arc<App> {
        let restart_at = times.iter().map(|time| time.parse().unwrap()).collect();
        Arc::new(App { name: name.into(), restart_at, ..App::default() })
    }

    #[test]
    fn a_time_comes_once_a_day_also_when_clocks_are_put() {
        for (time, after, wanted) in [
            ("0 3 * * *", "2026-11-28T01:59:59Z", "2026-11-28T02:00:00Z"),
            ("0 3 * * *", "2026-07-01T00:59:59Z", "2026-07-01T01:00:00Z"),
            // 02:30 is left out: when the clock goes on, at 03:00; and the day after as always.
            ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
            ("30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
            ("*/20 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
            ("*/20 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"),
            // 02:30 comes twice: the first time counts.
            ("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
            ("*/20 * * * *", "2026-10-25T00:40:00Z", "2026-10-25T02:00:00Z"),
            // The hour that comes twice, looked at the second time.
            ("*/20 * * * *", "2026-10-25T01:10:00Z", "2026-10-25T02:00:00Z"),
            ("0 0 1 1 *", "2026-12-31T22:59:59Z", "2026-12-31T23:00:00Z"),
        ] {
            let times = [time.parse().unwrap()];
            let found = next(&times, at(after), &Berlin);
            assert_eq!(found, Some(at(wanted)), "{time} after {after}");
        }
        let both = ["0 3 * * *", "0 5 * * *"].map(|time| time.parse().unwrap());
        assert_eq!(next(&both, at("2026-11-28T02:00:00Z"), &Berlin), Some(at("2026-11-28T04:00:00Z")));
    }

    #[test]
    fn an_alarm_rings_once_for_each_time_and_not_for_those_that_were_slept_through() {
        let mut alarm = Alarm::default();
        let apps = [app("web", &["0 3 * * *"]), app("jobs", &[])];
        let mut look = |apps: &[Arc<App>], time: &str| alarm.look(apps, at(time), &Berlin);
        assert!(look(&apps, "2026-11-28T01:59:58Z").is_empty());
        assert!(look(&apps, "2026-11-28T01:59:59Z").is_empty());
        assert_eq!(look(&apps, "2026-11-28T02:00:00Z"), ["web"]);
        assert!(look(&apps, "2026-11-28T02:00:01Z").is_empty());
        // Asleep over the next one.
        assert!(look(&apps, "2026-11-29T08:00:00Z").is_empty());
        assert_eq!(look(&apps, "2026-11-30T02:00:30Z"), ["web"]);
        // Other times wait for their next one; apps that went are forgotten.
        let other = [app("web", &["30 4 * * *"])];
        assert!(look(&other, "2026-12-01T03:29:00Z").is_empty());
        assert_eq!(look(&other, "2026-12-01T03:30:00Z"), ["web"]);
        assert!(look(&[], "2026-12-02T03:29:59Z").is_empty());
        assert!(look(&other, "2026-12-02T03:30:01Z").is_empty());
        // A clock that is put right.
        assert_eq!(look(&other, "2026-12-03T03:30:00Z"), ["web"]);
        assert!(look(&other, "2026-12-03T03:29:59Z").is_empty());
        assert!(look(&other, "2026-12-03T03:30:00Z").is_empty());
        assert!(look(&other, "2031-12-03T03:29:00Z").is_empty());
        assert!(look(&other, "2026-12-04T03:29:59Z").is_empty());
        assert_eq!(look(&other, "2026-12-04T03:30:00Z"), ["web"]);
    }

    #[test]
    fn regions_are_late_by_less_than_a_minute_each_by_its_own_time() {
        // Those of the default world.
        let late: Vec<UnixMs> = ["us-east", "eu-west", "ap-south", "us-west", "sa-east"].map(lateness).into();
        assert!(late.iter().all(|late| (0..MINUTE_MS).contains(late)), "{late:?}");
        let mut seconds: Vec<UnixMs> = late.iter().map(|late| late / 1000).collect();
        seconds.sort_unstable();
        seconds.dedup();
        assert_eq!(seconds.len(), 5, "{late:?}");
        assert_eq!(late[0], 20_375, "always the same, also in the next version");
    }

    #[test]
    fn here_reads_back_what_it_shows() {
        for time in ["2026-01-15T12:34:00Z", "2026-07-15T23:59:00Z", "2028-02-29T00:00:00Z"] {
            let minute = Here.shown(at(time)).unwrap();
            assert_eq!(Here.begins(minute), Some(at(time)), "{minute:?}");
        }
    }
}
