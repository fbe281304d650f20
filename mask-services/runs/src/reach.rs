//! Which voxels lie within a distance of others: an exact Euclidean distance transform that knows where it may stop.

use nephrite_mask_codec::{Run, RunMask, RunMaskBuilder};
use nephrite_types::{BoundingBox, CancelToken, Cancelled, Geometry, Limits};
use rayon::prelude::*;

use crate::RunsError;

/// Voxels of the box whose centre lies at most `radius_mm` from that of a voxel of `row`; label 1.
///
/// `row(z, y, out)` appends the runs of a row as `start..end`, sorted, within the box in x; it is asked for rows of the
/// box only. The largest axis of the box may have 65 534 voxels.
///
/// Source: separable exact Euclidean distance transform (Felzenszwalb & Huttenlocher, "Distance Transforms of Sampled
/// Functions", Theory of Computing 8, 2012), stopped one axis early: along z only the radius matters, so that a voxel
/// reaches a whole number of planes up and down.
pub(crate) fn within(
    geometry: Geometry,
    bounds: BoundingBox,
    row: impl Fn(usize, usize, &mut Vec<(u32, u32)>) + Sync,
    radius_mm: f64,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    let [nz, ny, nx] = bounds.shape();
    check_size(bounds, limits)?;
    let ball = Ball::new(geometry.spacing.zyx(), radius_mm, [nz, ny, nx]);
    let n_plane = ny * nx;
    // One more than the number of planes that a voxel's reach has left; 0 is out of reach.
    let mut reach = vec![0u16; nz * n_plane];
    reach.par_chunks_mut(n_plane).enumerate().try_for_each_init(
        || PlaneScratch::new(ny, nx),
        |scratch, (z, plane)| -> Result<(), Cancelled> {
            cancel.check()?;
            scratch.fill(bounds, z, &row, &ball);
            scratch.spread(&ball, plane);
            Ok(())
        },
    )?;
    for z in 1..nz {
        cancel.check()?;
        let (before, here) = reach.split_at_mut(z * n_plane);
        pass_on(&before[(z - 1) * n_plane..], &mut here[..n_plane]);
    }
    for z in (1..nz).rev() {
        cancel.check()?;
        let (before, here) = reach.split_at_mut(z * n_plane);
        pass_on(&here[..n_plane], &mut before[(z - 1) * n_plane..]);
    }
    to_runs(geometry, bounds, &reach, limits)
}

fn check_size(bounds: BoundingBox, limits: &Limits) -> Result<(), RunsError> {
    let found = bounds.n_voxels() as u64;
    if found > limits.max_voxels {
        return Err(RunsError::Limit {
            what: "the box of a distance",
            found,
            limit: limits.max_voxels,
        });
    }
    const MAX_AXIS: usize = u16::MAX as usize - 1;
    let longest = bounds.shape().into_iter().max().unwrap_or(0);
    if longest > MAX_AXIS {
        return Err(RunsError::Limit {
            what: "the longest axis of the box of a distance",
            found: longest as u64,
            limit: MAX_AXIS as u64,
        });
    }
    Ok(())
}

/// A plane one further away is in reach if one plane is left.
fn pass_on(from: &[u16], to: &mut [u16]) {
    for (from, to) in from.iter().zip(to) {
        *to = (*to).max(from.saturating_sub(1));
    }
}

/// Nothing in the row is near enough.
const FAR: u16 = u16::MAX;

/// The voxel offsets whose distance is at most the radius.
struct Ball {
    spacing: [f64; 3],
    /// Offsets along y and x that can lie inside: `0..ny`, `0..nx`.
    ny: usize,
    nx: usize,
    /// `[dy, dx]`: one more than the largest dz inside, 0 if there is none.
    reach: Vec<u16>,
}

impl Ball {
    /// For offsets within a box of `shape`, whose axes fit 16 bits.
    ///
    /// Whether an offset lies inside is computed as scipy does: `sqrt((dz·sz)² + (dy·sy)² + (dx·sx)²) <= radius`.
    fn new(spacing: [f64; 3], radius_mm: f64, [nz, ny, nx]: [usize; 3]) -> Ball {
        let inside = |dz: usize, dy: usize, dx: usize| {
            let square = |steps: usize, mm: f64| (steps as f64 * mm) * (steps as f64 * mm);
            let sum = square(dz, spacing[0]) + square(dy, spacing[1]) + square(dx, spacing[2]);
            sum.sqrt() <= radius_mm
        };
        let in_y = (0..ny).take_while(|&dy| inside(0, dy, 0)).count();
        let in_x = (0..nx).take_while(|&dx| inside(0, 0, dx)).count();
        let mut reach = vec![0u16; in_y * in_x];
        for dy in 0..in_y {
            // The further out along x, the fewer planes.
            let mut planes = nz;
            for dx in 0..in_x {
                while planes > 0 && !inside(planes - 1, dy, dx) {
                    planes -= 1;
                }
                reach[dy * in_x + dx] = planes as u16; // the axes fit
            }
        }
        Ball {
            spacing,
            ny: in_y,
            nx: in_x,
            reach,
        }
    }
}

/// What one thread needs for one plane.
struct PlaneScratch {
    ny: usize,
    nx: usize,
    /// `[y, x]`: voxels along x to the nearest of the row, [`FAR`] if that is too far.
    along_x: Vec<u16>,
    /// Rows of `along_x` that have any.
    rows: Vec<usize>,
    runs: Vec<(u32, u32)>,
    /// Lower envelope of one column: the row of each parabola, its height, and from which y on it is the lowest.
    rows_on: Vec<usize>,
    heights: Vec<f64>,
    from: Vec<f64>,
}

