//! The tile loop: every tile through every fold and mirroring, finished slabs exported at once.

use half::f16;
use ndarray::{Array3, Array4, ArrayViewMut3, ArrayViewMut4, Ix3, Ix4, s};
use nephrite_types::{CancelToken, Labels, Limits, Numerics, OutOfMemory, Progress, Stage, Volume, memory};
use rayon::prelude::*;

use crate::export::{SlabExporter, StoredLabel, Target};
use crate::on_card::CardLoop;
use crate::preprocess::{NetworkInput, preprocess};
use crate::run::Run;
use crate::tiles::{Accumulator, ClassSum, Flip, add_flipped, flip_into, gather_tile};
use crate::{Model, NnunetError, PredictOptions};

/// Planes of the network grid that are finished before the exporter runs: enough to keep all threads busy, few
/// enough that they do not count beside the accumulator.
pub(crate) const PLANES_PER_FLUSH: usize = 8;

/// Inputs and outputs of a tile that exist at once: one runs, one is prepared, one is added up.
pub(crate) const BUFFERS_PER_TILE: u64 = 3;

/// What an allocation is for, in messages.
const MASK: &str = "the mask";
const TILE: &str = "a tile";

/// What [`predict`] gives.
#[derive(Debug)]
pub struct Prediction {
    /// Label ids on the grid of the scans, `[z, y, x]` of the reader.
    pub labels: Labels,
    /// Probabilities on the grid of the scans, `[class, z, y, x]`, if they were asked for.
    pub probabilities: Option<Array4<f32>>,
    /// Tile positions (every fold and mirroring runs at each).
    pub n_tiles: u64,
}

