//! Time: two clocks, and the one place that reads them.
//!
//! A decision about time takes [`Now`], which holds both. `in` delays and
//! leases run on the monotonic clock, so that a step of the wall clock neither
//! hastens nor holds them; `at` times run on the wall clock. All values are
//! whole microseconds.
//!
//! The monotonic clock is made to continue over restarts and reboots by
//! [`Timeline`], so that a stored [`Mono`] keeps its meaning for as long as the
//! store lives.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MICROS: i64 = 1_000_000;

/// A point in time on the wall clock: microseconds since 1970, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

/// A point in time on the monotonic clock: microseconds since an arbitrary
/// start, the same for everything in one store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mono(pub i64);

/// A length of time in microseconds, never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(i64);

/// Both clocks, read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// What the wall clock says.
    pub wall: Timestamp,
    /// What the monotonic clock says.
    pub mono: Mono,
}

/// A point in time that something waits for, on the clock that counts for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// When that is on the wall clock, as far as is known: for people, and for
    /// the measuring of lateness.
    pub wall: Timestamp,
    /// Where set, this decides, and `wall` only tells.
    pub mono: Option<Mono>,
}

impl Timestamp {
    /// 9999-12-31T23:59:59Z, the last second that is accepted.
    pub const MAX: Self = Self(253_402_300_799 * MICROS);

    /// How long ago `earlier` was; zero if it was not.
    pub fn since(self, earlier: Self) -> Span {
        Span((self.0.saturating_sub(earlier.0)).max(0))
    }
}

impl Mono {
    /// How long ago `earlier` was; zero if it was not.
    pub fn since(self, earlier: Self) -> Span {
        Span((self.0.saturating_sub(earlier.0)).max(0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest that is accepted: 10,000 days.
    pub const MAX: Self = Self::from_secs(10_000 * 86_400);

    /// A span of whole microseconds; a negative one is zero.
    pub const fn from_micros(micros: i64) -> Self {
        Self(if micros < 0 { 0 } else { micros })
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis as i64 * 1_000)
    }

    /// A span of whole seconds.
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs as i64 * MICROS)
    }

    /// The span in microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The span in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / MICROS as f64
    }

    /// The span as the standard library has it.
    pub fn as_duration(self) -> Duration {
        Duration::from_micros(self.0.unsigned_abs())
    }

    /// The span `times` over, at most [`Span::MAX`].
    pub fn times(self, times: u32) -> Self {
        Self(self.0.saturating_mul(i64::from(times))).min(Self::MAX)
    }
}

impl Moment {
    /// `after` from now, whatever the wall clock does meanwhile.
    pub fn after(now: Now, after: Span) -> Self {
        Self { wall: now.wall + after, mono: Some(now.mono + after) }
    }

    /// When the wall clock says so. One that has passed is now.
    pub fn at(wall: Timestamp, now: Now) -> Self {
        Self { wall: wall.max(now.wall), mono: None }
    }

    /// Whether it has come.
    pub fn reached(self, now: Now) -> bool {
        self.remaining(now) == Span::ZERO
    }

    /// How long until it comes; zero once it has.
    pub fn remaining(self, now: Now) -> Span {
        match self.mono {
            Some(mono) => mono.since(now.mono),
            None => self.wall.since(now.wall),
        }
    }

    /// How long ago it came; zero before it has.
    pub fn overdue(self, now: Now) -> Span {
        match self.mono {
            Some(mono) => now.mono.since(mono),
            None => now.wall.since(self.wall),
        }
    }
}

/// Where both clocks are read. Loops hold one; decisions are given [`Now`].
pub trait Clock: Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Now;

    /// What a store should remember for the next start. A clock that knows of
    /// no boots says none, and then every start counts as one.
    fn remember(&self) -> Remembered {
        Remembered { boot: String::new(), offset: 0, newest: self.now() }
    }
}

/// The clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    timeline: Timeline,
}

