//! The position and speed of a stage, formatted to fit a width. Pure: the caller passes the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use seawall::progress::Stage;
use seawall_api::units::HumanBytes;

/// The period over which rates are measured.
const WINDOW: Duration = Duration::from_secs(8);

/// The time before the first estimate of the time left; the first packs say little about the rest.
const ETA_AFTER: Duration = Duration::from_secs(3);

/// The longest bar, and the shortest below, in columns.
const BAR_MAX: usize = 24;
const BAR_MIN: usize = 8;

/// Returns the verb for a stage.
pub(super) fn verb(stage: Stage) -> &'static str {
    match stage {
        Stage::Scan => "scanning",
        Stage::Upload => "uploading",
        Stage::Fetch => "fetching",
        Stage::Apply => "writing",
        Stage::Verify => "verifying",
        Stage::Unpack => "inflating",
        Stage::Copy => "copying objects",
        Stage::Rows => "moving rows",
    }
}

/// Counts of one stage, in bytes.
#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    /// Bytes of disks completed, including reused ones.
    done: u64,
    /// The part of `done` that was present already.
    reused: u64,
    /// Bytes transferred over the network.
    network: u64,
}

impl Counts {
    /// Returns the bytes that took work, from which the speed is measured.
    fn fresh(self) -> u64 {
        self.done - self.reused
    }
}

/// One stage of a flow.
#[derive(Debug)]
pub(super) struct Meter {
    stage: Stage,
    total: Option<u64>,
    counts: Counts,
    began: Instant,
    samples: VecDeque<(Instant, Counts)>,
}

impl Meter {
    /// Returns the meter of a stage that starts at `now`.
    pub(super) fn new(stage: Stage, total: Option<u64>, now: Instant) -> Self {
        let samples = VecDeque::from([(now, Counts::default())]);
        Self { stage, total, counts: Counts::default(), began: now, samples }
    }

