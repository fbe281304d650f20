//! Resizing of segmentations: every label's indicator is resized, and a rule says which label a voxel gets.
//!
//! An indicator is 0 or 1, so a linear score is a sum of the weights of those of the eight neighbors that carry the
//! label, and only their labels can win. The sums run in the order of the reference, because ties are frequent (at
//! every label boundary with an even factor) and are decided by exact equality.

use half::f16;
use ndarray::{Array3, ArrayView3, Axis, Ix3, Zip};
use nephrite_types::memory::{self, Zeroable};
use nephrite_types::{CancelToken, OutOfMemory};
use rayon::prelude::*;

use crate::planes::{RESIZED, check_shapes};
use crate::taps::{LinearTap, linear_taps, nearest_indices, torch_linear_taps, torch_nearest_exact};
use crate::{Interpolation, ResampleError, ResizePlan, literal_spline, resize_planes};

/// A label id. `Default` is the background, 0.
pub trait Label: Copy + Ord + Default + Zeroable + Send + Sync + 'static {}
impl Label for u8 {}
impl Label for u16 {}
impl Label for i16 {}
impl Label for i32 {}

/// Which library's rule decides the label of a voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelRule {
    /// batchgenerators 0.25.5 `resize_segmentation` of this order, as `resample_data_or_seg` uses it: the label with
    /// the largest score; of tied labels the nearest neighbor's, else the smallest. Nearest picks labels directly.
    ///
    /// Agrees with the reference bit for bit. Cubic costs a padded f64 copy and 64 products per voxel and label.
    Batchgenerators(Interpolation),
    /// `resample_torch_fornnunet`: a label whose f32 score, times 1000 and rounded to f16, is over 700; else the
    /// smallest label with the largest such score.
    Torch,
    /// `resample_torch_fornnunet` with `memefficient_seg_resampling`: a label whose f32 score is over 0.5, else 0.
    TorchMemoryEfficient,
}

/// Resizes a segmentation, in array order, to shape `to`.
///
/// With a `separate` axis the slices perpendicular to it are resized on their own; then labels are picked along the
/// axis, or, where `separate` says linear or cubic, a voxel gets the largest label whose score along the axis is over
/// 0.5, or 0. The torch rules always pick nearest-exact along a separate axis, whatever `separate` says.
///
/// Equal shapes return the labels unchanged.
///
/// # Errors
/// [`ResampleError::Shape`], [`ResampleError::SeparateAxis`], [`ResampleError::Cancelled`].
///
/// # Source
/// nnunetv2 2.8.1 `default_resampling.py` and `resample_torch.py`, batchgenerators 0.25.5
/// `augmentations/utils.py` `_resample_seg_by_argmax`.
pub fn resize_labels<L: Label>(
    labels: ArrayView3<'_, L>,
    to: [usize; 3],
    rule: LabelRule,
    separate: Option<(usize, Interpolation)>,
    cancel: &CancelToken,
) -> Result<Array3<L>, ResampleError> {
    let from: [usize; 3] = labels.dim().into();
    check_shapes(from, to, size_of::<L>())?;
    if from == to {
        return Ok(memory::owned(labels, RESIZED)?);
    }
    let Some((axis, along)) = separate else {
        return resize_jointly(labels, to, rule, None, cancel);
    };
    if axis > 2 {
        return Err(ResampleError::SeparateAxis { axis });
    }
    let mut slices_shape = to;
    slices_shape[axis] = from[axis];
    let slices = resize_jointly(labels, slices_shape, rule, Some(axis), cancel)?;
    if slices_shape == to {
        return Ok(slices);
    }
    let picks = match (rule, along) {
        (LabelRule::Torch | LabelRule::TorchMemoryEfficient, _) => torch_nearest_exact(from[axis], to[axis]),
        (LabelRule::Batchgenerators(_), Interpolation::Nearest) => nearest_indices(from[axis], to[axis]),
        (LabelRule::Batchgenerators(_), _) => return over_half(slices.view(), to, axis, along, cancel),
    };
    let mut indices = slices_shape.map(|len| (0..len).collect::<Vec<_>>());
    indices[axis] = picks;
    pick(slices.view(), &indices, cancel)
}