impl SystemClock {
    /// The machine's clocks, with the monotonic one continued from what a store
    /// remembers.
    pub fn resume(remembered: Option<&Remembered>) -> Self {
        Self { timeline: Timeline::resume(remembered, &boot_id(), raw_mono(), wall()) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { wall: wall(), mono: self.timeline.place(raw_mono()) }
    }

    fn remember(&self) -> Remembered {
        Remembered { boot: boot_id(), offset: self.timeline.offset, newest: self.now() }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
}

fn raw_mono() -> Mono {
    // On Linux the boot-time clock also counts while the machine sleeps.
    #[cfg(target_os = "linux")]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let id = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(id);
    Mono(time.tv_sec * MICROS + time.tv_nsec / 1_000)
}

/// Which boot of the machine this is; empty where that cannot be known, and
/// then every start counts as a boot.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

/// What a store keeps of the clocks, so that the monotonic one can continue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// Which boot of the machine it was.
    pub boot: String,
    /// What was added to the machine's monotonic clock, in microseconds.
    pub offset: i64,
    /// The newest times that were recorded.
    pub newest: Now,
}

/// Continues the machine's monotonic clock over restarts and reboots.
///
/// Within one boot the clock simply goes on. Over a reboot it goes on by as
/// much as the wall clock did, and never back: a delay is then at worst too
/// long, never too short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeline {
    offset: i64,
}

impl Timeline {
    /// Decides where the timeline goes on.
    pub fn resume(remembered: Option<&Remembered>, boot: &str, raw: Mono, wall: Timestamp) -> Self {
        let Some(last) = remembered else { return Self { offset: 0 } };
        if !boot.is_empty() && last.boot == boot {
            return Self { offset: last.offset };
        }
        let slept = wall.since(last.newest.wall);
        Self { offset: (last.newest.mono + slept).0 - raw.0 }
    }

    fn place(self, raw: Mono) -> Mono {
        Mono(raw.0.saturating_add(self.offset))
    }
}

/// A clock that stands still until it is told otherwise: for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: AtomicI64,
    mono: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self { wall: AtomicI64::new(wall.0), mono: AtomicI64::new(MICROS) }
    }

    /// Time passes: both clocks go on.
    pub fn advance(&self, by: Span) {
        self.step(by.0);
        self.mono.fetch_add(by.0, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock, by so many microseconds forward or back.
    pub fn step(&self, micros: i64) {
        self.wall.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Now { wall: Timestamp(self.wall.load(Ordering::SeqCst)), mono: Mono(self.mono.load(Ordering::SeqCst)) }
    }
}

impl From<Duration> for Span {
    /// The same length, at most [`Span::MAX`].
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)).min(Self::MAX)
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0)).min(Self::MAX)
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add<Span> for Mono {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// Why a text is not a time or a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// Not a span such as `30m`.
    #[error(
        "{0:?} is not a length of time; write a number and a unit: `500ms`, `45s`, `30m`, `2h`, `7d`, or several: `1h30m`"
    )]
    Span(String),
    /// A span longer than is accepted.
    #[error("{0:?} is longer than 10,000 days")]
    TooLong(String),
    /// Not a time such as `2026-12-01T09:00:00Z`.
    #[error("{0:?} is not a time; write it as RFC 3339 with a zone: `2026-12-01T09:00:00Z`")]
    Time(String),
    /// A time outside the years that are accepted.
    #[error("{0:?} lies outside the years 1970 to 9999")]
    OutOfRange(String),
}

impl FromStr for Span {
    type Err = BadTime;

    /// Reads `500ms`, `45s`, `30m`, `2h`, `7d`, or several in a row: `1h30m`.
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let bad = || BadTime::Span(text.to_owned());
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total: i64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let unit: i64 = match unit {
                "us" => 1,
                "ms" => 1_000,
                "s" => MICROS,
                "m" => 60 * MICROS,
                "h" => 3_600 * MICROS,
                "d" => 86_400 * MICROS,
                _ => return Err(bad()),
            };
            if number.is_empty() {
                return Err(bad());
            }
            let number: i64 = number.parse().map_err(|_| BadTime::TooLong(text.to_owned()))?;
            total = total.saturating_add(number.saturating_mul(unit));
            rest = tail.trim_start();
        }
        if total > Self::MAX.0 {
            return Err(BadTime::TooLong(text.to_owned()));
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    /// Writes the span exactly, in the form that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        for (unit, micros) in
            [("d", 86_400 * MICROS), ("h", 3_600 * MICROS), ("m", 60 * MICROS), ("s", MICROS), ("ms", 1_000), ("us", 1)]
        {
            if rest >= micros {
                text.push_str(&format!("{}{unit}", rest / micros));
                rest %= micros;
            }
        }
        f.pad(&text)
    }
}