impl PlaneScratch {
    fn new(ny: usize, nx: usize) -> PlaneScratch {
        PlaneScratch {
            ny,
            nx,
            along_x: vec![FAR; ny * nx],
            rows: Vec::new(),
            runs: Vec::new(),
            rows_on: Vec::new(),
            heights: Vec::new(),
            from: Vec::new(),
        }
    }

    /// Distances along x.
    fn fill(
        &mut self,
        bounds: BoundingBox,
        z: usize,
        row: &impl Fn(usize, usize, &mut Vec<(u32, u32)>),
        ball: &Ball,
    ) {
        self.rows.clear();
        for (y, out) in self.along_x.chunks_exact_mut(self.nx).enumerate() {
            self.runs.clear();
            row(bounds.start[0] + z, bounds.start[1] + y, &mut self.runs);
            if !self.runs.is_empty() {
                self.rows.push(y);
                distances_along_row(&self.runs, bounds.start[2], ball.nx, out);
            }
        }
    }

    /// From distances along x to reach along z.
    fn spread(&mut self, ball: &Ball, plane: &mut [u16]) {
        if self.rows.is_empty() {
            return;
        }
        let [_, sy, sx] = ball.spacing;
        for x in 0..self.nx {
            self.rows_on.clear();
            self.heights.clear();
            self.from.clear();
            for &y in &self.rows {
                let dx = self.along_x[y * self.nx + x];
                if dx == FAR {
                    continue;
                }
                let height = (f64::from(dx) * sx).powi(2);
                let mut start = f64::NEG_INFINITY;
                while let Some(&last) = self.rows_on.last() {
                    let h = self.heights[self.heights.len() - 1];
                    // Where the parabolas of `last` and `y` meet, in voxels along y.
                    let (p, q) = (last as f64, y as f64);
                    start = ((height - h) / (sy * sy) + q * q - p * p) / (2.0 * (q - p));
                    if start > self.from[self.from.len() - 1] {
                        break;
                    }
                    self.rows_on.pop();
                    self.heights.pop();
                    self.from.pop();
                    start = f64::NEG_INFINITY;
                }
                self.rows_on.push(y);
                self.heights.push(height);
                self.from.push(start);
            }
            if self.rows_on.is_empty() {
                continue;
            }
            let mut on = 0;
            for y in 0..self.ny {
                while self.from.get(on + 1).is_some_and(|from| *from < y as f64) {
                    on += 1;
                }
                let nearest = self.rows_on[on];
                let dy = nearest.abs_diff(y);
                if dy < ball.ny {
                    let dx = usize::from(self.along_x[nearest * self.nx + x]);
                    plane[y * self.nx + x] = ball.reach[dy * ball.nx + dx];
                }
            }
        }
    }
}

/// `out[x - x_start]`: distance in voxels to the nearest run, [`FAR`] if it is `n_inside` or more.
fn distances_along_row(runs: &[(u32, u32)], x_start: usize, n_inside: usize, out: &mut [u16]) {
    let to_distance = |steps: usize| if steps < n_inside { steps as u16 } else { FAR };
    let mut last_end: Option<usize> = None;
    let n = out.len();
    let ends = runs
        .iter()
        .map(|&(start, end)| (start as usize - x_start, end as usize - x_start));
    for (start, end) in ends.map(|(start, end)| (Some(start), end)).chain([(None, n)]) {
        let gap = last_end.unwrap_or(0)..start.unwrap_or(n);
        for x in gap {
            let left = last_end.map_or(usize::MAX, |end| x + 1 - end);
            let right = start.map_or(usize::MAX, |start| start - x);
            out[x] = to_distance(left.min(right));
        }
        if let Some(start) = start {
            out[start..end].fill(0);
        }
        last_end = Some(end);
    }
}

fn to_runs(
    geometry: Geometry,
    bounds: BoundingBox,
    reach: &[u16],
    limits: &Limits,
) -> Result<RunMask, RunsError> {
    let [_, box_ny, box_nx] = bounds.shape();
    let ny = geometry.shape.zyx()[1];
    let planes: Vec<Vec<Vec<Run>>> = reach
        .par_chunks(box_ny * box_nx)
        .map(|plane| {
            let rows = plane.chunks_exact(box_nx);
            rows.map(|row| runs_of(row, bounds.start[2])).collect()
        })
        .collect();
    let mut out = RunMaskBuilder::new(geometry, limits)?;
    for (z, plane) in planes.into_iter().enumerate() {
        for (y, runs) in plane.into_iter().enumerate() {
            if !runs.is_empty() {
                out.skip_to_row((z + bounds.start[0]) * ny + y + bounds.start[1])?;
                out.push_row(runs)?;
            }
        }
    }
    out.skip_to_row(geometry.shape.zyx()[0] * ny)?;
    Ok(out.finish()?)
}

/// Where a row is in reach.
fn runs_of(row: &[u16], x_start: usize) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut x = 0;
    while let Some(gap) = row[x..].iter().position(|reach| *reach > 0) {
        let start = x + gap;
        let len = row[start..].iter().position(|reach| *reach == 0);
        let end = len.map_or(row.len(), |len| start + len);
        runs.push(Run {
            start: (x_start + start) as u32, // x indices of runs are u32
            end: (x_start + end) as u32,
            label: 1,
        });
        x = end;
    }
    runs
}