/// Resizes all axes at once, or all but the `untouched` one, along which slices know nothing of each other.
fn resize_jointly<L: Label>(
    labels: ArrayView3<'_, L>,
    to: [usize; 3],
    rule: LabelRule,
    untouched: Option<usize>,
    cancel: &CancelToken,
) -> Result<Array3<L>, ResampleError> {
    let from: [usize; 3] = labels.dim().into();
    if from == to {
        return Ok(memory::owned(labels, RESIZED)?);
    }
    let nearest: [Vec<usize>; 3] = std::array::from_fn(|axis| nearest_indices(from[axis], to[axis]));
    match rule {
        LabelRule::Batchgenerators(Interpolation::Nearest) => pick(labels, &nearest, cancel),
        LabelRule::Batchgenerators(Interpolation::Linear) => {
            let taps = std::array::from_fn(|axis| linear_taps::<f64>(from[axis], to[axis]));
            vote(labels, &taps, cancel, |votes, [z, y, x]| {
                largest_score(votes, labels[[nearest[0][z], nearest[1][y], nearest[2][x]]])
            })
        }
        LabelRule::Batchgenerators(Interpolation::Cubic) => {
            largest_cubic_score(labels, &nearest, to, untouched, cancel)
        }
        LabelRule::Torch => {
            let taps = std::array::from_fn(|axis| torch_linear_taps::<f32>(from[axis], to[axis]));
            vote(labels, &taps, cancel, |votes, _| torch_score(votes))
        }
        LabelRule::TorchMemoryEfficient => {
            let taps = std::array::from_fn(|axis| torch_linear_taps::<f32>(from[axis], to[axis]));
            vote(labels, &taps, cancel, |votes, _| torch_over_half(votes))
        }
    }
}

/// Copies the values at the given indices per axis.
pub(crate) fn pick<V: Copy + Zeroable + Send + Sync>(
    source: ArrayView3<'_, V>,
    indices: &[Vec<usize>; 3],
    cancel: &CancelToken,
) -> Result<Array3<V>, ResampleError> {
    let mut target = zeros([indices[0].len(), indices[1].len(), indices[2].len()])?;
    target
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(&indices[0])
        .try_for_each(|(mut plane, &z)| {
            cancel.check()?;
            for (mut row, &y) in plane.rows_mut().into_iter().zip(&indices[1]) {
                let source = source.slice(ndarray::s![z, y, ..]);
                row.iter_mut()
                    .zip(&indices[2])
                    .for_each(|(value, &x)| *value = source[x]);
            }
            Ok::<(), ResampleError>(())
        })?;
    Ok(target)
}

/// The eight neighbors of an output voxel, last axis fastest, and their weights along each axis.
struct Votes<L, T> {
    labels: [L; 8],
    weights: [[T; 2]; 3],
}

/// Calls `decide` for every voxel whose neighbors disagree; where they agree there is nothing to decide.
fn vote<L: Label, T: Copy + Sync>(
    labels: ArrayView3<'_, L>,
    taps: &[Vec<LinearTap<T>>; 3],
    cancel: &CancelToken,
    decide: impl Fn(&Votes<L, T>, [usize; 3]) -> L + Sync,
) -> Result<Array3<L>, ResampleError> {
    let mut target = zeros([taps[0].len(), taps[1].len(), taps[2].len()])?;
    target
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .try_for_each(|(z, mut plane)| {
            cancel.check()?;
            let tap_z = taps[0][z];
            for (y, mut row) in plane.rows_mut().into_iter().enumerate() {
                let tap_y = taps[1][y];
                let rows = [
                    (tap_z.lo, tap_y.lo),
                    (tap_z.lo, tap_y.hi),
                    (tap_z.hi, tap_y.lo),
                    (tap_z.hi, tap_y.hi),
                ]
                .map(|(z, y)| labels.slice_move(ndarray::s![z, y, ..]));
                for (x, (label, tap_x)) in row.iter_mut().zip(&taps[2]).enumerate() {
                    let neighbours: [L; 8] =
                        std::array::from_fn(|i| rows[i / 2][if i % 2 == 0 { tap_x.lo } else { tap_x.hi }]);
                    let weights = [tap_z, tap_y, *tap_x].map(|tap| [tap.w_lo, tap.w_hi]);
                    *label = if neighbours.iter().all(|&other| other == neighbours[0]) {
                        neighbours[0]
                    } else {
                        decide(
                            &Votes {
                                labels: neighbours,
                                weights,
                            },
                            [z, y, x],
                        )
                    };
                }
            }
            Ok::<(), ResampleError>(())
        })?;
    Ok(target)
}

