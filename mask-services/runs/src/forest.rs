//! Union–find over runs.

use nephrite_mask_codec::{Run, RunMask};
use nephrite_types::{CancelToken, Cancelled};
use rayon::prelude::*;

use crate::Connectivity;

/// Runs on a grid of `nz · ny` rows; the runs of a row are sorted and do not overlap.
#[derive(Clone, Copy)]
pub(crate) struct Grid<'a> {
    pub(crate) nz: usize,
    pub(crate) ny: usize,
    /// Row `z·ny + y` has the runs `row_starts[row]..row_starts[row + 1]`.
    pub(crate) row_starts: &'a [u32],
    pub(crate) runs: &'a [Run],
    /// False if no voxel is a neighbour of one in another plane.
    pub(crate) planes_touch: bool,
}

/// Runs that one thread should have at least; below, starting it costs more than it saves.
const MIN_RUNS_PER_SLAB: usize = 8 << 10;

/// For every run the first run of its component: runs of one label whose voxels are neighbours are in one component.
///
/// Slabs of planes are joined at the same time, then at their seams. The first run of a component is what it is for any
/// number of threads.
///
/// Source: union–find with path halving; rows swept with two pointers, as He, Chao & Suzuki, "A run-based two-scan
/// labeling algorithm", IEEE Trans. Image Process. 17 (2008).
pub(crate) fn first_runs(
    grid: Grid<'_>,
    connectivity: Connectivity,
    cancel: &CancelToken,
) -> Result<Vec<u32>, Cancelled> {
    let mut parents: Vec<u32> = (0..grid.runs.len() as u32).collect(); // a RunMask has fewer than 2^32 runs
    let cuts = grid.cuts(rayon::current_num_threads());
    let mut slabs = Vec::with_capacity(cuts.len());
    let mut rest = parents.as_mut_slice();
    for ends in cuts.windows(2) {
        let (base, end) = (grid.first_run(ends[0]), grid.first_run(ends[1]));
        let (slab, behind) = rest.split_at_mut(end - base);
        rest = behind;
        slabs.push((ends[0]..ends[1], Forest { base, parents: slab }));
    }
    slabs.into_par_iter().try_for_each(|(planes, mut forest)| {
        let first = planes.start;
        for z in planes {
            cancel.check()?;
            join_within_plane(grid, z, &mut forest, connectivity);
            if z > first && grid.planes_touch {
                join_with_plane_before(grid, z, &mut forest, connectivity);
            }
        }
        Ok(())
    })?;
    let mut forest = Forest {
        base: 0,
        parents: &mut parents,
    };
    for &z in cuts
        .iter()
        .filter(|&&z| grid.planes_touch && 0 < z && z < grid.nz)
    {
        join_with_plane_before(grid, z, &mut forest, connectivity);
    }
    // Parents lie before their children: one pass leads every run to its root.
    for idx in 0..parents.len() {
        parents[idx] = parents[parents[idx] as usize];
    }
    Ok(parents)
}

impl<'a> Grid<'a> {
    pub(crate) fn of(mask: &'a RunMask) -> Grid<'a> {
        let [nz, ny, _] = mask.shape();
        Grid {
            nz,
            ny,
            row_starts: mask.row_starts(),
            runs: mask.runs(),
            planes_touch: true,
        }
    }

    /// Index of the first run of plane `z`; the number of runs for the plane past the last.
    fn first_run(&self, z: usize) -> usize {
        self.row_starts[z * self.ny] as usize
    }

    /// The planes between which the grid is cut, into at most `n` slabs with about as many runs each.
    fn cuts(&self, n: usize) -> Vec<usize> {
        let n = n.min(self.runs.len() / MIN_RUNS_PER_SLAB).max(1);
        let planes: Vec<usize> = (0..=self.nz).map(|z| self.first_run(z)).collect();
        let mut cuts = vec![0];
        for slab in 1..n {
            let z = planes.partition_point(|first| *first < self.runs.len() * slab / n);
            if cuts.last().is_some_and(|last| *last < z) && z < self.nz {
                cuts.push(z);
            }
        }
        cuts.push(self.nz);
        cuts
    }

    #[inline]
    fn row(&self, row: usize) -> Row<'a> {
        let first = self.row_starts[row];
        Row {
            first,
            runs: &self.runs[first as usize..self.row_starts[row + 1] as usize],
        }
    }
}

