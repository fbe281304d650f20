//! Turns finished planes of class sums into labels of the scan, holding few of them at a time.

use std::collections::VecDeque;
use std::ops::Range;

use ndarray::{ArrayViewMut3, ArrayViewMut4, Axis, Slice};
use nephrite_resample::LinearTap;
use nephrite_types::memory::{self, OutOfMemory};
use rayon::prelude::*;

use super::LabelRule;
use crate::half_rounding::half_from_f64;

/// How one axis of the network grid maps to the axis of the cropped scan: a tap per output index, `lo` ascending.
pub(crate) type AxisMap = Vec<LinearTap<f64>>;

/// Interpolates logits to the cropped scan's grid, reduces them to labels and writes those, as the planes of the
/// network grid come in.
///
/// Holds only the planes that the next output planes need. Logits are class-last, `[row, column, class]`, so that
/// all classes of a voxel are one short vector.
///
/// Source of the arithmetic: nnunetv2 2.8.1, `preprocessing/resampling/default_resampling.py` and
/// `inference/export_prediction.py`; the evaluation order for reference numerics is that of `scipy.ndimage.zoom`.
#[derive(Debug)]
pub(crate) struct SlabExporter<'a> {
    n_classes: usize,
    /// Rows and columns of a network plane.
    plane: [usize; 2],
    taps: &'a [AxisMap; 3],
    rule: &'a LabelRule,
    /// Interpolate in f64 and round every logit to f16, as nnU-Net does; otherwise f32 throughout.
    half: bool,
    window: VecDeque<Plane>,
    /// Index of the first plane in `window`.
    first: usize,
    /// Buffers of planes that were dropped.
    spare: Vec<Plane>,
    /// Output planes written so far.
    n_done: usize,
}

/// What an allocation is for, in messages.
const PLANE: &str = "a plane of logits";

#[derive(Debug)]
struct Plane {
    /// `[row, column, class]`
    logits: Vec<f32>,
    /// Deciding channel, `[row, column]`.
    decisions: Vec<u16>,
}

/// Where finished planes go. All views have the axes of the network's array order (after `transpose_forward`).
#[derive(Debug)]
pub(crate) struct Target<'v, L> {
    /// Labels of the cropped scan.
    pub labels: ArrayViewMut3<'v, L>,
    /// Probabilities of the cropped scan, `[class, …]`, when they are saved.
    pub probabilities: Option<ArrayViewMut4<'v, f32>>,
}

/// A stored label type. The model picks one that holds every value of its rule.
pub(crate) trait StoredLabel: Copy + Send + Sync + Default + TryFrom<u16> + 'static {
    /// The largest value.
    const MAX: u16;

    /// A value that is known to fit.
    ///
    /// # Panics
    /// If it does not: a mask with another value would be a wrong mask.
    fn of(label: u16) -> Self {
        let stored = Self::try_from(label).ok();
        stored.expect("the type was picked by the largest value of the label rule")
    }
}

impl StoredLabel for u8 {
    const MAX: u16 = u8::MAX as u16;
}

impl StoredLabel for u16 {
    const MAX: u16 = u16::MAX;
}

/// All corners of a cell do not agree.
const MIXED: u16 = u16::MAX;

impl<'a> SlabExporter<'a> {
    /// `plane` is rows × columns of the network grid; `taps` map its three axes to the cropped scan.
    pub(crate) fn new(
        n_classes: usize,
        plane: [usize; 2],
        taps: &'a [AxisMap; 3],
        rule: &'a LabelRule,
        half: bool,
    ) -> Self {
        SlabExporter {
            n_classes,
            plane,
            taps,
            rule,
            half,
            window: VecDeque::new(),
            first: 0,
            spare: Vec::new(),
            n_done: 0,
        }
    }

    /// Takes the next plane of the network grid; `fill` writes its logits, `[row, column, class]`.
    ///
    /// # Errors
    /// [`OutOfMemory`]
    pub(crate) fn push_plane<R>(&mut self, fill: impl FnOnce(&mut [f32]) -> R) -> Result<R, OutOfMemory> {
        let n_plane = self.plane[0] * self.plane[1];
        let mut plane = match self.spare.pop() {
            Some(plane) => plane,
            None => Plane {
                logits: memory::zeroed(n_plane * self.n_classes, PLANE)?,
                decisions: memory::zeroed(n_plane, PLANE)?,
            },
        };
        let result = fill(&mut plane.logits);
        let (rule, n_classes) = (self.rule, self.n_classes);
        plane
            .decisions
            .par_chunks_mut(4096)
            .zip(plane.logits.par_chunks(4096 * n_classes))
            .for_each(|(decisions, logits)| {
                for (decision, logits) in decisions.iter_mut().zip(logits.chunks_exact(n_classes)) {
                    *decision = rule.decide(logits);
                }
            });
        self.window.push_back(plane);
        Ok(result)
    }

