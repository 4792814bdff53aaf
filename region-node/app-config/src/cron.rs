//! Times of the clock as cron writes them: `0 3 * * *`. A text goes in; which minutes it means, and the next one after another, come
//! out. Pure, and without time zones: a minute is what a clock on the wall shows, and whoever has a zone turns it into an instant.
//!
//! ```text
//! minute  hour  day of the month  month  day of the week
//!   0-59  0-23              1-31   1-12              0-7     both 0 and 7 are Sunday
//! ```
//!
//! Each field is `*`, a number, a range `1-5`, any of these with a step `*/15`, or several with commas. Months and days of the week
//! have names, too. As in Vixie's cron, where both fields of days say something (neither begins with `*`), either will do.

use std::{fmt, str::FromStr};

use crate::problem::did_you_mean;

/// The longest way from one meeting of a date and a day of the week to the next: the calendar repeats itself after 400 years.
const YEARS: i32 = 400;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What has a name.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A minute as a clock on the wall shows it. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute {
    /// The year.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

/// Minutes that come again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// As it was written.
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both fields of days say something: either will do.
    either: bool,
}

/// One of the five fields.
struct Field {
    what: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const MINUTE: Field = Field { what: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { what: "hour", least: 0, most: 23, names: &[] };
const DAY: Field = Field { what: "day of the month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field { what: "month", least: 1, most: 12, names: &MONTHS };
const WEEKDAY: Field = Field { what: "day of the week", least: 0, most: 7, names: &WEEKDAYS };

impl FromStr for Cron {
    type Err = String;

    /// Reads an expression. The error says in words what is wrong with it, without naming the whole.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fields = if text.starts_with('@') { of_name(text)? } else { text };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            let count = fields.len();
            return Err(format!("has {count} fields, not 5: minute, hour, day of the month, month, day of the week"));
        };
        let weekdays = WEEKDAY.read(weekday)?;
        let cron = Self {
            text: text.to_owned(),
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            days: DAY.read(day)?,
            months: MONTH.read(month)?,
            // 7 is Sunday as well.
            weekdays: weekdays | weekdays >> 7,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        let any = Minute { year: 2000, month: 1, day: 1, hour: 0, minute: 0 };
        match cron.next_after(any) {
            Some(_) => Ok(cron),
            None => Err("never comes: no such day is in any of its months".to_owned()),
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn of_name(text: &str) -> Result<&'static str, String> {
    if let Some((_, fields)) = NAMED.iter().find(|(name, _)| *name == text) {
        return Ok(fields);
    }
    if text == "@reboot" {
        return Err("is no time: an app is started with its region anyway".to_owned());
    }
    let near = did_you_mean(text, NAMED.iter().map(|(name, _)| *name));
    Err(near.map_or_else(
        || "is not known; write @daily, or five fields".to_owned(),
        |near| format!("is not known; {near}"),
    ))
}

impl Field {
    /// The numbers of a field, a bit each.
    fn read(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.part(part)?))
    }

    fn part(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => match step.parse::<u8>() {
                Ok(step @ 1..) => (range, Some(step)),
                _ => return Err(self.wrong(part, "a step is a number from 1 on, as in */15")),
            },
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.least, self.most.min(if self.most == 7 { 6 } else { u8::MAX })),
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            // As cron has it: `5/10` begins at 5 and goes on to the end.
            None => (self.number(range)?, if step.is_some() { self.most } else { self.number(range)? }),
        };
        if first > last {
            return Err(self.wrong(part, "a range goes from the smaller to the larger number"));
        }
        Ok((first..=last).step_by(usize::from(step.unwrap_or(1))).fold(0, |bits, number| bits | 1 << number))
    }

    fn number(&self, text: &str) -> Result<u8, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(place) = self.names.iter().position(|name| *name == lower) {
            return Ok(place as u8 + self.least);
        }
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u8>().ok().filter(|number| is_plain && (self.least..=self.most).contains(number));
        number.ok_or_else(|| {
            let names = if self.names.is_empty() { String::new() } else { format!(", or {}", self.names.join(", ")) };
            self.wrong(text, &format!("it is {} to {}{names}", self.least, self.most))
        })
    }

    fn wrong(&self, text: &str, why: &str) -> String {
        format!("has `{text}` where the {} stands: {why}", self.what)
    }
}

