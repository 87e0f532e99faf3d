//! Progress on standard error: a bar on a terminal, a rare line elsewhere, nothing when quiet.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use seawall::progress::{Progress, Silent, Stage};
use seawall_api::units::HumanBytes;

use crate::report::plain;

/// Elsewhere than on a terminal a line is written this often at most.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// What fits the terminal and the flags.
pub(crate) fn choose(quiet: bool) -> Arc<dyn Progress> {
    let stderr = std::io::stderr();
    if quiet {
        Arc::new(Silent)
    } else if stderr.is_terminal() {
        Arc::new(Bar::default())
    } else {
        Arc::new(Lines::default())
    }
}

fn verb(stage: Stage) -> &'static str {
    match stage {
        Stage::Scan => "scanning",
        Stage::Upload => "uploading",
        Stage::Fetch => "fetching",
        Stage::Apply => "writing",
        Stage::Verify => "verifying",
        Stage::Unpack => "inflating",
    }
}

/// One bar, for the stage that runs. indicatif leaves colours out when `NO_COLOR` is set.
#[derive(Default)]
struct Bar {
    running: Mutex<Option<ProgressBar>>,
    reused: AtomicU64,
}

impl Bar {
    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        let running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = running.as_ref() {
            act(bar);
        }
    }

    fn replace(&self, next: Option<ProgressBar>) {
        let mut running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = std::mem::replace(&mut *running, next) {
            bar.finish_and_clear();
        }
        self.reused.store(0, Ordering::Relaxed);
    }
}

impl Progress for Bar {
    fn begin(&self, stage: Stage, total_bytes: Option<u64>) {
        let template = match total_bytes {
            Some(_) => {
                "{prefix:>9} [{bar:24.cyan/blue}] {binary_bytes}/{binary_total_bytes} \
                 {binary_bytes_per_sec}, {eta} left{msg}"
            }
            None => "{prefix:>9} {spinner} {binary_bytes} {binary_bytes_per_sec}{msg}",
        };
        let bar = ProgressBar::with_draw_target(total_bytes, ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(verb(stage));
        bar.enable_steady_tick(Duration::from_millis(250));
        self.replace(Some(bar));
    }

    fn advance(&self, bytes: u64) {
        self.with(|bar| bar.inc(bytes));
    }

    fn reused(&self, bytes: u64) {
        let reused = self.reused.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.with(|bar| {
            bar.inc(bytes);
            bar.set_message(format!(", {} reused", HumanBytes(reused)));
        });
    }

    fn note(&self, text: &str) {
        let text = plain(text);
        let running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match running.as_ref() {
            Some(bar) => bar.suspend(|| anstream::eprintln!("{text}")),
            None => anstream::eprintln!("{text}"),
        }
    }

    fn finish(&self) {
        self.replace(None);
    }
}

/// A line when a stage ends, and now and then while it runs.
#[derive(Default)]
struct Lines {
    running: Mutex<Option<Running>>,
}

struct Running {
    stage: Stage,
    total: Option<u64>,
    done: u64,
    reused: u64,
    began: Instant,
    told: Instant,
}

impl Running {
    fn line(&self) -> String {
        let secs = self.began.elapsed().as_secs_f64();
        let mut line = format!("{}: {}", verb(self.stage), HumanBytes(self.done));
        if let Some(total) = self.total {
            line += &format!(" of {}", HumanBytes(total));
        }
        if self.reused > 0 {
            line += &format!(", {} reused", HumanBytes(self.reused));
        }
        line + &format!(", {secs:.1} s")
    }
}

impl Lines {
    fn count(&self, bytes: u64, reused: u64) {
        let mut running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(running) = running.as_mut() else { return };
        running.done += bytes;
        running.reused += reused;
        if running.told.elapsed() >= LINE_EVERY {
            running.told = Instant::now();
            anstream::eprintln!("{}", running.line());
        }
    }

    fn replace(&self, next: Option<Running>) {
        let mut running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A stage that had nothing to do is no news.
        let ended = std::mem::replace(&mut *running, next);
        if let Some(ended) = ended.filter(|ended| ended.done > 0) {
            anstream::eprintln!("{}", ended.line());
        }
    }
}

impl Progress for Lines {
    fn begin(&self, stage: Stage, total: Option<u64>) {
        let now = Instant::now();
        self.replace(Some(Running { stage, total, done: 0, reused: 0, began: now, told: now }));
    }

    fn advance(&self, bytes: u64) {
        self.count(bytes, 0);
    }

    fn reused(&self, bytes: u64) {
        self.count(bytes, bytes);
    }

    fn note(&self, text: &str) {
        anstream::eprintln!("{}", plain(text));
    }

    fn finish(&self) {
        self.replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_done_and_what_was_spared() {
        let now = Instant::now();
        let stage = Stage::Fetch;
        let mut running =
            Running { stage, total: None, done: 1 << 20, reused: 0, began: now, told: now };
        assert!(running.line().starts_with("fetching: 1.0 MiB, "), "{}", running.line());
        running.total = Some(1 << 30);
        running.reused = 1 << 10;
        let line = running.line();
        assert!(line.starts_with("fetching: 1.0 MiB of 1.0 GiB, 1.0 KiB reused, "), "{line}");
    }

    #[test]
    fn counting_before_a_stage_begins_or_after_it_ended_is_harmless() {
        for progress in [&Lines::default() as &dyn Progress, &Bar::default()] {
            progress.advance(1);
            progress.begin(Stage::Scan, Some(0));
            progress.reused(u64::from(u32::MAX));
            progress.finish();
            progress.reused(1);
            progress.finish();
        }
    }
}