    /// Writes all output planes for which every input plane has come, and drops the input planes that are no longer
    /// needed. Planes of the output that no later call can change are `0..` the returned number.
    pub(crate) fn flush<L: StoredLabel>(&mut self, target: &mut Target<'_, L>) -> usize {
        let end = self.first + self.window.len();
        let n_ready = self.taps[0][self.n_done..]
            .iter()
            .take_while(|tap| tap.hi < end)
            .count();
        let ready = self.n_done..self.n_done + n_ready;
        let slice = Slice::from(ready.clone());
        let labels = target.labels.slice_axis_mut(Axis(0), slice);
        match &mut target.probabilities {
            None => self.write_labels(ready.clone(), labels),
            Some(all) => self.write_probabilities(ready.clone(), labels, all.slice_axis_mut(Axis(1), slice)),
        }
        self.n_done = ready.end;
        let needed = self.taps[0].get(self.n_done).map_or(end, |tap| tap.lo);
        while self.first < needed && !self.window.is_empty() {
            self.spare.extend(self.window.pop_front());
            self.first += 1;
        }
        self.n_done
    }

    fn write_labels<L: StoredLabel>(&self, ready: Range<usize>, mut labels: ArrayViewMut3<'_, L>) {
        let width = self.taps[2].len();
        let this = self;
        labels
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .zip(ready)
            .for_each(|(mut out, z)| {
                let mut plane = vec![L::default(); this.taps[1].len() * width];
                plane.par_chunks_mut(width).enumerate().for_each_init(
                    || Scratch::new(this.n_classes, this.plane[1]),
                    |scratch, (y, row)| this.label_row(z, y, scratch, row),
                );
                out.iter_mut().zip(plane).for_each(|(o, label)| *o = label);
            });
    }

    /// Labels of one output row. Voxels whose whole cell agrees are copied; the others are interpolated.
    fn label_row<L: StoredLabel>(&self, z: usize, y: usize, scratch: &mut Scratch, row: &mut [L]) {
        let cell = self.cell_rows(z, y);
        if self.half {
            for (x, out) in row.iter_mut().enumerate() {
                self.interpolate(&cell, x, scratch);
                *out = L::of(self.rule.label(self.rule.decide(&scratch.logits)));
            }
            return;
        }
        scratch.agree.copy_from_slice(cell.corners()[0].decisions);
        for corner in &cell.corners()[1..] {
            for (agree, decision) in scratch.agree.iter_mut().zip(corner.decisions) {
                if *agree != *decision {
                    *agree = MIXED;
                }
            }
        }
        for (x, (out, tap)) in row.iter_mut().zip(&self.taps[2]).enumerate() {
            let (lo, hi) = (scratch.agree[tap.lo], scratch.agree[tap.hi]);
            let decision = if lo == hi && lo != MIXED {
                lo
            } else {
                self.interpolate(&cell, x, scratch);
                self.rule.decide(&scratch.logits)
            };
            *out = L::of(self.rule.label(decision));
        }
    }

    fn write_probabilities<L: StoredLabel>(
        &self,
        ready: Range<usize>,
        mut labels: ArrayViewMut3<'_, L>,
        mut probabilities: ArrayViewMut4<'_, f32>,
    ) {
        let width = self.taps[2].len();
        let this = self;
        let planes = labels.axis_iter_mut(Axis(0)).into_par_iter();
        planes
            .zip(probabilities.axis_iter_mut(Axis(1)))
            .zip(ready)
            .for_each(|((mut labels, mut out), z)| {
                let mut scratch = Scratch::new(this.n_classes, this.plane[1]);
                for y in 0..this.taps[1].len() {
                    let cell = this.cell_rows(z, y);
                    for x in 0..width {
                        this.interpolate(&cell, x, &mut scratch);
                        let decision = this.rule.decide_by_probability(&mut scratch.logits);
                        labels[[y, x]] = L::of(this.rule.label(decision));
                        for (class, p) in scratch.logits.iter().enumerate() {
                            out[[class, y, x]] = *p;
                        }
                    }
                }
            });
    }

