//! Progress bars on the terminal for the steps of a case.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};
use nephrite_image_core::case::{CaseEvent, CaseEvents};
use nephrite_types::{Stage, Warning};

use super::progress::{LINE_EVERY, style, title, warning_line};

/// Shows how far the steps of a case are, on standard error: a bar per running step on a terminal, lines elsewhere.
pub(super) fn on_stderr(quiet: bool) -> Box<dyn CaseEvents> {
    if quiet {
        Box::new(Warnings)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars {
            all: MultiProgress::new(),
            running: Mutex::default(),
        })
    } else {
        Box::new(Lines {
            steps: Mutex::default(),
        })
    }
}

/// Nothing but warnings.
struct Warnings;

impl CaseEvents for Warnings {
    fn event(&self, event: CaseEvent) {
        if let CaseEvent::Warning { step, warning } = event {
            eprintln!("{}", line(step.as_deref(), &warning));
        }
    }
}

fn line(step: Option<&str>, warning: &Warning) -> String {
    let line = warning_line(warning);
    step.map_or(line.clone(), |step| format!("{step}: {line}"))
}

struct Bars {
    all: MultiProgress,
    running: Mutex<BTreeMap<String, ProgressBar>>,
}

impl CaseEvents for Bars {
    fn event(&self, event: CaseEvent) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            CaseEvent::Running { step, place } => {
                let bar = self.all.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {prefix}: {msg}"));
                bar.set_prefix(step.clone());
                bar.set_message(place.to_string());
                bar.enable_steady_tick(Duration::from_millis(120));
                running.insert(step, bar);
            }
            CaseEvent::Stage { step, stage } => {
                // Slabs are exported between tiles: the bar of the tiles stays until they are all done.
                if let Some(bar) = running.get(&step).filter(|bar| !has_tiles_left(bar)) {
                    bar.unset_length();
                    bar.set_style(style("{spinner} {prefix}: {msg}"));
                    bar.set_message(title(stage));
                }
            }
            CaseEvent::Tiles { step, done, total } => {
                if let Some(bar) = running.get(&step) {
                    if bar.length() != Some(total) {
                        bar.set_style(style(
                            "{spinner} {prefix}: {msg} [{bar:40}] {pos}/{len} tiles, {eta} left",
                        ));
                        bar.set_message(title(Stage::Inference));
                        bar.set_length(total);
                        bar.reset_eta();
                    }
                    bar.set_position(done);
                }
            }
            CaseEvent::Done { step } => {
                if let Some(bar) = running.remove(&step) {
                    bar.finish_and_clear();
                }
            }
            CaseEvent::Skipped { step, reason } => {
                let _ = self.all.println(format!("{step}: left out: {reason}")); // a terminal that is gone
            }
            CaseEvent::Warning { step, warning } => {
                self.all
                    .suspend(|| eprintln!("{}", line(step.as_deref(), &warning)));
            }
            CaseEvent::Mask(_) => {}
        }
    }
}

fn has_tiles_left(bar: &ProgressBar) -> bool {
    bar.length().is_some_and(|length| bar.position() < length)
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}

struct Lines {
    steps: Mutex<BTreeMap<String, StepLines>>,
}

struct StepLines {
    began: Instant,
    stage: Option<Stage>,
    last: Instant,
}

impl CaseEvents for Lines {
    fn event(&self, event: CaseEvent) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            CaseEvent::Running { step, place } => {
                eprintln!("{step}: {place}");
                let now = Instant::now();
                let lines = StepLines {
                    began: now,
                    stage: None,
                    last: now,
                };
                steps.insert(step, lines);
            }
            CaseEvent::Stage { step, stage } => {
                let Some(lines) = steps.get_mut(&step) else { return };
                let streams = |stage| matches!(stage, Some(Stage::Inference | Stage::Export));
                if lines.stage != Some(stage) && !(streams(lines.stage) && streams(Some(stage))) {
                    eprintln!("{step}: {}", title(stage));
                }
                lines.stage = Some(stage);
            }
            CaseEvent::Tiles { step, done, total } => {
                let Some(lines) = steps.get_mut(&step) else { return };
                if done == total || lines.last.elapsed() >= LINE_EVERY {
                    eprintln!("{step}: tile {done} of {total}");
                    lines.last = Instant::now();
                }
            }
            CaseEvent::Done { step } => {
                if let Some(lines) = steps.remove(&step) {
                    eprintln!("{step}: done in {:.1} s", lines.began.elapsed().as_secs_f64());
                }
            }
            CaseEvent::Skipped { step, reason } => eprintln!("{step}: left out: {reason}"),
            CaseEvent::Warning { step, warning } => eprintln!("{}", line(step.as_deref(), &warning)),
            CaseEvent::Mask(_) => {}
        }
    }
}
