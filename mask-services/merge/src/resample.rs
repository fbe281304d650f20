//! Runs from one grid to another, by world coordinates.

use std::collections::BTreeMap;
use std::ops::Range;

use nephrite_kernel::{CancelToken, Geometry, Limits, OperationError, Run, RunMask, RunMaskBuilder};
use rayon::prelude::*;

use crate::voxel_map::{SNAPPED, VoxelMap, snap};

/// How a label is found between voxel centers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// That of the nearest voxel; halfway, the one with the larger index.
    Nearest,
    /// The one with most trilinear weight, background included; of equal ones the smallest id, as `argmax` over one-hot
    /// channels. What lies outside the source is background.
    Linear,
}

/// The mask on another grid. Only rows and voxels that a label can reach are visited; along rows that run parallel to
/// the rows of the source, whole stretches of one label are taken at once.
///
/// `None` if the map between the grids is not finite.
pub(crate) fn resample(
    source: &RunMask,
    target: &Geometry,
    interpolation: Interpolation,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Option<RunMask>, OperationError> {
    let mut builder = RunMaskBuilder::new(*target, limits)?;
    let [nz, ny, nx] = target.shape.zyx();
    let maps = VoxelMap::new(target, source.geometry()).zip(VoxelMap::new(source.geometry(), target));
    let Some((to_source, to_target)) = maps else {
        return Ok(None);
    };
    let Some(labelled) = source.bounding_box() else {
        builder.skip_to_row(nz * ny)?;
        return Ok(Some(builder.finish()?));
    };
    // Where labels have an influence: half a voxel around them, or a whole one, and what snapping may move. Source
    // indices, x first.
    let margin = SNAPPED
        + match interpolation {
            Interpolation::Nearest => 0.5,
            Interpolation::Linear => 1.0,
        };
    let reach: [[f64; 2]; 3] = std::array::from_fn(|c| {
        let axis = 2 - c;
        [
            labelled.start[axis] as f64 - margin,
            labelled.end[axis] as f64 - 1.0 + margin,
        ]
    });
    let box_of = to_target.image_of_box(reach);
    let range = |c: usize, n: usize| clip(box_of[c], n);
    let (xs, ys, zs) = (range(0, nx), range(1, ny), range(2, nz));
    let sampler = Sampler {
        source,
        to_source,
        reach,
        interpolation,
    };
    let planes: Vec<(Vec<u32>, Vec<Run>)> = zs
        .clone()
        .into_par_iter()
        .map(|z| {
            let mut counts = Vec::with_capacity(ys.len());
            let mut runs = Vec::new();
            let mut cursors = [Cursor::NONE; 4];
            for y in ys.clone() {
                cancel.check()?;
                let before = runs.len();
                sampler.row(z, y, xs.clone(), &mut cursors, &mut runs);
                counts.push((runs.len() - before) as u32); // at most the row's length
            }
            Ok((counts, runs))
        })
        .collect::<Result<_, OperationError>>()?;
    for (z, (counts, runs)) in zs.zip(planes) {
        builder.skip_to_row(z * ny + ys.start)?;
        let mut rest = runs.as_slice();
        for count in counts {
            let (row, after) = rest.split_at(count as usize);
            builder.push_row(row.iter().copied())?;
            rest = after;
        }
    }
    builder.skip_to_row(nz * ny)?;
    Ok(Some(builder.finish()?))
}

/// Voxels of every label whose centers lie outside the field of view (the outer faces of the voxels) of another grid.
///
/// `None` if the map between the grids is not finite.
pub(crate) fn outside(source: &RunMask, target: &Geometry) -> Option<BTreeMap<u16, u64>> {
    /// Voxels; a center on the outer face is inside, whatever the rounding.
    const ON_THE_FACE: f64 = 1e-6;
    let map = VoxelMap::new(source.geometry(), target)?;
    let view = target
        .shape
        .xyz()
        .map(|n| [-0.5 - ON_THE_FACE, n as f64 - 0.5 + ON_THE_FACE]);
    let mut outside = BTreeMap::new();
    let ny = source.shape()[1];
    for (row, runs) in source.rows().enumerate() {
        if runs.is_empty() {
            continue;
        }
        let origin = map.apply([0.0, (row % ny) as f64, (row / ny) as f64]);
        let [low, high] = stretch(origin, map.step(0), view);
        for run in runs {
            let first = f64::from(run.start).max(low.ceil());
            let last = f64::from(run.end - 1).min(high.floor());
            let inside = if first <= last {
                (last - first) as u64 + 1
            } else {
                0
            };
            let n = u64::from(run.len()) - inside;
            if n > 0 {
                *outside.entry(run.label).or_default() += n;
            }
        }
    }
    Some(outside)
}

/// The part of the line `origin + t · step` within a box, as a range of `t`; empty (low above high) if there is none.
fn stretch(origin: [f64; 3], step: [f64; 3], bounds: [[f64; 2]; 3]) -> [f64; 2] {
    let mut range = [f64::NEG_INFINITY, f64::INFINITY];
    for axis in 0..3 {
        let [low, high] = bounds[axis];
        if step[axis] == 0.0 {
            if origin[axis] < low || origin[axis] > high {
                return [0.0, -1.0];
            }
        } else {
            let (a, b) = (
                (low - origin[axis]) / step[axis],
                (high - origin[axis]) / step[axis],
            );
            range = [range[0].max(a.min(b)), range[1].min(a.max(b))];
        }
    }
    range
}

/// Whole numbers of `0..n` within a range, with one more at either end against rounding.
fn clip([low, high]: [f64; 2], n: usize) -> Range<usize> {
    // max before min: what is not a number becomes an end of the range
    let start = (low.floor() - 1.0).max(0.0).min(n as f64);
    let end = (high.ceil() + 2.0).max(start).min(n as f64);
    start as usize..end as usize
}

struct Sampler<'a> {
    source: &'a RunMask,
    to_source: VoxelMap,
    reach: [[f64; 2]; 3],
    interpolation: Interpolation,
}

