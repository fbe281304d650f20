//! What a model on a scan will cost, from headers alone: runs of the network, time, memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nephrite_conv::Conv3d;
use nephrite_nnunet::{ModelDescription, NetworkRuns, NnunetError};
use nephrite_types::Geometry;

/// How fast networks run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Multiply-accumulates, as [`ModelDescription::multiply_adds_per_tile`] counts them.
    pub multiply_adds_per_second: f64,
    /// `measured` in this process, or `calibrated`: guessed from one convolution.
    pub source: &'static str,
}

/// Of a process with ONNX Runtime loaded and a network of next to no size: 41 MB, measured.
pub(crate) const PROCESS_BYTES: u64 = 42_000_000;

/// What a model on a scan will cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelEstimate {
    /// Places where a patch lies, and runs of the network.
    pub runs: NetworkRuns,
    /// Of the network; reading, preprocessing and export are not in it. `None` if the network is not built in.
    pub seconds: Option<f64>,
    /// At the peak, besides the scan. `None` if the network is not built in.
    pub memory_bytes: Option<u64>,
}

/// The cost of a model on a scan, or on a part of one.
///
/// # Errors
/// [`NnunetError::EmptyGrid`] if the network would see no voxels, [`NnunetError::TileStepSize`].
pub fn estimate_model(
    model: &ModelDescription,
    scan: &Geometry,
    mirroring: bool,
    tile_step_size: f64,
    speed: Speed,
) -> Result<ModelEstimate, NnunetError> {
    let runs = network_runs(model, scan, mirroring, tile_step_size)?;
    let multiply_adds = model.multiply_adds_per_tile;
    Ok(ModelEstimate {
        runs,
        seconds: multiply_adds.map(|n| seconds(runs.runs, n, speed.multiply_adds_per_second)),
        memory_bytes: memory_bytes(model, scan, runs.grid),
    })
}

/// Runs of the network for a scan, exactly as many as a run has if no margin of the scan is all zero; such margins are cut
/// off first, so that there may be fewer.
///
/// # Errors
/// As [`estimate_model`].
fn network_runs(
    model: &ModelDescription,
    scan: &Geometry,
    mirroring: bool,
    tile_step_size: f64,
) -> Result<NetworkRuns, NnunetError> {
    let (shape, spacing) = (scan.shape.zyx(), scan.spacing.zyx());
    let runs = model.network_runs(shape, spacing, mirroring, tile_step_size)?;
    runs.ok_or_else(|| {
        let spacing = model.transpose_forward.map(|axis| spacing[axis]);
        NnunetError::EmptyGrid {
            crop: model.transpose_forward.map(|axis| shape[axis]),
            spacing,
            target: model.pipeline.network_spacing(spacing),
        }
    })
}

/// Of runs of a network, each with so many multiply-accumulates.
pub(crate) fn seconds(runs: u64, multiply_adds: u64, multiply_adds_per_second: f64) -> f64 {
    runs as f64 * multiply_adds as f64 / multiply_adds_per_second
}

/// Network input, weights, activations, class sums and mask of a model on a scan; the scan itself is not in it.
fn memory_bytes(model: &ModelDescription, scan: &Geometry, grid: [usize; 3]) -> Option<u64> {
    let largest = model.labels.iter().map(|label| label.id).max();
    let bytes_per_label = if largest.is_some_and(|id| id >= 255) { 2 } else { 1 };
    let mask = (scan.shape.n_voxels() as u64).saturating_mul(bytes_per_label);
    Some(model.memory_for(grid)?.saturating_add(mask))
}

/// Knows how fast networks run here: from what runs took, or from a convolution of a few milliseconds before any has run.
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
                source: "measured",
            };
        }
        let n_threads = self.n_threads;
        Speed {
            multiply_adds_per_second: *state.calibrated.get_or_insert_with(|| calibrate(n_threads)),
            source: "calibrated",
        }
    }
}

/// Multiply-accumulates per second of a whole network, from those of one 3×3×3 convolution on this many threads.
fn calibrate(n_threads: usize) -> f64 {
    /// In and out, as in the outer stages of a U-Net.
    const CHANNELS: usize = 16;
    /// Of the whole: one run warms up, the fastest of the others counts. Each is a few milliseconds, so that on a busy
    /// machine some are not interrupted.
    const BUDGET: Duration = Duration::from_millis(120);
    /// What a network reaches of it: strided and transposed convolutions, norms and copies are slower.
    const NETWORK_SHARE: f64 = 0.5;

    let size = [8 * n_threads.clamp(1, 16), 32, 64];
    let n_voxels: usize = size.iter().product();
    let work = n_voxels * 27 * CHANNELS * CHANNELS;
    let weight = vec![0.01; 27 * CHANNELS * CHANNELS];
    let conv = Conv3d::new(CHANNELS, CHANNELS, [3; 3], &weight, None).expect("lengths fit the channels");
    let input: Vec<f32> = (0..n_voxels * CHANNELS).map(|i| (i % 7) as f32).collect();
    let mut output = vec![0.0; n_voxels * CHANNELS];
    let mut run = || {
        let began = Instant::now();
        let ran = conv.run(size, &input, &mut output, |n, task| {
            on_threads(n_threads, n, task)
        });
        ran.expect("lengths fit the size");
        began.elapsed()
    };
    let began = Instant::now();
    let mut fastest = run();
    while began.elapsed() + fastest < BUDGET {
        fastest = fastest.min(run());
    }
    work as f64 / fastest.as_secs_f64().max(1e-6) * NETWORK_SHARE
}

fn on_threads(n_threads: usize, n_tasks: usize, task: &(dyn Fn(usize) + Sync)) {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n_tasks {
                break;
            }
            task(i);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..n_threads.min(n_tasks) {
            scope.spawn(work);
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_work_over_speed() {
        assert_eq!(seconds(10, 3_000_000_000, 6e9), 5.0);
        assert_eq!(seconds(0, 3, 1.0), 0.0);
    }

    #[test]
    fn what_was_measured_replaces_the_guess_and_newer_runs_count_more() {
        let meter = SpeedMeter::new(2);
        meter.observe(0, 1.0);
        meter.observe(1000, f64::NAN);
        meter.observe(1000, 1e-9);
        let guess = meter.speed();
        assert_eq!(guess.source, "calibrated");
        assert!(guess.multiply_adds_per_second > 1e6, "{guess:?}");
        assert_eq!(meter.speed(), guess, "calibrated once");
        meter.observe(4_000, 2.0);
        let measured = |n| Speed {
            multiply_adds_per_second: n,
            source: "measured",
        };
        assert_eq!(meter.speed(), measured(2_000.0));
        meter.observe(10_000, 1.0);
        assert_eq!(meter.speed(), measured(12_000.0 / 2.0));
    }

    #[test]
    fn every_task_runs_once_on_any_number_of_threads() {
        for (n_threads, n_tasks) in [(1, 5), (4, 3), (3, 100), (2, 0)] {
            let counts: Vec<AtomicUsize> = (0..n_tasks).map(|_| AtomicUsize::new(0)).collect();
            on_threads(n_threads, n_tasks, &|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }
}