impl FromStr for Timestamp {
    type Err = BadTime;

    /// Reads RFC 3339, within the years 1970 to 9999.
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let time: jiff::Timestamp = text.parse().map_err(|_| BadTime::Time(text.to_owned()))?;
        let micros = time.as_microsecond();
        if !(0..=Self::MAX.0).contains(&micros) {
            return Err(BadTime::OutOfRange(text.to_owned()));
        }
        Ok(Self(micros))
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC, to the millisecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} µs since 1970", self.0),
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(Span);
as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Span>().map(Span::as_micros);
        assert_eq!(read("30m"), Ok(1_800 * MICROS));
        assert_eq!(read("1h30m"), Ok(5_400 * MICROS));
        assert_eq!(read(" 1h 30m "), Ok(5_400 * MICROS));
        assert_eq!(read("500ms"), Ok(500_000));
        for bad in ["", "30", "m", "-3s", "3 s", "1.5h", "3fortnights"] {
            assert!(matches!(read(bad), Err(BadTime::Span(_))), "{bad}");
        }
        assert!(matches!(read("10001d"), Err(BadTime::TooLong(_))));
        assert!(matches!(read("99999999999999999999d"), Err(BadTime::TooLong(_))));
    }

    #[test]
    fn a_duration_is_a_span_of_at_most_the_longest() {
        assert_eq!(Span::from(Duration::from_millis(1_500)), Span::from_millis(1_500));
        assert_eq!(Span::from(Duration::MAX), Span::MAX);
    }

    #[test]
    fn times_need_a_zone_and_a_sensible_year() {
        let read = |text: &str| text.parse::<Timestamp>();
        assert_eq!(read("2026-12-01T09:00:00Z").unwrap().to_string(), "2026-12-01T09:00:00.000Z");
        assert_eq!(read("2026-12-01T10:00:00+01:00"), read("2026-12-01T09:00:00Z"));
        assert!(matches!(read("2026-12-01T09:00:00"), Err(BadTime::Time(_))));
        assert!(matches!(read("10000-01-01T00:00:00Z"), Err(BadTime::Time(_))));
        assert!(matches!(read("1969-12-31T23:59:59Z"), Err(BadTime::OutOfRange(_))));
    }

    #[test]
    fn a_delay_ignores_the_wall_clock_and_an_appointment_follows_it() {
        let clock = ManualClock::at(Timestamp(1_000 * MICROS));
        let delay = Moment::after(clock.now(), Span::from_secs(60));
        let appointment = Moment::at(Timestamp(1_060 * MICROS), clock.now());
        clock.step(3_600 * MICROS);
        assert!(!delay.reached(clock.now()));
        assert!(appointment.reached(clock.now()));
        clock.step(-7_200 * MICROS);
        clock.advance(Span::from_secs(60));
        assert!(delay.reached(clock.now()));
        assert!(!appointment.reached(clock.now()));
    }

    #[test]
    fn the_monotonic_clock_goes_on_over_a_restart_and_a_reboot() {
        let last = Remembered { boot: "a".into(), offset: 5, newest: Now { wall: Timestamp(1_000), mono: Mono(105) } };
        let place = |boot: &str, raw: i64, wall: i64| {
            Timeline::resume(Some(&last), boot, Mono(raw), Timestamp(wall)).place(Mono(raw)).0
        };
        assert_eq!(place("a", 200, 77), 205, "the same boot: as before, whatever the wall clock says");
        assert_eq!(place("b", 3, 1_040), 145, "a reboot: as far on as the wall clock");
        assert_eq!(place("b", 3, 900), 105, "a reboot with the wall clock set back: never back");
        assert_eq!(place("", 3, 1_040), 145, "where boots cannot be told apart, each start counts as one");
    }

    proptest! {
        #[test]
        fn a_span_is_read_as_it_was_written(micros in 0..Span::MAX.0) {
            let span = Span(micros);
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
    }
}
