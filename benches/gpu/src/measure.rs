//! What is measured, with a clock.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use nephrite_cuda::{
    Card, ClassSums, CudaError, Network, NetworkBytes, Precision, Scan, StepTime, SumsShape, TileRun,
};
use nephrite_nnunet_network::{Architecture, build_cuda};
use nephrite_types::CancelToken;

use crate::weights::{Random, RandomWeights};

/// What is to be measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) architecture: &'a Architecture,
    pub(crate) precision: Precision,
    pub(crate) n_rounds: usize,
    /// Of a round.
    pub(crate) n_tiles: usize,
    pub(crate) profile: bool,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// From weights in memory to a network on the card.
    pub(crate) load_s: f64,
    /// The first tile: kernels are compiled, and the network is recorded.
    pub(crate) first_tile_s: f64,
    /// Of each round: milliseconds of a tile, all from the scan to class sums.
    pub(crate) tile_ms: Vec<f64>,
    /// Of each run: milliseconds of the layers.
    pub(crate) network_ms: Vec<f64>,
    pub(crate) steps: Vec<StepTime>,
    pub(crate) bytes: NetworkBytes,
    /// Of network, scan, and class sums, on the card.
    pub(crate) used_bytes: u64,
}

/// What a tile's logits are multiplied by; it takes no time.
const FACTOR: f32 = 0.125;

/// Seconds that something takes.
pub(crate) fn seconds<T>(what: impl FnOnce() -> T) -> (f64, T) {
    let begin = Instant::now();
    let answer = what();
    (begin.elapsed().as_secs_f64(), answer)
}

/// Loads the network, and measures it on a scan of twice the patch along each axis.
///
/// # Errors
/// What the card says; an error if logits are infinite or NaN, since then something else was measured.
pub(crate) fn measure(card: &Arc<Card>, task: &Task<'_>) -> anyhow::Result<Found> {
    let mut weights = RandomWeights::new(task.architecture);
    let cancel = CancelToken::new();
    let (load_s, network) =
        seconds(|| build_cuda(task.architecture, &mut weights, card, task.precision, &cancel));
    let network = network?;
    drop(weights);
    let mut case = Case::new(card, network)?;
    let (first_tile_s, first) = seconds(|| case.add_tiles(1));
    first?;
    case.add_tiles(task.n_tiles)?; // clocks rise, caches fill
    let mut tile_ms = Vec::new();
    for _ in 0..task.n_rounds {
        let (seconds, added) = seconds(|| case.add_tiles(task.n_tiles));
        added?;
        tile_ms.push(seconds * 1e3 / task.n_tiles as f64);
    }
    Ok(Found {
        load_s,
        first_tile_s,
        tile_ms,
        network_ms: case.network.time(task.n_rounds)?,
        steps: match task.profile {
            true => case.network.profile(task.n_rounds)?,
            false => Vec::new(),
        },
        bytes: case.network.bytes(),
        used_bytes: card.used_bytes(),
    })
}

/// A network, and a scan that it runs on.
#[derive(Debug)]
struct Case {
    network: Network,
    scan: Scan,
    sums: ClassSums,
    grid: [usize; 3],
    n_runs: usize,
}

impl Case {
    fn new(card: &Arc<Card>, network: Network) -> Result<Self, CudaError> {
        let patch = network.patch();
        let grid = patch.map(|len| 2 * len);
        let mut random = Random::new(2);
        let noise = |_: usize, _: usize, _: usize, row: &mut [f32]| {
            row.iter_mut().for_each(|value| *value = random.next(1.0));
        };
        let scan = Scan::upload(
            card,
            network.precision(),
            network.n_channels(),
            grid,
            [0; 3],
            noise,
        )?;
        let shape = SumsShape {
            grid,
            patch,
            n_classes: network.n_classes(),
        };
        let importance = vec![0.5; patch.iter().product()];
        let sums = ClassSums::new(card, shape, &importance, 1)?;
        Ok(Case {
            network,
            scan,
            sums,
            grid,
            n_runs: 0,
        })
    }

    /// Adds the next tiles, and waits until the card has done so.
    fn add_tiles(&mut self, n: usize) -> anyhow::Result<()> {
        for _ in 0..n {
            let run = run(self.n_runs, self.grid, self.network.patch());
            self.sums.add_run(&self.network, &self.scan, &run)?;
            self.n_runs += 1;
        }
        ensure!(
            self.sums.not_finite()?.is_none(),
            "logits are infinite or NaN: random weights do not fit this network"
        );
        Ok(())
    }
}

/// The run of a number: starts half a patch apart, x first; every turn through them is mirrored differently.
fn run(number: usize, grid: [usize; 3], patch: [usize; 3]) -> TileRun {
    let step = patch.map(|len| (len / 2).max(1));
    let n = [0, 1, 2].map(|axis| (grid[axis] - patch[axis]) / step[axis] + 1);
    let at = [number / n[2] / n[1] % n[0], number / n[2] % n[1], number % n[2]];
    let turn = number / (n[0] * n[1] * n[2]);
    let start = [0, 1, 2].map(|axis| at[axis] * step[axis]);
    TileRun {
        tile: 0,
        start,
        from: start.map(|first| first as i64),
        flip: [0, 1, 2].map(|axis| turn >> axis & 1 == 1),
        factor: FACTOR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_through_all_starts_and_then_are_mirrored() {
        let of = |number| run(number, [8, 8, 8], [4, 4, 4]);
        assert_eq!((of(0).start, of(0).flip), ([0; 3], [false; 3]));
        assert_eq!(of(1).start, [0, 0, 2]);
        assert_eq!(of(5).start, [0, 2, 4]);
        assert_eq!((of(26).start, of(26).flip), ([4; 3], [false; 3]));
        assert_eq!((of(27).start, of(27).flip), ([0; 3], [true, false, false]));
    }
}