    /// Counts bytes processed.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.counts.done = self.counts.done.saturating_add(bytes);
    }

    /// Counts bytes already present.
    pub(super) fn reused(&mut self, bytes: u64) {
        self.advance(bytes);
        self.counts.reused = self.counts.reused.saturating_add(bytes);
    }

    /// Counts bytes transferred over the network.
    pub(super) fn transferred(&mut self, bytes: u64) {
        self.counts.network = self.counts.network.saturating_add(bytes);
    }

    /// Returns true once the stage has counted any bytes.
    pub(super) fn is_begun(&self) -> bool {
        self.counts.done > 0 || self.counts.network > 0
    }

    /// Returns the bytes done, capped at the total: the total is an estimate from the source's
    /// allocation.
    fn done(&self) -> u64 {
        self.total.map_or(self.counts.done, |total| self.counts.done.min(total))
    }

    /// Records the current counts, so that rates follow the last [`WINDOW`].
    pub(super) fn sample(&mut self, now: Instant) {
        self.samples.push_back((now, self.counts));
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) >= WINDOW {
            self.samples.pop_front();
        }
    }

    /// Returns a rate over the window, in bytes per second; `None` if there is too little to
    /// measure.
    fn rate(&self, now: Instant, of: impl Fn(Counts) -> u64) -> Option<f64> {
        let (then, counts) = *self.samples.front()?;
        let secs = now.duration_since(then).as_secs_f64();
        let bytes = of(self.counts).saturating_sub(of(counts));
        (secs >= 0.5 && bytes > 0).then(|| bytes as f64 / secs)
    }

    /// Estimates the time left from the recent rate.
    fn eta(&self, now: Instant) -> Option<Duration> {
        let left = self.total?.checked_sub(self.counts.done).filter(|left| *left > 0)?;
        if now.duration_since(self.began) < ETA_AFTER {
            return None;
        }
        let rate = self.rate(now, Counts::fresh)?;
        Duration::try_from_secs_f64(left as f64 / rate).ok()
    }

    /// Formats the stage in at most `width` columns, leaving out the least important parts first.
    pub(super) fn line(&self, now: Instant, width: usize) -> String {
        let mut head = verb(self.stage).to_owned();
        let amount = match self.total {
            Some(total) => pair(self.done(), total),
            // Syncing counts no bytes, and `0 B` would look stuck.
            None if self.stage == Stage::Apply && !self.is_begun() => {
                return head.chars().take(width).collect();
            }
            None => HumanBytes(self.counts.done).to_string(),
        };
        let bare = format!("{head} {amount}");
        let rate = |of: fn(Counts) -> u64| self.rate(now, of).map(speed);
        let disk_rate = rate(Counts::fresh).map_or_else(String::new, |rate| format!(" at {rate}"));
        let network = match (self.counts.network, rate(|counts| counts.network)) {
            (0, _) => String::new(),
            (bytes, None) => format!(", network {}", HumanBytes(bytes)),
            (bytes, Some(rate)) => format!(", network {} at {rate}", HumanBytes(bytes)),
        };
        let eta = self.eta(now).map_or_else(String::new, |left| format!(", {} left", span(left)));
        let reused = match self.counts.reused {
            0 => String::new(),
            bytes => format!(", {} reused", HumanBytes(bytes)),
        };
        let label = if self.counts.network > 0 { "disk " } else { "" };
        // The first choice that fits is used; each has fewer parts than the one before.
        let choices = [
            format!("{label}{amount}{disk_rate}{network}{eta}{reused}"),
            format!("{label}{amount}{network}{eta}{reused}"),
            format!("{label}{amount}{network}{eta}"),
            format!("{label}{amount}{network}"),
            format!("{amount}{eta}"),
            amount,
        ];
        let fits = |text: &&String| head.chars().count() + 1 + text.chars().count() <= width;
        let Some(text) = choices.iter().find(fits) else {
            return bare.chars().take(width).collect();
        };
        let spare = width - (head.chars().count() + 1 + text.chars().count());
        if let Some(total) = self.total.filter(|total| *total > 0)
            && spare >= BAR_MIN + 3
        {
            let columns = (spare - 3).min(BAR_MAX);
            head += &format!(" [{}]", bar(self.done(), total, columns));
        }
        format!("{head} {text}")
    }

    /// Formats the stage as a log line, complete and with the time taken.
    pub(super) fn log(&self, now: Instant) -> String {
        let secs = now.duration_since(self.began).as_secs_f64();
        let mut line = format!("{}: {}", verb(self.stage), HumanBytes(self.done()));
        if let Some(total) = self.total {
            line += &format!(" of {}", HumanBytes(total));
        }
        if self.counts.reused > 0 {
            line += &format!(", {} reused", HumanBytes(self.counts.reused));
        }
        if self.counts.network > 0 {
            line += &format!(", network {}", HumanBytes(self.counts.network));
        }
        line + &format!(", {secs:.1} s")
    }
}

/// Returns a bar such as `=====>   ` of `columns` characters.
fn bar(done: u64, total: u64, columns: usize) -> String {
    let share = u128::from(done) * columns as u128 / u128::from(total);
    let full = usize::try_from(share).unwrap_or(columns).min(columns);
    let tip = if full < columns { ">" } else { "" };
    format!("{:columns$}", "=".repeat(full) + tip)
}

/// Formats two sizes, as in `1.3/1.5 GiB`; a common unit is written once.
fn pair(done: u64, total: u64) -> String {
    let (done, total) = (HumanBytes(done).to_string(), HumanBytes(total).to_string());
    match (done.split_once(' '), total.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}/{total}"),
        (Some(("0", _)), _) => format!("0/{total}"),
        _ => format!("{done}/{total}"),
    }
}