    /// The network rows between which an output row lies, without those of weight zero.
    fn cell_rows(&self, z: usize, y: usize) -> CellRows<'_> {
        let mut cell = CellRows {
            rows: [CornerRow::default(); 4],
            n: 0,
        };
        for (z, wz) in weighted(self.taps[0][z]) {
            for (y, wy) in weighted(self.taps[1][y]) {
                let plane = &self.window[z - self.first];
                let width = self.plane[1];
                cell.rows[cell.n] = CornerRow {
                    logits: &plane.logits[y * width * self.n_classes..][..width * self.n_classes],
                    decisions: &plane.decisions[y * width..][..width],
                    wz,
                    wy,
                };
                cell.n += 1;
            }
        }
        cell
    }

    /// Interpolates all classes of output column `x` into `scratch.logits`.
    #[inline]
    fn interpolate(&self, cell: &CellRows<'_>, x: usize, scratch: &mut Scratch) {
        let n_classes = self.n_classes;
        let columns = weighted(self.taps[2][x]);
        if self.half {
            scratch.wide.fill(0.0);
            for corner in cell.corners() {
                for (x, wx) in columns.clone() {
                    let logits = &corner.logits[x * n_classes..][..n_classes];
                    for (sum, logit) in scratch.wide.iter_mut().zip(logits) {
                        *sum += ((f64::from(*logit) * corner.wz) * corner.wy) * wx;
                    }
                }
            }
            for (logit, sum) in scratch.logits.iter_mut().zip(&scratch.wide) {
                *logit = half_from_f64(*sum);
            }
        } else {
            scratch.logits.fill(0.0);
            for corner in cell.corners() {
                for (x, wx) in columns.clone() {
                    let weight = (corner.wz * corner.wy * wx) as f32;
                    let logits = &corner.logits[x * n_classes..][..n_classes];
                    for (sum, logit) in scratch.logits.iter_mut().zip(logits) {
                        *sum += logit * weight;
                    }
                }
            }
        }
    }
}

/// Per-thread buffers of one row.
struct Scratch {
    logits: Vec<f32>,
    wide: Vec<f64>,
    agree: Vec<u16>,
}

impl Scratch {
    fn new(n_classes: usize, width: usize) -> Self {
        Scratch {
            logits: vec![0.0; n_classes],
            wide: vec![0.0; n_classes],
            agree: vec![0; width],
        }
    }
}

/// One network row and its weights along the two slower axes.
#[derive(Debug, Clone, Copy, Default)]
struct CornerRow<'p> {
    logits: &'p [f32],
    decisions: &'p [u16],
    wz: f64,
    wy: f64,
}

/// The one, two or four network rows between which an output row lies.
struct CellRows<'p> {
    rows: [CornerRow<'p>; 4],
    n: usize,
}

impl<'p> CellRows<'p> {
    fn corners(&self) -> &[CornerRow<'p>] {
        &self.rows[..self.n]
    }
}

