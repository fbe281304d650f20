//! The tile loop on an NVIDIA card: the scan goes there once, labels come back, and nothing between.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayView3, ArrayViewMut3, Axis, Slice};
use nephrite_cuda::{ClassSums, GridTap, LabelBox, Network, Outcome, Precision, Scan, SumsShape, TileRun};
use nephrite_types::Stage;
use rayon::prelude::*;

use crate::NnunetError;
use crate::export::{StoredLabel, Target};
use crate::run::Run;
use crate::scans_on_cards::upload;
use crate::tiles::TileGrid;

/// Inputs up to this size are kept whole on a card, and shared by all models that read them; of larger ones, the planes that a row of
/// tiles reads.
const MAX_WHOLE: u64 = 1 << 30;

/// Bytes that a case takes on a card besides its networks at most: class sums, the scan, labels on their way out.
pub(crate) fn case_bytes(grid: &TileGrid, n_channels: usize, n_classes: usize) -> u64 {
    let shape = sums_shape(grid, n_classes);
    // in f32: a model that cannot run in half takes that
    let of_scan = |size| Scan::bytes_of(Precision::Single, n_channels, size);
    let axis = shape.axis();
    let mut window = grid.shape;
    window[axis] = window[axis].min(grid.patch[axis]);
    let scan = of_scan(grid.shape).min(MAX_WHOLE).max(of_scan(window));
    let output = ClassSums::OUTPUT_BYTES as u64;
    shape.bytes().saturating_add(scan).saturating_add(output)
}

fn sums_shape(grid: &TileGrid, n_classes: usize) -> SumsShape {
    SumsShape {
        grid: grid.padded,
        patch: grid.patch,
        n_classes,
    }
}

/// The loop over all tiles of a run, with the networks of all folds on one card.
pub(crate) struct CardLoop<'r, 'a> {
    run: &'r Run<'a>,
    networks: &'r [Arc<Network>],
    sums: ClassSums,
    axis: usize,
    /// Planes of the scan that are written.
    n_written: usize,
    /// Planes of the grid that are forgotten.
    n_cleared: usize,
}

impl<'r, 'a> CardLoop<'r, 'a> {
    pub(crate) fn new(
        run: &'r Run<'a>,
        networks: &'r [Arc<Network>],
        is_wide: bool,
    ) -> Result<Self, NnunetError> {
        let in_cuda = |source| run.cuda_error(source);
        let shape = sums_shape(&run.grid, run.model.n_classes());
        let card = networks[0].card();
        let mut sums = ClassSums::new(card, shape, &run.importance, run.grid.n_tiles()).map_err(in_cuda)?;
        let taps = [0, 1, 2].map(|axis| grid_taps(run, axis));
        let class_order = run.model.label_rule().class_order().map(<[u16]>::to_vec);
        let outcome = Outcome {
            taps,
            class_order,
            is_wide,
        };
        sums.prepare(&outcome).map_err(in_cuda)?;
        Ok(CardLoop {
            run,
            networks,
            axis: sums.axis(),
            sums,
            n_written: 0,
            n_cleared: 0,
        })
    }

    /// Runs all tiles, and writes labels as soon as no later tile can change them.
    pub(crate) fn run<L: StoredLabel>(mut self, target: &mut Target<'_, L>) -> Result<(), NnunetError> {
        let run = self.run;
        let grid = &run.grid;
        let n_channels = run.input.data.dim().0;
        let is_whole = Scan::bytes_of(self.networks[0].precision(), n_channels, grid.shape) <= MAX_WHOLE;
        let starts = &grid.starts[self.axis];
        let (mut tile, mut n_done) = (0, 0);
        let n_runs = (grid.n_tiles() * self.networks.len() * run.flips.len()) as u64;
        for (i, &first) in starts.iter().enumerate() {
            let scan = match is_whole {
                true => run.input.on_cards.whole(&self.networks[0], run.input.data.view()),
                false => self.window(first).map(Arc::new),
            };
            let scan = scan.map_err(|source| run.cuda_error(source))?;
            for start in row(grid, self.axis, first) {
                self.add_tile(&scan, tile, start, &mut n_done, n_runs)?;
                tile += 1;
            }
            let odd = self.sums.not_finite().map_err(|source| run.cuda_error(source))?;
            if let Some(odd) = odd {
                return Err(run.not_finite(odd));
            }
            run.progress.stage(Stage::Export);
            let end = starts.get(i + 1).copied();
            self.write(end.unwrap_or(grid.padded[self.axis]), target)?;
            if end.is_some() {
                run.progress.stage(Stage::Inference);
            }
        }
        Ok(())
    }

    /// Every fold and every mirroring of one tile.
    fn add_tile(
        &mut self,
        scan: &Scan,
        tile: usize,
        start: [usize; 3],
        n_done: &mut u64,
        n_runs: u64,
    ) -> Result<(), NnunetError> {
        let run = self.run;
        let factor = 1.0 / (self.networks.len() * run.flips.len()) as f32;
        for network in self.networks {
            for &flip in &run.flips {
                run.cancel.check()?;
                let of_tile = TileRun {
                    tile,
                    start,
                    from: std::array::from_fn(|axis| start[axis] as i64 - run.grid.pad_low[axis] as i64),
                    flip,
                    factor,
                };
                let added = self.sums.add_run(network, scan, &of_tile);
                added.map_err(|source| run.cuda_error(source))?;
                *n_done += 1;
                run.progress.advance(*n_done, n_runs);
            }
        }
        self.sums
            .add_weights(start)
            .map_err(|source| run.cuda_error(source))
    }