impl Sampler<'_> {
    /// The runs of one row of the target, within `xs`.
    fn row(&self, z: usize, y: usize, xs: Range<usize>, cursors: &mut [Cursor; 4], runs: &mut Vec<Run>) {
        let origin = self.to_source.apply([0.0, y as f64, z as f64]);
        let step = self.to_source.step(0);
        let [low, high] = stretch(origin, step, self.reach);
        let reached = clip([low, high], xs.end);
        let end = reached.end;
        let mut x = reached.start.max(xs.start);
        let parallel = step[1] == 0.0 && step[2] == 0.0;
        while x < end {
            let at: [f64; 3] = std::array::from_fn(|c| snap(origin[c] + x as f64 * step[c]));
            let (label, same) = match self.interpolation {
                Interpolation::Nearest => self.nearest(at, step[0], cursors),
                Interpolation::Linear => self.linear(at, step[0], cursors),
            };
            let n = if parallel { same.min(end - x) } else { 1 };
            if label != 0 {
                runs.push(Run {
                    start: x as u32, // the builder saw the row's length
                    end: (x + n) as u32,
                    label,
                });
            }
            x += n;
        }
    }

    /// The label, and for how many voxels at least it stays if the source row does.
    fn nearest(&self, at: [f64; 3], step_x: f64, cursors: &mut [Cursor; 4]) -> (u16, usize) {
        let [x, y, z] = at.map(|u| (u + 0.5).floor() as i64);
        let found = cursors[0].find(self.source, z, y, x);
        let same = steps_within(at[0], step_x, found.start as f64 - 0.5, found.end as f64 - 0.5);
        (found.label, same)
    }

    /// The same for the label with most weight.
    fn linear(&self, at: [f64; 3], step_x: f64, cursors: &mut [Cursor; 4]) -> (u16, usize) {
        let base = at.map(f64::floor);
        let t: [f64; 3] = std::array::from_fn(|c| at[c] - base[c]);
        let [x, y, z] = base.map(|u| u as i64);
        // Labels and weights of up to eight neighbors; equal labels are added up. Positions are multiples of 2^-16, so
        // that products of three and their sums are exact: ties do not depend on the order.
        let mut labels = [0u16; 8];
        let mut weights = [0.0f64; 8];
        let mut n = 0;
        let next_x = x.saturating_add(1);
        let (mut start, mut end) = (i64::MIN, i64::MAX);
        let mut alike = true;
        for (corner, cursor) in cursors.iter_mut().enumerate() {
            let (dz, dy) = (corner >> 1, corner & 1);
            let row_weight = side(t[2], dz) * side(t[1], dy);
            let (row_z, row_y) = (z.saturating_add(dz as i64), y.saturating_add(dy as i64));
            let low = cursor.find(self.source, row_z, row_y, x);
            let label = low.label;
            start = start.max(low.start);
            end = end.min(low.end);
            let next = if low.end > next_x {
                label
            } else {
                alike = false;
                cursor.find(self.source, row_z, row_y, next_x).label
            };
            for (label, weight) in [
                (label, row_weight * side(t[0], 0)),
                (next, row_weight * side(t[0], 1)),
            ] {
                match labels[..n].iter().position(|&known| known == label) {
                    Some(idx) => weights[idx] += weight,
                    None => {
                        labels[n] = label;
                        weights[n] = weight;
                        n += 1;
                    }
                }
            }
        }
        let mut best = 0;
        for idx in 1..n {
            let heavier = weights[idx] > weights[best];
            if heavier || weights[idx] == weights[best] && labels[idx] < labels[best] {
                best = idx;
            }
        }
        let same = if alike && n == 1 {
            steps_within(at[0], step_x, start as f64, end as f64 - 1.0)
        } else {
            1
        };
        (labels[best], same)
    }
}

