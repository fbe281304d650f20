//! How fast networks run on this machine.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use nephrite_cpu::{Threads, roofline};
use nephrite_engine::Provider;
use nephrite_types::Precision;
use serde::{Deserialize, Serialize};

use super::CpuSettings;

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
    provider: Provider,
    precision: Precision,
    n_threads: usize,
    cpu: CpuSettings,
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
    /// `n_threads` work on one network on the CPU. The guess is for our own kernels, on the CPU as `cpu` sets them up, which stands for
    /// OpenVINO too; on cards it is that of no particular one.
    pub fn new(provider: Provider, precision: Precision, n_threads: usize, cpu: CpuSettings) -> SpeedMeter {
        SpeedMeter {
            provider,
            precision,
            n_threads: n_threads.max(1),
            cpu,
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
        let calibrated = state.calibrated;
        let multiply_adds_per_second = calibrated.unwrap_or_else(|| match self.provider {
            Provider::Cuda => guess_of_cards(self.precision),
            Provider::Cpu | Provider::OpenVino => calibrate(self.n_threads, self.cpu, self.precision),
        });
        state.calibrated = Some(multiply_adds_per_second);
        Speed {
            multiply_adds_per_second,
            source: SpeedSource::Calibrated,
        }
    }
}

/// Multiply-accumulates per second of a whole network, guessed from the arithmetic that these threads can do.
fn calibrate(n_threads: usize, cpu: CpuSettings, precision: Precision) -> f64 {
    let peak = Threads::new(n_threads, cpu.pin_threads)
        .and_then(|threads| roofline::peak_gflops(cpu.options(nephrite_cpu::Precision::F32).level, &threads))
        .unwrap_or(1.0);
    peak / 2.0 * 1e9 * network_share(precision)
}

/// What a network reaches of the f32 arithmetic of the processor, counted as plain sums. In f32, minimal filtering saves more
/// than all the rest costs. In bf16, a network takes about 0.8 of that time: the products of some of its convolutions take half.
fn network_share(precision: Precision) -> f64 {
    const OF_F32: f64 = 1.5;
    match precision {
        Precision::Bf16 => OF_F32 / 0.8,
        _ => OF_F32,
    }
}

/// Multiply-accumulates per second of a network on a card: a third of what an H200 does.
fn guess_of_cards(precision: Precision) -> f64 {
    match precision {
        Precision::Half => 4e13,
        Precision::Tf32 => 2e13,
        _ => 3e12,
    }
}

#[cfg(test)]
mod tests {
    use nephrite_cpu::Level;

    use super::*;

    #[test]
    fn what_was_measured_replaces_the_guess_and_newer_runs_count_more() {
        let meter = SpeedMeter::new(Provider::Cpu, Precision::F32, 2, CpuSettings::default());
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

    #[test]
    fn the_guess_is_for_the_instructions_that_are_set() {
        if Level::best() == Level::Portable {
            return;
        }
        let guess = |instructions, pin_threads| {
            let cpu = CpuSettings {
                instructions,
                pin_threads,
            };
            SpeedMeter::new(Provider::Cpu, Precision::F32, 1, cpu)
                .speed()
                .multiply_adds_per_second
        };
        let (portable, best) = (guess(Some(Level::Portable), false), guess(None, true));
        assert!(2.0 * portable < best, "{portable:e} and {best:e}");
    }

    #[test]
    fn bf16_is_guessed_to_be_faster_but_not_twice_as_fast() {
        let [f32, bf16] = [Precision::F32, Precision::Bf16].map(network_share);
        assert!((1.1..1.5).contains(&(bf16 / f32)), "{bf16} and {f32}");
    }
}