impl<L: Label, T> Votes<L, T> {
    /// Every label once, ascending.
    fn candidates(&self) -> impl Iterator<Item = L> {
        let mut labels = self.labels;
        labels.sort_unstable();
        (0..8)
            .filter(move |&i| i == 0 || labels[i] != labels[i - 1])
            .map(move |i| labels[i])
    }
}

impl<L: Label> Votes<L, f64> {
    /// scipy's sum over the support: `t += ((v · w0) · w1) · w2`, last axis fastest, then the clip to `0 … 1`.
    fn score(&self, label: L) -> f64 {
        let mut sum = 0.0;
        for (i, _) in self
            .labels
            .iter()
            .enumerate()
            .filter(|(_, other)| **other == label)
        {
            sum += self.weights[0][i >> 2] * self.weights[1][i >> 1 & 1] * self.weights[2][i & 1];
        }
        f64::min(sum, 1.0)
    }
}

impl<L: Label> Votes<L, f32> {
    /// torch's nested sum over the support, of the indicator times `scale`.
    fn score(&self, label: L, scale: f32) -> f32 {
        let [wz, wy, wx] = self.weights;
        let value = |i: usize| if self.labels[i] == label { scale } else { 0.0 };
        let row = |i: usize| wx[0] * value(i) + wx[1] * value(i + 1);
        let plane = |i: usize| wy[0] * row(i) + wy[1] * row(i + 2);
        wz[0] * plane(0) + wz[1] * plane(4)
    }
}

fn largest_score<L: Label>(votes: &Votes<L, f64>, nearest: L) -> L {
    let mut best = (f64::NEG_INFINITY, nearest);
    for label in votes.candidates() {
        best = better(best, (votes.score(label), label), nearest);
    }
    best.1
}

/// The winner of two, `challenger` being the larger label.
fn better<L: Label>(best: (f64, L), challenger: (f64, L), nearest: L) -> (f64, L) {
    let wins_tie = challenger.0 == best.0 && challenger.1 == nearest;
    if challenger.0 > best.0 || wins_tie {
        challenger
    } else {
        best
    }
}

fn torch_score<L: Label>(votes: &Votes<L, f32>) -> L {
    let scored = |label| (f16::from_f32(votes.score(label, 1000.0)).to_f32(), label);
    let mut best = (f32::NEG_INFINITY, L::default());
    let mut sure = None;
    for (score, label) in votes.candidates().map(scored) {
        if score > 700.0 {
            sure = Some(label);
        }
        if score > best.0 {
            best = (score, label);
        }
    }
    sure.unwrap_or(best.1)
}

fn torch_over_half<L: Label>(votes: &Votes<L, f32>) -> L {
    votes
        .candidates()
        .filter(|&label| votes.score(label, 1.0) > 0.5)
        .last()
        .unwrap_or_default()
}

fn largest_cubic_score<L: Label>(
    labels: ArrayView3<'_, L>,
    nearest: &[Vec<usize>; 3],
    to: [usize; 3],
    untouched: Option<usize>,
    cancel: &CancelToken,
) -> Result<Array3<L>, ResampleError> {
    let nearest = pick(labels, nearest, cancel)?;
    let mut best = memory::mapped(nearest.view(), RESIZED, |label| (f64::NEG_INFINITY, label))?;
    for label in unique(labels) {
        let scores = literal_spline::resize(&indicator(labels, label)?, to, untouched, cancel)?;
        Zip::from(&mut best)
            .and(&scores)
            .and(&nearest)
            .par_for_each(|best, &score, &nearest| {
                *best = better(*best, (score.clamp(0.0, 1.0), label), nearest);
            });
    }
    Ok(memory::mapped(best.view(), RESIZED, |(_, label)| label)?)
}

fn indicator<L: Label>(labels: ArrayView3<'_, L>, label: L) -> Result<Array3<f64>, OutOfMemory> {
    memory::mapped(labels, RESIZED, |other| if other == label { 1.0 } else { 0.0 })
}