/// The indices of a tap with their weights; one if the other weighs nothing.
#[inline]
fn weighted(tap: LinearTap<f64>) -> impl Iterator<Item = (usize, f64)> + Clone {
    let two = tap.hi != tap.lo && tap.w_hi != 0.0;
    std::iter::once((tap.lo, if two { tap.w_lo } else { 1.0 })).chain(two.then_some((tap.hi, tap.w_hi)))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array4};
    use nephrite_resample::linear_taps as linear;
    use proptest::prelude::*;

    use super::*;

    /// All logits of one output voxel, the plain way.
    fn mixed(logits: &Array4<f32>, taps: &[AxisMap; 3], [z, y, x]: [usize; 3]) -> Vec<f32> {
        let (tz, ty, tx) = (taps[0][z], taps[1][y], taps[2][x]);
        let corners = |tap: LinearTap<f64>| [(tap.lo, tap.w_lo), (tap.hi, tap.w_hi)];
        let one = |c: usize| {
            let mut sum = 0.0;
            for (iz, wz) in corners(tz) {
                for (iy, wy) in corners(ty) {
                    for (ix, wx) in corners(tx) {
                        sum += f64::from(logits[[c, iz, iy, ix]]) * wz * wy * wx;
                    }
                }
            }
            sum as f32
        };
        (0..logits.dim().0).map(one).collect()
    }

    /// True if a decision is right for these logits up to rounding: real ties may be decided by it.
    fn is_right(rule: &LabelRule, logits: &[f32], decision: u16) -> bool {
        const ROUNDING: f32 = 1e-5;
        let decision = usize::from(decision);
        match rule {
            LabelRule::Argmax => logits.iter().all(|&other| logits[decision] >= other - ROUNDING),
            LabelRule::Regions { .. } => {
                decision.checked_sub(1).is_none_or(|i| logits[i] > -ROUNDING)
                    && logits[decision..].iter().all(|&later| later < ROUNDING)
            }
        }
    }

    fn stream(
        logits: &Array4<f32>,
        taps: &[AxisMap; 3],
        rule: &LabelRule,
        half: bool,
        every: usize,
    ) -> Array3<u16> {
        let (n_classes, n0, n1, n2) = logits.dim();
        let mut labels = Array3::<u16>::zeros((taps[0].len(), taps[1].len(), taps[2].len()));
        let mut exporter = SlabExporter::new(n_classes, [n1, n2], taps, rule, half);
        let mut target = Target {
            labels: labels.view_mut(),
            probabilities: None,
        };
        let mut done = 0;
        for z in 0..n0 {
            exporter
                .push_plane(|plane| {
                    for (i, v) in plane.iter_mut().enumerate() {
                        let (voxel, class) = (i / n_classes, i % n_classes);
                        *v = logits[[class, z, voxel / n2, voxel % n2]];
                    }
                })
                .unwrap();
            if z % every == every - 1 || z + 1 == n0 {
                done = exporter.flush(&mut target);
                assert!(
                    exporter.window.len() <= 2,
                    "holds only what the next output plane needs"
                );
            }
        }
        assert_eq!(done, taps[0].len());
        labels
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn streaming_equals_interpolating_everything_at_once(
            seed in 0u64..1000, n in prop::array::uniform3(1usize..7), m in prop::array::uniform3(1usize..12),
            n_classes in 1usize..5, regions in any::<bool>(), every in 1usize..4,
        ) {
            // quarter steps: interpolation with quarter weights stays exact often enough to meet real ties
            let mut state = seed;
            let logits = Array4::from_shape_fn((n_classes, n[0], n[1], n[2]), |_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((state >> 33) % 33) as f32 / 4.0 - 4.0
            });
            let taps = [linear(n[0], m[0]), linear(n[1], m[1]), linear(n[2], m[2])];
            let rule = if regions {
                LabelRule::Regions { class_order: (1..=n_classes as u16).rev().collect() }
            } else {
                LabelRule::Argmax
            };
            let fast = stream(&logits, &taps, &rule, false, every);
            let last = if regions { n_classes as u16 } else { n_classes as u16 - 1 };
            for ((z, y, x), &label) in fast.indexed_iter() {
                let logits = mixed(&logits, &taps, [z, y, x]);
                let decision = (0..=last).find(|&d| rule.label(d) == label);
                prop_assert!(is_right(&rule, &logits, decision.unwrap()), "{label} of {logits:?}");
            }
            let all: Vec<Array3<u16>> = [1, 3].map(|every| stream(&logits, &taps, &rule, true, every)).into();
            prop_assert_eq!(&all[0], &all[1]);
        }
    }

    #[test]
    fn a_two_channel_argmax_needs_the_interpolated_third() {
        // neither corner is won by class 1, the middle is: candidates from the corners alone would miss it
        let logits = Array4::from_shape_vec((3, 1, 1, 2), vec![10.0, 0.0, 9.0, 9.0, 0.0, 10.0]).unwrap();
        let taps = [
            linear(1, 1),
            linear(1, 1),
            vec![LinearTap {
                lo: 0,
                hi: 1,
                w_lo: 0.5,
                w_hi: 0.5,
            }],
        ];
        assert_eq!(stream(&logits, &taps, &LabelRule::Argmax, false, 1)[[0, 0, 0]], 1);
    }

    #[test]
    fn probabilities_sum_to_one_and_give_the_labels() {
        let logits = Array4::from_shape_fn((3, 2, 2, 2), |(c, z, y, x)| {
            (c * 3 + z + 2 * y + x * c) as f32 % 4.0
        });
        let taps = [linear(2, 3), linear(2, 4), linear(2, 2)];
        let mut labels = Array3::<u8>::zeros((3, 4, 2));
        let mut probabilities = Array4::<f32>::zeros((3, 3, 4, 2));
        let rule = LabelRule::Argmax;
        let mut exporter = SlabExporter::new(3, [2, 2], &taps, &rule, false);
        for z in 0..2 {
            exporter
                .push_plane(|plane| {
                    for (i, v) in plane.iter_mut().enumerate() {
                        *v = logits[[i % 3, z, i / 3 / 2, i / 3 % 2]];
                    }
                })
                .unwrap();
        }
        exporter.flush(&mut Target {
            labels: labels.view_mut(),
            probabilities: Some(probabilities.view_mut()),
        });
        for ((z, y, x), label) in labels.indexed_iter() {
            let p: Vec<f32> = (0..3).map(|c| probabilities[[c, z, y, x]]).collect();
            assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert_eq!(u16::from(*label), LabelRule::Argmax.decide(&p));
        }
    }
}
