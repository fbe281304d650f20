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
    /// False if no voxel is a neighbor of one in another plane.
    pub(crate) planes_touch: bool,
}

/// More than one, so that no thread waits long for a slower one.
const SLABS_PER_THREAD: usize = 4;
/// Runs that one slab should have at least; below, its seam costs more than it saves.
const MIN_RUNS_PER_SLAB: usize = 8 << 10;

/// Runs of one label whose voxels are neighbors are in one component.
pub(crate) struct Numbering {
    /// Component of every run.
    pub(crate) of_run: Vec<u32>,
    /// First run of every component; ascending.
    pub(crate) first_runs: Vec<u32>,
}

/// Numbers components in the order of their first runs.
///
/// Slabs of planes are joined at the same time, then at their seams. The first run of a component is what it is for any
/// number of threads.
///
/// Source: union–find with path halving; rows swept with two pointers, as He, Chao & Suzuki, "A run-based two-scan
/// labeling algorithm", IEEE Trans. Image Process. 17 (2008).
pub(crate) fn number_components(
    grid: Grid<'_>,
    connectivity: Connectivity,
    cancel: &CancelToken,
) -> Result<Numbering, Cancelled> {
    let mut parents: Vec<u32> = (0..grid.runs.len() as u32).collect(); // a RunMask has fewer than 2^32 runs
    let cuts = grid.cuts(SLABS_PER_THREAD * rayon::current_num_threads());
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
            let before = z > first && grid.planes_touch;
            join_plane(grid, z, [true, before], &mut forest, connectivity);
        }
        Ok(())
    })?;
    let mut forest = Forest {
        base: 0,
        parents: &mut parents,
    };
    let seams = &cuts[1..cuts.len() - 1];
    for &z in seams.iter().filter(|_| grid.planes_touch) {
        join_plane(grid, z, [false, true], &mut forest, connectivity);
    }
    cancel.check()?;
    Ok(number(parents))
}

fn number(parents: Vec<u32>) -> Numbering {
    let mut of_run = parents;
    let mut first_runs = Vec::new();
    for idx in 0..of_run.len() {
        let parent = of_run[idx] as usize;
        of_run[idx] = if parent == idx {
            first_runs.push(idx as u32);
            first_runs.len() as u32 - 1
        } else {
            of_run[parent] // numbered already: it lies before
        };
    }
    Numbering { of_run, first_runs }
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
#[derive(Clone, Copy, Default)]
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

/// Joins the runs of plane `z` with each other if `within`, and with those of the plane before if `before`.
///
/// All neighbors among earlier rows must be in one tree already, and if `within` is not set, those within this plane.
fn join_plane(
    grid: Grid<'_>,
    z: usize,
    [within, before]: [bool; 2],
    forest: &mut Forest<'_>,
    connectivity: Connectivity,
) {
    for y in 0..grid.ny {
        let row = z * grid.ny + y;
        let here = grid.row(row);
        if here.runs.is_empty() {
            continue;
        }
        let side = |offset: usize, exists: bool| Neighbour {
            row: if exists {
                grid.row(row - offset)
            } else {
                Row::default()
            },
            first: 0,
        };
        let beside = side(1, within && y > 0);
        let below = [
            side(grid.ny + 1, before && y > 0),
            side(grid.ny, before),
            side(grid.ny - 1, before && y + 1 < grid.ny),
        ];
        match connectivity {
            Connectivity::Faces6 => join_row::<6>(here, beside, below, forest),
            Connectivity::Edges18 => join_row::<18>(here, beside, below, forest),
            Connectivity::Corners26 => join_row::<26>(here, beside, below, forest),
        }
    }
}

/// Joins the runs of a row with those of the row `beside` it (y − 1) and of the three rows `below` (z − 1; y − 1, y, y + 1).
///
/// Where a run of a neighboring row covers a run, the neighbors of the latter in rows next to both are neighbors of
/// the former, too, and joined already: most runs need one or two rows.
#[inline]
fn join_row<const N: u32>(
    here: Row<'_>,
    mut beside: Neighbour<'_>,
    [mut before, mut facing, mut after]: [Neighbour<'_>; 3],
    forest: &mut Forest<'_>,
) {
    for (idx, run) in (here.first..).zip(here.runs) {
        let covered = if N == 6 {
            facing.join::<false>(idx, run, forest)
        } else {
            facing.join::<true>(idx, run, forest)
        };
        if N == 26 && covered {
            continue;
        }
        if N == 6 {
            beside.join::<false>(idx, run, forest);
            continue;
        }
        let covered_beside = beside.join::<true>(idx, run, forest);
        if covered {
            continue;
        }
        if N == 18 {
            if !covered_beside {
                before.join::<false>(idx, run, forest);
            }
            after.join::<false>(idx, run, forest);
        } else {
            if !covered_beside {
                before.join::<true>(idx, run, forest);
            }
            after.join::<true>(idx, run, forest);
        }
    }
}

/// A neighboring row, swept from left to right.
struct Neighbour<'a> {
    row: Row<'a>,
    /// All runs ahead of this one end before the run that was joined last.
    first: usize,
}

impl Neighbour<'_> {
    /// Joins a run with those of this row of the same label whose x ranges overlap or, if `DIAGONAL` is set, touch.
    /// True if one of them covers it.
    #[inline]
    fn join<const DIAGONAL: bool>(&mut self, idx: u32, run: &Run, forest: &mut Forest<'_>) -> bool {
        let ends_before = |p: &Run, q: &Run| {
            if DIAGONAL {
                p.end < q.start
            } else {
                p.end <= q.start
            }
        };
        let runs = self.row.runs;
        while runs.get(self.first).is_some_and(|other| ends_before(other, run)) {
            self.first += 1;
        }
        let mut covered = false;
        for (offset, other) in runs[self.first..].iter().enumerate() {
            if ends_before(run, other) {
                break;
            }
            if other.label == run.label {
                forest.join(idx, self.row.first + (self.first + offset) as u32);
                covered |= other.start <= run.start && run.end <= other.end;
            }
        }
        covered
    }
}