fn zeros<V: Zeroable>([z, y, x]: [usize; 3]) -> Result<Array3<V>, OutOfMemory> {
    memory::zeroed_array(Ix3(z, y, x), RESIZED)
}

/// Along a separate axis: the largest label whose interpolated indicator is over 0.5, else 0.
fn over_half<L: Label>(
    labels: ArrayView3<'_, L>,
    to: [usize; 3],
    axis: usize,
    along: Interpolation,
    cancel: &CancelToken,
) -> Result<Array3<L>, ResampleError> {
    let plan = ResizePlan::new(Interpolation::Nearest).with_separate_axis(axis, along)?;
    let mut target = zeros(to)?;
    for label in unique(labels) {
        let indicator = indicator(labels, label)?;
        let fill = |z: usize, plane: &mut [f64]| {
            plane
                .iter_mut()
                .zip(indicator.index_axis(Axis(0), z))
                .for_each(|(value, &source)| *value = source);
        };
        let scores = match along {
            Interpolation::Cubic => literal_spline::resize(&indicator, to, None, cancel)?,
            _ => resize_planes(labels.dim().into(), to, &plan, &fill, cancel)?,
        };
        Zip::from(&mut target)
            .and(&scores)
            .par_for_each(|target, &score| {
                if score > 0.5 {
                    *target = label;
                }
            });
    }
    Ok(target)
}

/// All labels, ascending.
fn unique<L: Label>(labels: ArrayView3<'_, L>) -> Vec<L> {
    let mut found = std::collections::BTreeSet::new();
    let mut last = None;
    for &label in labels {
        if last != Some(label) {
            found.insert(label);
            last = Some(label);
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[i16], m: usize, rule: LabelRule, expected: &[i16]) {
        for axis in 0..3 {
            let shape = |len| std::array::from_fn(|a| if a == axis { len } else { 1 });
            let source = Array3::from_shape_vec(shape(labels.len()), labels.to_vec()).unwrap();
            let found = resize_labels(source.view(), shape(m), rule, None, &CancelToken::new()).unwrap();
            assert_eq!(
                found.iter().copied().collect::<Vec<_>>(),
                expected,
                "axis {axis}, {rule:?}"
            );
        }
    }

    #[test]
    fn a_tie_goes_to_the_nearest_neighbour_or_to_the_smallest_label() {
        let linear = LabelRule::Batchgenerators(Interpolation::Linear);
        check(&[-1, 0, 2, 1], 2, linear, &[0, 1]); // halving: all tied, nearest is the upper of two
        check(&[1, 2, 2, 0], 2, LabelRule::Torch, &[1, 0]); // first maximum
        check(&[1, 2, 2, 0], 2, LabelRule::TorchMemoryEfficient, &[0, 0]); // nobody is over a half
        check(&[-1, -1, 3, 3], 2, LabelRule::TorchMemoryEfficient, &[-1, 3]);

        // The center of this block scores 1 and 2 at 0.375 each; its nearest neighbor, 3, lost.
        let block = Array3::from_shape_vec([2, 2, 2], vec![3u8, 1, 1, 1, 2, 2, 2, 3]).unwrap();
        let found = resize_labels(block.view(), [1, 1, 1], linear, None, &CancelToken::new()).unwrap();
        assert_eq!(found[[0, 0, 0]], 1);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let labels = Array3::<u8>::zeros([2, 2, 2]);
        let resize = |to, separate, cancel: &CancelToken| {
            resize_labels(labels.view(), to, LabelRule::Torch, separate, cancel).unwrap_err()
        };
        let token = CancelToken::new();
        assert!(matches!(
            resize([0, 2, 2], None, &token),
            ResampleError::Shape { .. }
        ));
        assert!(matches!(
            resize([usize::MAX, 2, 2], None, &token),
            ResampleError::Shape { .. }
        ));
        let separate = Some((3, Interpolation::Nearest));
        assert!(matches!(
            resize([3, 2, 2], separate, &token),
            ResampleError::SeparateAxis { axis: 3 }
        ));
        token.cancel();
        assert!(matches!(
            resize([3, 2, 2], None, &token),
            ResampleError::Cancelled(_)
        ));
    }
}