/// Formats a speed, as in `8.1 MB/s`, in decimal units as usual for networks and disks.
fn speed(bytes_per_sec: f64) -> String {
    let (mut value, mut unit) = (bytes_per_sec / 1e3, "kB/s");
    for larger in ["MB/s", "GB/s"] {
        if value >= 999.5 {
            (value, unit) = (value / 1e3, larger);
        }
    }
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// Formats a duration as `40s`, `3m20s` or `2h05m`, rounded up so that time left is never zero.
fn span(left: Duration) -> String {
    let secs = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn after(began: Instant, secs: f64) -> Instant {
        began + Duration::from_secs_f64(secs)
    }

    #[test]
    fn a_line_has_both_rates_and_the_time_left() {
        let began = Instant::now();
        let mut meter = Meter::new(Stage::Upload, Some(1536 * MIB), began);
        meter.advance(1024 * MIB);
        meter.transferred(266 * MIB);
        let now = after(began, 20.0);
        let line = meter.line(now, 120);
        assert!(
            line.starts_with("uploading [================>       ] disk 1.0/1.5 GiB "),
            "{line}"
        );
        assert!(line.contains(" at 54 MB/s, network 266.0 MiB at 14 MB/s, 10s left"), "{line}");
    }

    #[test]
    fn a_line_fits_every_width_and_keeps_the_amount_longest() {
        let began = Instant::now();
        let mut meter = Meter::new(Stage::Upload, Some(1536 * MIB), began);
        meter.advance(1024 * MIB);
        meter.reused(100 * MIB);
        meter.transferred(266 * MIB);
        for width in 1..200 {
            let line = meter.line(after(began, 20.0), width);
            assert!(line.chars().count() <= width, "{width}: {line}");
            assert!(width < 21 || line.contains("1.1/1.5 GiB"), "{width}: {line}");
        }
        let narrow = meter.line(after(began, 20.0), 39);
        assert!(narrow.contains("left"), "{narrow}");
    }

    #[test]
    fn no_time_left_is_told_in_the_first_three_seconds() {
        let began = Instant::now();
        let mut meter = Meter::new(Stage::Fetch, Some(100 * MIB), began);
        meter.advance(MIB);
        assert!(!meter.line(after(began, 2.9), 100).contains("left"));
        assert!(meter.line(after(began, 3.1), 100).contains("left"));
    }

    #[test]
    fn reused_data_does_not_count_as_speed() {
        let began = Instant::now();
        let mut meter = Meter::new(Stage::Fetch, Some(1000 * MIB), began);
        meter.reused(900 * MIB);
        meter.sample(after(began, 1.0));
        let line = meter.line(after(began, 10.0), 100);
        assert!(!line.contains(" at ") && !line.contains("left"), "{line}");
        meter.advance(50 * MIB);
        let line = meter.line(after(began, 10.0), 100);
        assert!(line.contains(", 10s left"), "50 MiB took 10 s, 50 MiB are left: {line}");
    }

    #[test]
    fn a_stage_is_never_past_its_total() {
        let began = Instant::now();
        let mut meter = Meter::new(Stage::Upload, Some(436 * 1024), began);
        meter.advance(876 * 1024);
        let line = meter.line(after(began, 10.0), 100);
        assert!(line.contains("436.0/436.0 KiB") && !line.contains("left"), "{line}");
        assert!(meter.log(began).starts_with("uploading: 436.0 KiB of 436.0 KiB, "));
    }

    #[test]
    fn rates_follow_the_recent_past() {
        let began = Instant::now();
        let mut meter = Meter::new(Stage::Fetch, None, began);
        meter.advance(1000 * MIB);
        for second in 1..60 {
            meter.sample(after(began, f64::from(second)));
            meter.advance(MIB);
        }
        let line = meter.line(after(began, 60.0), 100);
        assert!(line.ends_with(" at 1.0 MB/s") || line.ends_with(" at 1.1 MB/s"), "{line}");
    }

    #[test]
    fn a_log_says_what_was_done_and_what_was_spared() {
        let began = Instant::now();
        let mut meter = Meter::new(Stage::Fetch, None, began);
        meter.advance(MIB);
        assert_eq!(meter.log(after(began, 1.0)), "fetching: 1.0 MiB, 1.0 s");
        meter.reused(1024);
        meter.transferred(2048);
        let line = meter.log(after(began, 1.0));
        assert_eq!(line, "fetching: 1.0 MiB, 1.0 KiB reused, network 2.0 KiB, 1.0 s");
    }

    #[test]
    fn numbers_are_short() {
        for (rate, text) in [
            (0.0, "0.0 kB/s"),
            (8_100_000.0, "8.1 MB/s"),
            (266e6, "266 MB/s"),
            (999_900.0, "1.0 MB/s"),
            (2.5e9, "2.5 GB/s"),
        ] {
            assert_eq!(speed(rate), text);
        }
        for (millis, text) in [(1, "1s"), (40_000, "40s"), (200_000, "3m20s"), (7_500_000, "2h05m")]
        {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
        assert_eq!(pair(0, 1 << 30), "0/1.0 GiB");
        assert_eq!(pair(512, 1 << 30), "512 B/1.0 GiB");
        assert_eq!(bar(1, 2, 8), "====>   ");
        assert_eq!(bar(2, 2, 8), "========");
        assert_eq!(bar(u64::MAX, u64::MAX, 8), "========");
    }
}