/// The runs of one row, and the index of the first.
#[derive(Clone, Copy)]
struct Row<'a> {
    first: u32,
    runs: &'a [Run],
}

/// Trees of the runs `base..base + parents.len()`; a parent never lies behind its child, a root is its own parent.
struct Forest<'a> {
    base: usize,
    parents: &'a mut [u32],
}

impl Forest<'_> {
    #[inline]
    fn parent(&mut self, idx: u32) -> &mut u32 {
        &mut self.parents[idx as usize - self.base]
    }

    #[inline]
    fn root(&mut self, mut idx: u32) -> u32 {
        loop {
            let parent = *self.parent(idx);
            if parent == idx {
                return idx;
            }
            let grandparent = *self.parent(parent);
            *self.parent(idx) = grandparent; // path halving
            idx = grandparent;
        }
    }

    #[inline]
    fn join(&mut self, a: u32, b: u32) {
        if *self.parent(a) == *self.parent(b) {
            return;
        }
        let (a, b) = (self.root(a), self.root(b));
        *self.parent(a.max(b)) = a.min(b);
    }
}

/// Joins the runs of the rows of plane `z` with each other.
fn join_within_plane(grid: Grid<'_>, z: usize, forest: &mut Forest<'_>, connectivity: Connectivity) {
    for row in z * grid.ny + 1..(z + 1) * grid.ny {
        let (here, before) = (grid.row(row), grid.row(row - 1));
        if connectivity == Connectivity::Faces6 {
            join_rows::<false>(here, before, forest);
        } else {
            join_rows::<true>(here, before, forest);
        }
    }
}

/// Joins the runs of plane `z`, which is not the first, with those of the plane before.
fn join_with_plane_before(grid: Grid<'_>, z: usize, forest: &mut Forest<'_>, connectivity: Connectivity) {
    for y in 0..grid.ny {
        let here = grid.row(z * grid.ny + y);
        if here.runs.is_empty() {
            continue;
        }
        let facing = (z - 1) * grid.ny + y;
        if connectivity == Connectivity::Faces6 {
            join_rows::<false>(here, grid.row(facing), forest);
            continue;
        }
        join_rows::<true>(here, grid.row(facing), forest);
        let beside = [(y > 0).then(|| facing - 1), (y + 1 < grid.ny).then(|| facing + 1)];
        for row in beside.into_iter().flatten() {
            if connectivity == Connectivity::Corners26 {
                join_rows::<true>(here, grid.row(row), forest);
            } else {
                join_rows::<false>(here, grid.row(row), forest);
            }
        }
    }
}

/// Joins runs of one label whose x ranges overlap or, if `DIAGONAL` is set, touch.
#[inline]
fn join_rows<const DIAGONAL: bool>(a: Row<'_>, b: Row<'_>, forest: &mut Forest<'_>) {
    let (mut i, mut j) = (0, 0);
    while let (Some(p), Some(q)) = (a.runs.get(i), b.runs.get(j)) {
        let near = if DIAGONAL {
            p.start <= q.end && q.start <= p.end
        } else {
            p.start < q.end && q.start < p.end
        };
        if near && p.label == q.label {
            forest.join(a.first + i as u32, b.first + j as u32);
        }
        // Runs that end together can each touch the other's successor; moving one pointer alone would miss one of these.
        if DIAGONAL && p.end == q.end {
            if let Some(next) = a.runs.get(i + 1)
                && next.start == q.end
                && next.label == q.label
            {
                forest.join(a.first + i as u32 + 1, b.first + j as u32);
            }
            if let Some(next) = b.runs.get(j + 1)
                && next.start == p.end
                && next.label == p.label
            {
                forest.join(a.first + i as u32, b.first + j as u32 + 1);
            }
        }
        let (step_a, step_b) = (p.end <= q.end, q.end <= p.end);
        i += usize::from(step_a);
        j += usize::from(step_b);
    }
}