/// Segments one case: `channels` in the model's order, all on one grid.
///
/// `previous_stage` is the mask of the previous stage of a cascade, on the grid of the scans. The labels are what
/// nnU-Net would write: voxel for voxel with [`Numerics::Reference`], but for the rounding of the network itself.
///
/// Progress: `Preprocess`, then `Inference` and `Export` in turn as slabs are finished; `advance` counts network
/// runs. Canceling takes effect within one layer of the network.
///
/// # Errors
/// [`NnunetError`]; nothing is kept of a failed prediction.
///
/// Source: nnunetv2 2.8.1, `inference/predict_from_raw_data.py`, `inference/export_prediction.py`.
pub fn predict(
    model: &Model,
    channels: &[&Volume],
    previous_stage: Option<&Labels>,
    options: &PredictOptions,
    limits: &Limits,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Prediction, NnunetError> {
    progress.stage(Stage::Preprocess);
    let numerics = options.segmentation.numerics;
    let input = preprocess(model, channels, previous_stage, numerics, limits, cancel)?;
    predict_preprocessed(model, &input, options, limits, progress, cancel)
}

/// The second half of [`predict`]: from network input to labels.
///
/// # Errors
/// [`NnunetError`].
pub fn predict_preprocessed(
    model: &Model,
    input: &NetworkInput,
    options: &PredictOptions,
    limits: &Limits,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Prediction, NnunetError> {
    progress.stage(Stage::Inference);
    let run = Run::new(model, input, options, limits, progress, cancel)?;
    let [z, y, x] = input.reader_shape;
    let mut probabilities = None;
    if options.probabilities {
        let mut outside = memory::zeroed_array(Ix4(model.n_classes(), z, y, x), "the probabilities")?;
        if !model.has_regions() {
            outside.index_axis_mut(ndarray::Axis(0), 0).fill(1.0);
        }
        probabilities = Some(outside);
    }
    let labels = if model.stores_wide_labels() {
        let mut labels: Array3<u16> = memory::zeroed_array(Ix3(z, y, x), MASK)?;
        run.fill(labels.view_mut(), probabilities.as_mut().map(|p| p.view_mut()))?;
        options.postprocess(&mut labels, cancel)?;
        Labels::U16(labels)
    } else {
        let mut labels: Array3<u8> = memory::zeroed_array(Ix3(z, y, x), MASK)?;
        run.fill(labels.view_mut(), probabilities.as_mut().map(|p| p.view_mut()))?;
        options.postprocess(&mut labels, cancel)?;
        Labels::U8(labels)
    };
    Ok(Prediction {
        labels,
        probabilities,
        n_tiles: run.grid.n_tiles() as u64,
    })
}

/// However the tiles end, their engines rest then.
struct RestAtTheEnd<'a>(&'a Model);

impl Drop for RestAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// One run of the network.
#[derive(Clone, Copy)]
struct Job {
    tile: usize,
    start: [usize; 3],
    fold: usize,
    flip: Flip,
    is_last_of_fold: bool,
    is_last_of_tile: bool,
}

impl Run<'_> {
    /// Runs all tiles and writes the result into arrays on the reader's grid that hold what lies outside the crop.
    fn fill<L: StoredLabel>(
        &self,
        labels: ArrayViewMut3<'_, L>,
        probabilities: Option<ArrayViewMut4<'_, f32>>,
    ) -> Result<(), NnunetError> {
        let forward = self.input.transpose_forward;
        let crop = self.input.crop;
        let [a, b, c] = forward;
        let ([s0, s1, s2], [e0, e1, e2]) = (crop.start, crop.end);
        let mut target = Target {
            labels: labels
                .slice_move(s![s0..e0, s1..e1, s2..e2])
                .permuted_axes(forward),
            probabilities: probabilities.map(|all| {
                all.slice_move(s![.., s0..e0, s1..e1, s2..e2])
                    .permuted_axes([0, 1 + a, 1 + b, 1 + c])
            }),
        };
        match self.numerics {
            Numerics::Fast if !self.model.on_card().is_empty() => {
                let _rest = RestAtTheEnd(self.model);
                CardLoop::new(self, self.model.on_card(), L::MAX == u16::MAX)?.run(&mut target)
            }
            Numerics::Fast => self.run_tiles::<f32, L>(&mut target),
            Numerics::Reference => self.run_tiles::<f16, L>(&mut target),
        }
    }

    fn run_tiles<S: ClassSum, L: StoredLabel>(&self, target: &mut Target<'_, L>) -> Result<(), NnunetError> {
        let _rest = RestAtTheEnd(self.model);
        let n_classes = self.model.n_classes();
        let n_sums = if self.numerics == Numerics::Reference {
            self.model.n_folds()
        } else {
            1
        };
        let mut accumulator = Accumulator::<S>::new(&self.grid, n_classes, n_sums)?;
        let rounds = self.numerics == Numerics::Reference && self.model.rounds_resampled_logits();
        let plane = [self.grid.shape[1], self.grid.shape[2]];
        let mut exporter = SlabExporter::new(n_classes, plane, &self.taps, self.model.label_rule(), rounds);

        let n_runs = (self.grid.n_tiles() * self.model.n_folds() * self.flips.len()) as u64;
        let mut jobs = self.jobs();
        let Some(mut job) = jobs.next() else { return Ok(()) };
        let mut tile = TileBuffer::default();
        let mut sum: Vec<f32> = Vec::new();
        let mut spare = (Vec::new(), Vec::new());
        let mut n_done = 0;
        let mut next_plane = 0;
        let submit = |job: &Job, input, output| {
            self.model
                .engine(job.fold)
                .submit(input, output)
                .map_err(|e| self.model.engine_error(e))
        };
        let first = self.prepare(&job, &mut tile, std::mem::take(&mut spare.0))?;
        let mut pending = Some(submit(&job, first, Vec::new())?);
        while let Some(running) = pending.take() {
            // The next tile is cut out while this one runs.
            let next = jobs.next();
            let next_input = next
                .map(|next| self.prepare(&next, &mut tile, std::mem::take(&mut spare.0)))
                .transpose()?;
            let ran = running.wait(self.cancel);
            self.cancel.check()?;
            let (input, output) = ran.map_err(|e| self.model.engine_error(e))?;
            spare.0 = input;
            // Slabs are exported while no tile runs; sums are added beside the next one only if that leaves cores idle.
            let finishes_slab = next.is_none_or(|next| next.start[0] != job.start[0]);
            let mut waiting = next.zip(next_input);
            if !finishes_slab
                && self.model.leaves_cores()
                && let Some((next, input)) = waiting.take()
            {
                pending = Some(submit(&next, input, std::mem::take(&mut spare.1))?);
            }
            spare.1 = self.add(&job, output, &mut sum, &mut accumulator)?;
            n_done += 1;
            self.progress.advance(n_done, n_runs);
            if finishes_slab {
                self.progress.stage(Stage::Export);
                let end = next.map_or(self.grid.padded[0], |next| next.start[0]);
                self.export(next_plane..end, &mut accumulator, &mut exporter, target)?;
                next_plane = end;
            }
            if let Some((next, input)) = waiting {
                if finishes_slab {
                    self.progress.stage(Stage::Inference);
                }
                pending = Some(submit(&next, input, std::mem::take(&mut spare.1))?);
            }
            if let Some(next) = next {
                job = next;
            }
        }
        Ok(())
    }

    /// All runs of the network: tile, then fold, then mirroring.
    fn jobs(&self) -> impl Iterator<Item = Job> + '_ {
        let (n_folds, n_flips) = (self.model.n_folds(), self.flips.len());
        self.grid.positions().enumerate().flat_map(move |(tile, start)| {
            (0..n_folds).flat_map(move |fold| {
                (0..n_flips).map(move |flip| Job {
                    tile,
                    start,
                    fold,
                    flip: self.flips[flip],
                    is_last_of_fold: flip + 1 == n_flips,
                    is_last_of_tile: flip + 1 == n_flips && fold + 1 == n_folds,
                })
            })
        })
    }

    /// The input of one run, mirrored as it should be.
    fn prepare(
        &self,
        job: &Job,
        tile: &mut TileBuffer,
        mut input: Vec<f32>,
    ) -> Result<Vec<f32>, OutOfMemory> {
        let data = self.input.data.view();
        let len = data.dim().0 * self.grid.patch.iter().product::<usize>();
        resize(&mut input, len)?;
        if job.flip == [false; 3] {
            gather_tile(data, &self.grid, job.start, &mut input);
            return Ok(input);
        }
        if tile.start != Some(job.start) {
            resize(&mut tile.values, len)?;
            gather_tile(data, &self.grid, job.start, &mut tile.values);
            tile.start = Some(job.start);
        }
        flip_into(&tile.values, self.grid.patch, job.flip, &mut input);
        Ok(input)
    }

    /// Adds the output of one run to the mean over mirrorings (and folds), and that to the class sums when complete.
    /// Returns a buffer to reuse.
    fn add<S: ClassSum>(
        &self,
        job: &Job,
        output: Vec<f32>,
        sum: &mut Vec<f32>,
        accumulator: &mut Accumulator<S>,
    ) -> Result<Vec<f32>, NnunetError> {
        // Class sums in f32 are linear: folds are averaged with the mirrorings. nnU-Net's half-precision sums are
        // not: there every fold has sums of its own.
        let apart = self.numerics == Numerics::Reference;
        let is_first = job.flip == [false; 3] && (apart || job.fold == 0);
        let spare = if is_first {
            std::mem::replace(sum, output)
        } else {
            add_flipped(&output, self.grid.patch, job.flip, sum);
            output
        };
        let is_last = if apart {
            job.is_last_of_fold
        } else {
            job.is_last_of_tile
        };
        if !is_last {
            return Ok(spare);
        }
        let n = self.flips.len() * if apart { 1 } else { self.model.n_folds() };
        if n > 1 {
            let n = n as f32;
            sum.par_chunks_mut(1 << 14)
                .for_each(|chunk| chunk.iter_mut().for_each(|p| *p /= n));
        }
        let of_fold = if apart { job.fold } else { 0 };
        if !accumulator.add_tile(job.start, of_fold, sum, &self.importance) {
            let mut error = self.not_finite(job.tile);
            if let (true, NnunetError::NotFinite { fold, .. }) = (apart, &mut error) {
                *fold = self.model.fold_name(job.fold);
            }
            return Err(error);
        }
        Ok(spare)
    }

    /// Exports planes of the padded grid that no later tile touches.
    fn export<S: ClassSum, L: StoredLabel>(
        &self,
        planes: std::ops::Range<usize>,
        accumulator: &mut Accumulator<S>,
        exporter: &mut SlabExporter<'_>,
        target: &mut Target<'_, L>,
    ) -> Result<(), NnunetError> {
        let inside = |axis: usize| {
            let low = self.grid.pad_low[axis];
            low..low + self.grid.shape[axis]
        };
        let mut n_waiting = 0;
        for padded in planes {
            if !inside(0).contains(&padded) {
                accumulator.clear_plane(padded);
                continue;
            }
            let finite =
                exporter.push_plane(|logits| accumulator.take_plane(padded, inside(1), inside(2), logits))?;
            if !finite {
                let plane = padded - self.grid.pad_low[0];
                return Err(NnunetError::HalfOverflow {
                    model: self.model.name().to_owned(),
                    plane,
                });
            }
            n_waiting += 1;
            if n_waiting == PLANES_PER_FLUSH {
                self.cancel.check()?;
                exporter.flush(target);
                n_waiting = 0;
            }
        }
        exporter.flush(target);
        Ok(())
    }
}

/// Zeros behind what is there, up to `len` values.
fn resize(values: &mut Vec<f32>, len: usize) -> Result<(), OutOfMemory> {
    memory::make_room(values, len.saturating_sub(values.len()), TILE)?;
    values.resize(len, 0.0);
    Ok(())
}

/// The tile that is being mirrored, as cut out of the input.
#[derive(Default)]
struct TileBuffer {
    start: Option<[usize; 3]>,
    values: Vec<f32>,
}