impl Cron {
    /// The first of its minutes that is later than another one. `None` only far beyond any clock.
    pub fn next_after(&self, after: Minute) -> Option<Minute> {
        let mut year = after.year;
        let mut month = after.month;
        // Within the day of `after` only what is later; any time of a later day.
        let mut day = after.day;
        let mut least = Some((after.hour, after.minute));
        while year <= after.year.saturating_add(YEARS) {
            if has(self.months, month) {
                while day <= days_of(year, month) {
                    if self.is_day(year, month, day)
                        && let Some((hour, minute)) = self.time(least)
                    {
                        return Some(Minute { year, month, day, hour, minute });
                    }
                    (day, least) = (day + 1, None);
                }
            }
            (day, least) = (1, None);
            (year, month) = if month >= 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        None
    }

    fn is_day(&self, year: i32, month: u8, day: u8) -> bool {
        let (of_month, of_week) = (has(self.days, day), has(self.weekdays, weekday_of(year, month, day)));
        if self.either { of_month || of_week } else { of_month && of_week }
    }

    /// The first time of a day, or the first after another one.
    fn time(&self, after: Option<(u8, u8)>) -> Option<(u8, u8)> {
        let times = (0..24)
            .filter(|hour| has(self.hours, *hour))
            .flat_map(|hour| (0..60).filter(|minute| has(self.minutes, *minute)).map(move |minute| (hour, minute)));
        let mut later = times.filter(|time| after.is_none_or(|after| *time > after));
        later.next()
    }
}

fn has(bits: u64, number: u8) -> bool {
    bits >> number & 1 == 1
}

fn days_of(year: i32, month: u8) -> u8 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 0 is Sunday. By Sakamoto's rule: what each month shifts, and leap days up to this one.
fn weekday_of(year: i32, month: u8, day: u8) -> u8 {
    const SHIFTS: [i32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let year = if month < 3 { year - 1 } else { year };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let shift = SHIFTS[usize::from(month.clamp(1, 12)) - 1];
    // A remainder by 7 is one of 0 to 6.
    (year + leaps + shift + i32::from(day)).rem_euclid(7) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minute(text: &str) -> Minute {
        let numbers: Vec<i32> = text.split(['-', ' ', ':']).map(|part| part.parse().unwrap()).collect();
        let small = |place: usize| u8::try_from(numbers[place]).unwrap();
        Minute { year: numbers[0], month: small(1), day: small(2), hour: small(3), minute: small(4) }
    }

    fn shown(at: Minute) -> String {
        format!("{:04}-{:02}-{:02} {:02}:{:02}", at.year, at.month, at.day, at.hour, at.minute)
    }

    #[track_caller]
    fn check(cron: &str, after: &str, wanted: &str) {
        let cron: Cron = cron.parse().unwrap_or_else(|why| panic!("`{cron}` {why}"));
        assert_eq!(cron.next_after(minute(after)).map(shown).as_deref(), Some(wanted), "{cron} after {after}");
    }

    #[test]
    fn the_next_minute_is_the_first_later_one_that_is_meant() {
        // 2026-11-28 is a Saturday.
        for (cron, after, wanted) in [
            ("0 3 * * *", "2026-11-28 02:59", "2026-11-28 03:00"),
            ("0 3 * * *", "2026-11-28 03:00", "2026-11-29 03:00"),
            ("* * * * *", "2026-11-28 23:59", "2026-11-29 00:00"),
            ("*/15 * * * *", "2026-11-28 10:14", "2026-11-28 10:15"),
            ("*/15 * * * *", "2026-11-28 10:45", "2026-11-28 11:00"),
            ("5/20 * * * *", "2026-11-28 10:25", "2026-11-28 10:45"),
            ("10-20/5,50 6 * * *", "2026-11-28 06:20", "2026-11-28 06:50"),
            ("0 0 * * 1-5", "2026-11-28 12:00", "2026-11-30 00:00"),
            ("0 0 * * mon-Fri", "2026-11-28 12:00", "2026-11-30 00:00"),
            ("0 0 * * 7", "2026-11-28 12:00", "2026-11-29 00:00"),
            ("0 0 * * 0", "2026-11-28 12:00", "2026-11-29 00:00"),
            ("0 0 * * 6,7", "2026-11-28 12:00", "2026-11-29 00:00"),
            ("0 0 * * */2", "2026-11-28 12:00", "2026-11-29 00:00"),
            ("0 4 1 JAN *", "2026-11-28 12:00", "2027-01-01 04:00"),
            // The year ends.
            ("30 23 31 12 *", "2026-12-31 23:30", "2027-12-31 23:30"),
            ("0 0 1 1 *", "2026-12-31 23:59", "2027-01-01 00:00"),
            // Leap days: 2000 had one, 2100 has none.
            ("0 0 29 2 *", "2026-11-28 12:00", "2028-02-29 00:00"),
            ("0 0 29 feb *", "2096-02-29 00:00", "2104-02-29 00:00"),
            ("0 0 29 2 *", "1999-12-31 00:00", "2000-02-29 00:00"),
            ("0 0 31 * *", "2026-11-28 12:00", "2026-12-31 00:00"),
            ("0 0 31 */2 *", "2026-11-28 12:00", "2027-01-31 00:00"),
            ("0 0 31 2,4,5 *", "2026-11-28 12:00", "2027-05-31 00:00"),
            // Both days say something: either will do. The 13th is a Sunday.
            ("0 0 13 * 5", "2026-12-01 00:00", "2026-12-04 00:00"),
            ("0 0 13 * 5", "2026-12-11 00:00", "2026-12-13 00:00"),
            ("0 0 31 2 1", "2026-12-01 00:00", "2027-02-01 00:00"),
            // One begins with `*`, as Vixie's cron looks at it: both must be so. 29 February 2032 is a Sunday.
            ("0 0 29 2 */7", "2026-12-01 00:00", "2032-02-29 00:00"),
            ("0 0 */2 * 1", "2026-12-01 00:00", "2026-12-07 00:00"),
            ("@daily", "2026-11-28 00:00", "2026-11-29 00:00"),
            ("@hourly", "2026-11-28 00:10", "2026-11-28 01:00"),
            ("@weekly", "2026-11-28 00:10", "2026-11-29 00:00"),
            ("@monthly", "2026-11-28 00:10", "2026-12-01 00:00"),
            ("@yearly", "2026-11-28 00:10", "2027-01-01 00:00"),
        ] {
            check(cron, after, wanted);
        }
    }

    #[test]
    fn what_is_no_time_is_refused_in_words() {
        for (cron, word) in [
            ("", "has 0 fields, not 5"),
            ("0 3 * *", "has 4 fields, not 5"),
            ("0 0 3 * * *", "has 6 fields, not 5"),
            ("60 * * * *", "has `60` where the minute stands: it is 0 to 59"),
            ("0 24 * * *", "where the hour stands: it is 0 to 23"),
            ("0 0 0 * *", "has `0` where the day of the month stands: it is 1 to 31"),
            ("0 0 1 foo *", "it is 1 to 12, or jan, feb"),
            ("0 0 * * 8", "has `8` where the day of the week stands"),
            ("0 0 * * fri-mon", "from the smaller to the larger"),
            ("*/0 * * * *", "a step is a number from 1 on"),
            ("*/x * * * *", "a step is a number from 1 on"),
            ("1,,2 * * * *", "has `` where the minute stands"),
            ("+5 * * * *", "has `+5` where the minute stands"),
            ("0 0 L * *", "has `L` where the day of the month stands"),
            ("0 0 31 2 *", "never comes"),
            ("0 0 30,31 feb *", "never comes"),
            ("0 0 31 4,6,9,11 *", "never comes"),
            ("@dayly", "did you mean"),
            ("@reboot", "is started with its region anyway"),
        ] {
            let said = cron.parse::<Cron>().map(|cron| cron.to_string());
            assert!(said.as_ref().is_err_and(|why| why.contains(word)), "{cron}: {said:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_comes_later_and_again(text in "[0-9*/,-]{1,5}( [0-9*/,-]{1,4}){4}|.{0,20}", day in 1_u8..29, hour in 0_u8..24) {
            let after = Minute { year: 2026, month: 2, day, hour, minute: 30 };
            if let Ok(cron) = text.parse::<Cron>() {
                let next = cron.next_after(after).unwrap();
                prop_assert!(next > after && cron.next_after(next).unwrap() > next, "{cron}: {next:?}");
                prop_assert_eq!(cron.to_string().parse::<Cron>(), Ok(cron));
            }
        }
    }

    #[test]
    fn days_of_the_week_are_those_of_the_calendar() {
        for (at, wanted) in [
            ("2026-11-28 00:00", 6),
            ("2000-02-29 00:00", 2),
            ("1999-12-31 00:00", 5),
            ("2100-03-01 00:00", 1),
            ("2024-02-29 00:00", 4),
            ("1970-01-01 00:00", 4),
        ] {
            let Minute { year, month, day, .. } = minute(at);
            assert_eq!(weekday_of(year, month, day), wanted, "{at}");
        }
    }
}
