//! How fast networks run on this machine.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use nephrite_cpu::{Level, Threads, roofline};
use serde::{Deserialize, Serialize};

/// How fast networks run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Multiply-accumulates, as [`multiply_adds_per_tile`](nephrite_nnunet::ModelDescription::multiply_adds_per_tile) counts them.
    pub multiply_adds_per_second: f64,
    /// How it is known.
    pub source: SpeedSource,
}

/// How the speed of networks is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedSource {
    /// From runs of this process.
    Measured,
    /// Guessed from what the processor can do.
    Calibrated,
}

impl fmt::Display for SpeedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpeedSource::Measured => "measured",
            SpeedSource::Calibrated => "calibrated",
        })
    }
}

impl Speed {
    /// Of so many multiply-accumulates.
    pub(crate) fn seconds(self, multiply_adds: u64) -> f64 {
        multiply_adds as f64 / self.multiply_adds_per_second
    }
}

/// Knows how fast networks run here: from what runs took, or from arithmetic of a few milliseconds before any has run.
#[derive(Debug)]
pub struct SpeedMeter {
    n_threads: usize,
    state: Mutex<MeterState>,
}

#[derive(Debug, Default)]
struct MeterState {
    /// Multiply-accumulates and seconds; older runs count less.
    measured: Option<[f64; 2]>,
    /// Multiply-accumulates per second.
    calibrated: Option<f64>,
}

impl SpeedMeter {
    /// `n_threads` work on one network.
    pub fn new(n_threads: usize) -> SpeedMeter {
        SpeedMeter {
            n_threads: n_threads.max(1),
            state: Mutex::default(),
        }
    }

    /// Takes in what runs of a network took together. What is too short to say anything is left out.
    pub fn observe(&self, multiply_adds: u64, seconds: f64) {
        const SHORTEST: f64 = 1e-3;
        /// What is left of older runs with every new one.
        const MEMORY: f64 = 0.5;
        if multiply_adds == 0 || !seconds.is_finite() || seconds < SHORTEST {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let [work, time] = state.measured.unwrap_or_default();
        state.measured = Some([work * MEMORY + multiply_adds as f64, time * MEMORY + seconds]);
    }

    /// The speed as far as it is known. Calibrates once, in at most about 200 ms, if nothing has run yet.
    pub fn speed(&self) -> Speed {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some([work, time]) = state.measured {
            return Speed {
                multiply_adds_per_second: work / time,
                source: SpeedSource::Measured,
            };
        }
        let n_threads = self.n_threads;
        Speed {
            multiply_adds_per_second: *state.calibrated.get_or_insert_with(|| calibrate(n_threads)),
            source: SpeedSource::Calibrated,
        }
    }
}

/// Multiply-accumulates per second of a whole network, guessed from the arithmetic that these threads can do.
fn calibrate(n_threads: usize) -> f64 {
    /// What a network reaches of it, counted as plain sums: minimal filtering saves more than all the rest costs.
    const NETWORK_SHARE: f64 = 1.5;
    let peak = Threads::new(n_threads, false)
        .and_then(|threads| roofline::peak_gflops(Level::best(), &threads))
        .unwrap_or(1.0);
    peak / 2.0 * 1e9 * NETWORK_SHARE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_replaces_the_guess_and_newer_runs_count_more() {
        let meter = SpeedMeter::new(2);
        meter.observe(0, 1.0);
        meter.observe(1000, f64::NAN);
        meter.observe(1000, 1e-9);
        let guess = meter.speed();
        assert_eq!(guess.source, SpeedSource::Calibrated);
        assert!(guess.multiply_adds_per_second > 1e6, "{guess:?}");
        assert_eq!(meter.speed(), guess, "calibrated once");
        meter.observe(4_000, 2.0);
        let measured = |n| Speed {
            multiply_adds_per_second: n,
            source: SpeedSource::Measured,
        };
        assert_eq!(meter.speed(), measured(2_000.0));
        meter.observe(10_000, 1.0);
        assert_eq!(meter.speed(), measured(12_000.0 / 2.0));
    }
}
