//! Progress on standard error: a bar on a terminal, occasional lines elsewhere, nothing with
//! `--quiet`.
//!
//! # Invariants
//!
//! 1. One bar lives from the first stage to the end of the flow. A stage changes what it shows;
//!    a second bar would leave the first one's line behind.
//! 2. The bar's line is shorter than the terminal is wide, so that it never wraps.
//! 3. Nothing is printed while the bar stands: [`clear`] runs before every answer and message.

use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use seawall::progress::{Progress, Silent, Stage};

use crate::failure::plain;
use crate::output::tell;

mod meter;

use meter::Meter;

/// The minimum time between two lines of a stage without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// The width assumed for a terminal of unknown width, in columns.
const WIDTH_USUAL: usize = 80;

/// The progress output of this process, for [`clear`].
static SHOWN: OnceLock<Arc<dyn Progress>> = OnceLock::new();

/// Chooses the progress output for the terminal and the flags. There is no bar if logs go to
/// standard error, because log lines would break the bar apart.
pub(crate) fn choose(quiet: bool, is_logged: bool) -> Arc<dyn Progress> {
    let chosen: Arc<dyn Progress> = if quiet {
        Arc::new(Silent)
    } else if std::io::stderr().is_terminal() && !is_logged {
        Arc::new(Bar::default())
    } else {
        Arc::new(Lines::default())
    };
    SHOWN.get_or_init(|| chosen).clone()
}

/// Removes the bar, if any, before other output.
pub(crate) fn clear() {
    if let Some(shown) = SHOWN.get() {
        shown.finish();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The running stage.
type Running = Arc<Mutex<Option<Meter>>>;

/// One bar for all stages.
#[derive(Default)]
struct Bar {
    running: Running,
    drawn: Mutex<Option<ProgressBar>>,
}

impl Bar {
    fn with(&self, act: impl FnOnce(&mut Meter)) {
        if let Some(meter) = lock(&self.running).as_mut() {
            act(meter);
        }
    }
}

/// Draws the running stage; called by indicatif several times a second.
fn draw(running: &Running, out: &mut dyn fmt::Write) {
    let width = terminal_size::terminal_size_of(std::io::stderr())
        .map_or(WIDTH_USUAL, |(width, _)| usize::from(width.0));
    if let Some(meter) = lock(running).as_mut() {
        let now = Instant::now();
        meter.sample(now);
        // The last column stays free: some terminals wrap once it is filled.
        let _ = out.write_str(&meter.line(now, width.saturating_sub(1).max(1)));
    }
}

impl Progress for Bar {
    fn begin(&self, stage: Stage, total_bytes: Option<u64>) {
        *lock(&self.running) = Some(Meter::new(stage, total_bytes, Instant::now()));
        let mut drawn = lock(&self.drawn);
        if drawn.is_some() {
            return;
        }
        let running = Arc::clone(&self.running);
        let key = move |_: &ProgressState, out: &mut dyn fmt::Write| draw(&running, out);
        let Ok(style) = ProgressStyle::with_template("{line}") else { return };
        let target = ProgressDrawTarget::stderr_with_hz(8);
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(style.with_key("line", key));
        bar.enable_steady_tick(Duration::from_millis(125));
        *drawn = Some(bar);
    }

    fn advance(&self, bytes: u64) {
        self.with(|meter| meter.advance(bytes));
    }

    fn reused(&self, bytes: u64) {
        self.with(|meter| meter.reused(bytes));
    }

    fn transferred(&self, bytes: u64) {
        self.with(|meter| meter.transferred(bytes));
    }

    fn note(&self, text: &str) {
        let text = plain(text);
        match lock(&self.drawn).as_ref() {
            Some(bar) => bar.suspend(|| tell(&text)),
            None => tell(&text),
        }
    }

    fn finish(&self) {
        // Taken first, because `draw` locks `running` while indicatif holds its own lock.
        let bar = lock(&self.drawn).take();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        *lock(&self.running) = None;
    }
}

/// Progress as lines: one at the end of a stage, and one every [`LINE_EVERY`] at most.
#[derive(Default)]
struct Lines {
    running: Mutex<Option<(Meter, Instant)>>,
}

impl Lines {
    fn with(&self, act: impl FnOnce(&mut Meter)) {
        let mut running = lock(&self.running);
        let Some((meter, told)) = running.as_mut() else { return };
        act(meter);
        if told.elapsed() >= LINE_EVERY {
            *told = Instant::now();
            tell(meter.log(*told));
        }
    }

    fn replace(&self, next: Option<Meter>) {
        let now = Instant::now();
        let ended = std::mem::replace(&mut *lock(&self.running), next.map(|meter| (meter, now)));
        // A stage without work is not reported.
        if let Some((ended, _)) = ended.filter(|(meter, _)| meter.is_begun()) {
            tell(ended.log(now));
        }
    }
}

impl Progress for Lines {
    fn begin(&self, stage: Stage, total: Option<u64>) {
        self.replace(Some(Meter::new(stage, total, Instant::now())));
    }

    fn advance(&self, bytes: u64) {
        self.with(|meter| meter.advance(bytes));
    }

    fn reused(&self, bytes: u64) {
        self.with(|meter| meter.reused(bytes));
    }

    fn transferred(&self, bytes: u64) {
        self.with(|meter| meter.transferred(bytes));
    }

    fn note(&self, text: &str) {
        tell(plain(text));
    }

    fn finish(&self) {
        self.replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_before_a_stage_begins_or_after_it_ended_is_harmless() {
        for progress in [&Lines::default() as &dyn Progress, &Bar::default()] {
            progress.advance(1);
            progress.begin(Stage::Scan, Some(0));
            progress.reused(u64::from(u32::MAX));
            progress.finish();
            progress.reused(1);
            progress.transferred(1);
            progress.finish();
        }
    }
}