/// Weight of the lower (0) or upper (1) neighbor at the fraction `t` between them.
fn side(t: f64, upper: usize) -> f64 {
    if upper == 0 { 1.0 - t } else { t }
}

/// How many of `at`, `at + step`, `at + 2 step` … surely lie within `low..high`, the first of them included.
fn steps_within(at: f64, step: f64, low: f64, high: f64) -> usize {
    /// More than positions are off by rounding and snapping.
    const SURELY: f64 = 1e-4;
    let room = if step > 0.0 { high - at } else { at - low };
    let steps = ((room - SURELY) / step.abs()).floor();
    // Not a number and negative become 0; infinite becomes the largest, which callers cut.
    (steps.max(0.0) as usize).saturating_add(1)
}

/// A stretch of one row with one label or background; the outermost ones reach to infinity.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    z: i64,
    y: i64,
    start: i64,
    end: i64,
    label: u16,
}

impl Cursor {
    const NONE: Cursor = Cursor {
        z: i64::MIN,
        y: i64::MIN,
        start: 0,
        end: 0,
        label: 0,
    };

    /// The stretch around a voxel, which may lie outside.
    #[inline]
    fn find(&mut self, source: &RunMask, z: i64, y: i64, x: i64) -> Cursor {
        if self.z != z || self.y != y || x < self.start || x >= self.end {
            *self = Cursor::locate(source, z, y, x);
        }
        *self
    }

    fn locate(source: &RunMask, z: i64, y: i64, x: i64) -> Cursor {
        let [nz, ny, _] = source.shape();
        let everywhere = Cursor {
            z,
            y,
            start: i64::MIN,
            end: i64::MAX,
            label: 0,
        };
        let (Ok(row_z), Ok(row_y)) = (usize::try_from(z), usize::try_from(y)) else {
            return everywhere;
        };
        if row_z >= nz || row_y >= ny {
            return everywhere;
        }
        let row = source.row(row_z * ny + row_y);
        let next = row.partition_point(|run| i64::from(run.end) <= x);
        match row.get(next) {
            Some(run) if i64::from(run.start) <= x => Cursor {
                start: run.start.into(),
                end: run.end.into(),
                label: run.label,
                ..everywhere
            },
            after => Cursor {
                start: if next == 0 {
                    i64::MIN
                } else {
                    row[next - 1].end.into()
                },
                end: after.map_or(i64::MAX, |run| run.start.into()),
                ..everywhere
            },
        }
    }
}
