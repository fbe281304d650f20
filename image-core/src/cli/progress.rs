//! A progress bar on the terminal for one run.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use nephrite_image_core::WarningReport;
use nephrite_types::{Progress, Stage, Warning};

/// Shows how far a command is, on standard error: a bar on a terminal, a line now and then elsewhere.
pub(crate) fn on_stderr(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Warnings)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bar::new())
    } else {
        Box::new(Lines {
            state: Mutex::new(LinesState {
                stage: None,
                last: Instant::now(),
            }),
        })
    }
}

/// A warning as it stands on the terminal.
pub(super) fn warning_line(warning: &Warning) -> String {
    format!("warning: {warning}")
}

/// A warning of a report, on standard error.
pub(super) fn warn(reported: &WarningReport) {
    let WarningReport { code, file, message } = reported.clone();
    eprintln!("{}", warning_line(&Warning { code, file, message }));
}

/// Nothing but warnings.
struct Warnings;

impl Progress for Warnings {
    fn stage(&self, _: Stage) {}
    fn advance(&self, _: u64, _: u64) {}

    fn warning(&self, warning: &Warning) {
        eprintln!("{}", warning_line(warning));
    }
}

/// What a stage is called for people.
pub(super) fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::LoadModel => "loading the model",
        Stage::Read => "reading",
        Stage::Preprocess => "preprocessing",
        Stage::Inference => "segmenting",
        Stage::Export => "exporting",
        Stage::Write => "writing",
    }
}

/// Slabs are exported between tiles: the bar of the tiles stays until they are all done.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar { bar }
    }

    fn all_tiles_done(&self) -> bool {
        self.bar
            .length()
            .is_none_or(|length| self.bar.position() >= length)
    }
}

pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Bar {
    fn stage(&self, stage: Stage) {
        match stage {
            Stage::Inference if self.bar.length().is_some() && !self.all_tiles_done() => {}
            Stage::Export if !self.all_tiles_done() => {}
            stage => {
                self.bar.unset_length();
                self.bar.set_position(0);
                self.bar.set_style(style("{spinner} {msg}"));
                self.bar.set_message(title(stage));
            }
        }
    }

    fn advance(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar
                .set_style(style("{spinner} {msg} [{bar:40}] {pos}/{len} tiles, {eta} left"));
            self.bar.set_length(total);
            self.bar.reset_eta();
        }
        self.bar.set_position(done);
    }

    fn warning(&self, warning: &Warning) {
        self.bar.suspend(|| eprintln!("{}", warning_line(warning)));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

struct Lines {
    state: Mutex<LinesState>,
}

struct LinesState {
    stage: Option<Stage>,
    last: Instant,
}

/// At most one line of tiles in this time.
pub(super) const LINE_EVERY: Duration = Duration::from_secs(5);

impl Progress for Lines {
    fn stage(&self, stage: Stage) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = |stage| matches!(stage, Some(Stage::Inference | Stage::Export));
        if state.stage != Some(stage) && !(streams(state.stage) && streams(Some(stage))) {
            eprintln!("{}", title(stage));
        }
        state.stage = Some(stage);
    }

    fn advance(&self, done: u64, total: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if done == 1 || done == total || state.last.elapsed() >= LINE_EVERY {
            eprintln!("tile {done} of {total}");
            state.last = Instant::now();
        }
    }

    fn warning(&self, warning: &Warning) {
        eprintln!("{}", warning_line(warning));
    }
}