    /// The part of the input that tiles from plane `first` of the padded grid on can see.
    fn window(&self, first: usize) -> Result<Scan, nephrite_cuda::CudaError> {
        let (grid, axis) = (&self.run.grid, self.axis);
        let inside = |plane: usize| plane.saturating_sub(grid.pad_low[axis]).min(grid.shape[axis]);
        let planes = inside(first)..inside(first + grid.patch[axis]);
        upload(&self.networks[0], self.run.input.data.view(), axis, planes)
    }

    /// Writes the planes of the scan that lie before plane `end` of the padded grid, and forgets what no later one needs.
    fn write<L: StoredLabel>(&mut self, end: usize, target: &mut Target<'_, L>) -> Result<(), NnunetError> {
        let run = self.run;
        let low = run.grid.pad_low[self.axis];
        let waiting = &run.taps[self.axis][self.n_written..];
        let n_ready = waiting.iter().take_while(|tap| tap.hi + low < end).count();
        let ready = self.n_written..self.n_written + n_ready;
        let axis = self.axis;
        let took = match &mut target.probabilities {
            None => self.sums.labels(ready.clone(), |planes, found| {
                run.cancel.check().map_err(Stop::Cancelled)?;
                write_labels(target.labels.view_mut(), axis, planes, found);
                Ok(())
            }),
            Some(all) => self.sums.logits(ready.clone(), |planes, logits| {
                run.cancel.check().map_err(Stop::Cancelled)?;
                let slice = Slice::from(planes);
                let labels = target.labels.slice_axis_mut(Axis(axis), slice);
                let probabilities = all.slice_axis_mut(Axis(axis + 1), slice);
                write_probabilities(run, logits, labels, probabilities);
                Ok(())
            }),
        };
        took.map_err(|stop| match stop {
            Stop::Cancelled(cancelled) => NnunetError::Cancelled(cancelled),
            Stop::Cuda(source) => run.cuda_error(source),
        })?;
        self.n_written = ready.end;
        // The last finished plane is read once more with the next ones.
        let keep = end.saturating_sub(1);
        self.sums
            .clear(self.n_cleared..keep)
            .map_err(|source| run.cuda_error(source))?;
        self.n_cleared = keep;
        Ok(())
    }
}

/// Why labels were not taken.
enum Stop {
    Cancelled(nephrite_types::Cancelled),
    Cuda(nephrite_cuda::CudaError),
}

impl From<nephrite_cuda::CudaError> for Stop {
    fn from(source: nephrite_cuda::CudaError) -> Self {
        Stop::Cuda(source)
    }
}

/// Where all tiles stand that begin at `first` of an axis.
fn row(grid: &TileGrid, axis: usize, first: usize) -> impl Iterator<Item = [usize; 3]> + '_ {
    grid.positions().filter(move |start| start[axis] == first)
}

/// Where indices of the scan lie on the padded grid.
fn grid_taps(run: &Run<'_>, axis: usize) -> Vec<GridTap> {
    let low = run.grid.pad_low[axis];
    let tap = |tap: &nephrite_resample::LinearTap<f64>| match tap.hi != tap.lo && tap.w_hi != 0.0 {
        false => GridTap::at(tap.lo + low),
        true => GridTap {
            lo: tap.lo + low,
            hi: tap.hi + low,
            w_lo: tap.w_lo as f32,
            w_hi: tap.w_hi as f32,
        },
    };
    run.taps[axis].iter().map(tap).collect()
}

/// Copies labels of planes across `axis` to where they belong.
fn write_labels<L: StoredLabel>(
    mut labels: ArrayViewMut3<'_, L>,
    axis: usize,
    planes: Range<usize>,
    found: LabelBox<'_>,
) {
    let labels = labels.slice_axis_mut(Axis(axis), Slice::from(planes));
    match found {
        LabelBox::U8(found) => copy_labels(labels, found, |label| L::of(u16::from(label))),
        LabelBox::U16(found) => copy_labels(labels, found, L::of),
    }
}

fn copy_labels<F: Copy + Sync, L: StoredLabel>(
    mut labels: ArrayViewMut3<'_, L>,
    found: &[F],
    of: impl Fn(F) -> L + Sync,
) {
    let found =
        ArrayView3::from_shape(labels.dim(), found).expect("a box of labels has the shape of its planes");
    let planes = labels.axis_iter_mut(Axis(0)).into_par_iter();
    planes.zip(found.axis_iter(Axis(0))).for_each(|(mut to, from)| {
        to.zip_mut_with(&from, |to, from| *to = of(*from));
    });
}

/// Turns logits `[class, z, y, x]` into probabilities and labels.
fn write_probabilities<L: StoredLabel>(
    run: &Run<'_>,
    logits: Vec<f32>,
    mut labels: ArrayViewMut3<'_, L>,
    mut probabilities: ndarray::ArrayViewMut4<'_, f32>,
) {
    let (n_classes, rule) = (run.model.n_classes(), run.model.label_rule());
    let (n_z, n_y, n_x) = labels.dim();
    let logits = ndarray::Array4::from_shape_vec((n_classes, n_z, n_y, n_x), logits)
        .expect("logits have the shape of their planes");
    let planes = labels.axis_iter_mut(Axis(0)).into_par_iter();
    planes
        .zip(probabilities.axis_iter_mut(Axis(1)))
        .zip(logits.axis_iter(Axis(1)))
        .for_each(|((mut labels, mut probabilities), logits)| {
            let mut of_voxel = vec![0.0; n_classes];
            for ((y, x), label) in labels.indexed_iter_mut() {
                for (class, logit) in of_voxel.iter_mut().enumerate() {
                    *logit = logits[[class, y, x]];
                }
                let decision = rule.decide_by_probability(&mut of_voxel);
                *label = L::of(rule.label(decision));
                for (class, p) in of_voxel.iter().enumerate() {
                    probabilities[[class, y, x]] = *p;
                }
            }
        });
}
