//! Which voxels lie within a distance of others: an exact Euclidean distance transform that knows where it may stop.

use nephrite_mask_codec::{MaskError, Run, RunMask, RunMaskBuilder};
use nephrite_types::memory;
use nephrite_types::{BoundingBox, CancelToken, Cancelled, Geometry, Limits, length};
use rayon::prelude::*;

use crate::RunsError;

/// Voxels of the box for which an offset of `ball`, made for this box, leads to a voxel of `row`; label 1.
///
/// `row(z, y, out)` appends the runs of a row as `start..end`, sorted, within the box in x; it is asked for rows of the
/// box only.
///
/// Source: separable exact Euclidean distance transform (Felzenszwalb & Huttenlocher, "Distance Transforms of Sampled
/// Functions", Theory of Computing 8, 2012), stopped one axis early: along z only the radius matters, so that a voxel
/// reaches a whole number of planes up and down.
pub(crate) fn within(
    geometry: Geometry,
    bounds: BoundingBox,
    row: impl Fn(usize, usize, &mut Vec<(u32, u32)>) + Sync,
    ball: &Ball,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    let [nz, ny, nx] = bounds.shape();
    let n_plane = ny * nx;
    // One more than the number of planes that a voxel's reach has left; 0 is out of reach.
    let mut reach: Vec<u16> =
        memory::zeroed(nz * n_plane, "the box of a distance").map_err(MaskError::from)?;
    reach.par_chunks_mut(n_plane).enumerate().try_for_each_init(
        || PlaneScratch::new(ny, nx),
        |scratch, (z, plane)| -> Result<(), Cancelled> {
            cancel.check()?;
            scratch.fill(bounds, z, &row, ball);
            scratch.spread(ball, plane);
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

/// # Errors
/// [`RunsError::Limit`] if the box has too many voxels, or an axis of more than 65 534.
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
pub(crate) struct Ball {
    spacing: [f64; 3],
    /// Offsets along y and x that can lie inside: `0..ny`, `0..nx`.
    pub(crate) ny: usize,
    pub(crate) nx: usize,
    /// `[dy, dx]`: one more than the largest dz inside, 0 if there is none.
    pub(crate) reach: Vec<u16>,
}

impl Ball {
    /// For offsets within a box of voxels, whose size is compared with the limits.
    ///
    /// # Errors
    /// [`RunsError::Limit`]
    pub(crate) fn within(
        geometry: &Geometry,
        bounds: BoundingBox,
        radius_mm: f64,
        limits: &Limits,
    ) -> Result<Ball, RunsError> {
        check_size(bounds, limits)?;
        Ok(Ball::new(geometry.steps_mm(), radius_mm, bounds.shape()))
    }

    /// For offsets within a box of `shape`, whose axes fit 16 bits.
    ///
    /// Whether an offset lies inside is computed as scipy does, `sqrt((dz·sz)² + (dy·sy)² + (dx·sx)²) <= radius`, but for
    /// the rounding of headers.
    fn new(spacing: [f64; 3], radius_mm: f64, [nz, ny, nx]: [usize; 3]) -> Ball {
        let inside = |dz: usize, dy: usize, dx: usize| {
            let square = |steps: usize, mm: f64| (steps as f64 * mm) * (steps as f64 * mm);
            let sum = square(dz, spacing[0]) + square(dy, spacing[1]) + square(dx, spacing[2]);
            length::at_most(sum.sqrt(), radius_mm)
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
    /// Rows that have runs; `along_x` of others is left over from another plane.
    rows: Vec<usize>,
    has_row: Vec<bool>,
    runs: Vec<(u32, u32)>,
    envelope: Vec<Parabola>,
}

impl PlaneScratch {
    fn new(ny: usize, nx: usize) -> PlaneScratch {
        PlaneScratch {
            ny,
            nx,
            along_x: vec![FAR; ny * nx],
            rows: Vec::new(),
            has_row: vec![false; ny],
            runs: Vec::new(),
            envelope: Vec::new(),
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
            self.has_row[y] = !self.runs.is_empty();
            if self.has_row[y] {
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
        for x in 0..self.nx {
            self.envelope.clear();
            self.raise_envelope(ball, x, plane);
            if self.envelope.is_empty() {
                continue;
            }
            let mut on = 0;
            for y in 0..self.ny {
                let at = y * self.nx + x;
                if self.along_x[at] == 0 && self.has_row[y] {
                    continue; // in the set itself
                }
                while self.envelope.get(on + 1).is_some_and(|next| next.from < y as f64) {
                    on += 1;
                }
                let nearest = self.envelope[on].y;
                let dy = nearest.abs_diff(y);
                if dy < ball.ny {
                    let dx = usize::from(self.along_x[nearest * self.nx + x]);
                    plane[at] = ball.reach[dy * ball.nx + dx];
                }
            }
        }
    }

    /// The parabolas of one column, and the reach of the voxels that are in the set itself.
    fn raise_envelope(&mut self, ball: &Ball, x: usize, plane: &mut [u16]) {
        let [_, sy, sx] = ball.spacing;
        let ratio = sx / sy; // distances in voxels along y
        for (idx, &y) in self.rows.iter().enumerate() {
            let at = y * self.nx + x;
            let dx = self.along_x[at];
            if dx == FAR {
                continue;
            }
            if dx == 0 {
                plane[at] = ball.reach[0];
                // Between two voxels of the set, one is the nearest of itself alone.
                let in_set =
                    |row: Option<&usize>, y: usize| row == Some(&y) && self.along_x[y * self.nx + x] == 0;
                let before = idx.checked_sub(1).and_then(|idx| self.rows.get(idx));
                if y > 0 && in_set(before, y - 1) && in_set(self.rows.get(idx + 1), y + 1) {
                    continue;
                }
            }
            let across = f64::from(dx) * ratio;
            let mut next = Parabola {
                y,
                height: across * across,
                from: f64::NEG_INFINITY,
            };
            while let Some(last) = self.envelope.last() {
                let (p, q) = (last.y as f64, y as f64);
                next.from = (next.height - last.height + q * q - p * p) / (2.0 * (q - p));
                if next.from > last.from {
                    break;
                }
                self.envelope.pop();
                next.from = f64::NEG_INFINITY;
            }
            self.envelope.push(next);
        }
    }
}

/// One row's part in the lower envelope of a column; distances in voxels along y.
struct Parabola {
    y: usize,
    /// Square of the distance along x.
    height: f64,
    /// It is the lowest from here on, up to the next one's.
    from: f64,
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
