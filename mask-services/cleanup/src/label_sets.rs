//! One label at a time, each on its own box: what thousands of labels cost is what their boxes cost, not the whole mask for
//! each of them.

use std::collections::BinaryHeap;

use nephrite_kernel::{BoundingBox, Limits, MaskError, OperationError, Run, RunMask, RunMaskBuilder};

/// The runs of every label of a mask.
pub(crate) struct LabelSets<'a> {
    mask: &'a RunMask,
    /// By id.
    labels: Vec<LabelRuns>,
}

#[derive(Default)]
struct LabelRuns {
    /// Row `z·ny + y`, and the run; in the mask's order.
    runs: Vec<(u32, Run)>,
    bounds: Option<BoundingBox>,
}

/// A set of voxels on a part of a mask's grid; all with label 1.
pub(crate) struct Part {
    pub(crate) set: RunMask,
    /// Of the part within the mask, `[z, y, x]`.
    start: [usize; 3],
}

/// Voxels that a label claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// `z·ny + y`.
    row: u32,
    start: u32,
    end: u32,
    /// Of several that claim a voxel the lowest wins.
    pub(crate) rank: u32,
    pub(crate) label: u16,
}

impl<'a> LabelSets<'a> {
    /// One pass over the runs.
    pub(crate) fn of(mask: &'a RunMask) -> LabelSets<'a> {
        let ny = mask.shape()[1];
        let mut labels: Vec<LabelRuns> = Vec::new();
        for (row, runs) in mask.rows().enumerate() {
            for run in runs {
                let id = usize::from(run.label);
                if id >= labels.len() {
                    labels.resize_with(id + 1, LabelRuns::default);
                }
                let of_label = &mut labels[id];
                of_label.runs.push((row as u32, *run)); // as many rows as u32 counts
                let [z, y] = [row / ny, row % ny];
                let here = BoundingBox {
                    start: [z, y, run.start as usize],
                    end: [z + 1, y + 1, run.end as usize],
                };
                of_label.bounds = Some(of_label.bounds.map_or(here, |all| all.union(&here)));
            }
        }
        LabelSets { mask, labels }
    }

    /// The voxels of a label on their box with `margin` voxels (z, y, x) around it, cut to the mask; `None` if there are
    /// none.
    pub(crate) fn part(
        &self,
        label: u16,
        margin: [usize; 3],
        limits: &Limits,
    ) -> Result<Option<Part>, OperationError> {
        let Some(LabelRuns {
            runs,
            bounds: Some(bounds),
        }) = self.labels.get(usize::from(label))
        else {
            return Ok(None);
        };
        let shape = self.mask.shape();
        let start: [usize; 3] = std::array::from_fn(|axis| bounds.start[axis].saturating_sub(margin[axis]));
        let around = BoundingBox {
            start,
            end: std::array::from_fn(|axis| shape[axis].min(bounds.end[axis].saturating_add(margin[axis]))),
        };
        let geometry = self
            .mask
            .geometry()
            .crop(&around)
            .map_err(|error| OperationError::Internal {
                what: format!("the box of a label: {error}"),
            })?;
        let mut out = RunMaskBuilder::new(geometry, limits)?;
        let ny = around.shape()[1];
        for of_row in runs.chunk_by(|a, b| a.0 == b.0) {
            let row = of_row[0].0 as usize;
            let (z, y) = (row / shape[1] - start[0], row % shape[1] - start[1]);
            out.skip_to_row(z * ny + y)?;
            out.push_row(of_row.iter().map(|(_, run)| Run {
                start: run.start - start[2] as u32, // x indices of runs are u32
                end: run.end - start[2] as u32,
                label: 1,
            }))?;
        }
        out.skip_to_row(around.shape()[0] * ny)?;
        Ok(Some(Part {
            set: out.finish()?,
            start,
        }))
    }
}

impl Part {
    /// Another set on the same part becomes claims on the grid of the mask, whose planes have `ny` rows.
    pub(crate) fn claim(&self, set: &RunMask, ny: usize, rank: u32, label: u16, claims: &mut Vec<Claim>) {
        let [z0, y0, x0] = self.start;
        let part_ny = set.shape()[1];
        for (row, runs) in set.rows().enumerate().filter(|(_, runs)| !runs.is_empty()) {
            let row = ((row / part_ny + z0) * ny + row % part_ny + y0) as u32; // a row of the mask
            claims.extend(runs.iter().map(|run| Claim {
                row,
                start: run.start + x0 as u32,
                end: run.end + x0 as u32,
                rank,
                label,
            }));
        }
    }
}

/// The mask with its background given to those who claim it; voxels with a label keep it.
///
/// *Cost*: sorting the claims.
pub(crate) fn fill_background(
    mask: &RunMask,
    claims: &mut Vec<Claim>,
    limits: &Limits,
) -> Result<RunMask, MaskError> {
    claims.sort_unstable();
    let mut out = RunMaskBuilder::new(*mask.geometry(), limits)?;
    let mut rest = claims.as_slice();
    let mut row_of_claims: Vec<Run> = Vec::new();
    let mut filled: Vec<Run> = Vec::new();
    for (row, runs) in mask.rows().enumerate() {
        let n = rest.partition_point(|claim| claim.row as usize <= row);
        let (here, after) = rest.split_at(n);
        rest = after;
        if here.is_empty() {
            out.push_row(runs.iter().copied())?;
            continue;
        }
        winners(here, &mut row_of_claims);
        behind(runs, &row_of_claims, &mut filled);
        out.push_row(filled.iter().copied())?;
    }
    claims.clear();
    out.finish()
}

/// The claims of one row, sorted by their start, as runs that do not overlap.
fn winners(claims: &[Claim], out: &mut Vec<Run>) {
    out.clear();
    // The lowest rank on top; what has ended stays until it comes up.
    let mut active: BinaryHeap<std::cmp::Reverse<(u32, u32, u16)>> = BinaryHeap::new();
    let mut next = 0;
    let mut at = 0;
    loop {
        while active.peek().is_some_and(|top| top.0.1 <= at) {
            active.pop();
        }
        if active.is_empty() {
            match claims.get(next) {
                Some(claim) => at = at.max(claim.start),
                None => return,
            }
        }
        while let Some(claim) = claims.get(next).filter(|claim| claim.start <= at) {
            active.push(std::cmp::Reverse((claim.rank, claim.end, claim.label)));
            next += 1;
        }
        if let Some(&std::cmp::Reverse((_, end, label))) = active.peek()
            && end > at
        {
            // Whoever comes next may win from there on.
            let end = claims.get(next).map_or(end, |claim| end.min(claim.start));
            out.push(Run {
                start: at,
                end,
                label,
            });
            at = end;
        }
    }
}

/// The runs, and what of `others` lies between them.
fn behind(runs: &[Run], others: &[Run], out: &mut Vec<Run>) {
    out.clear();
    let mut others = others.iter().copied().peekable();
    let mut fill = |from: u32, to: u32, out: &mut Vec<Run>| {
        while let Some(other) = others.peek().copied().filter(|other| other.start < to) {
            let (start, end) = (other.start.max(from), other.end.min(to));
            if start < end {
                out.push(Run { start, end, ..other });
            }
            if other.end > to {
                break; // goes on behind the next run
            }
            others.next();
        }
    };
    let mut at = 0;
    for run in runs {
        fill(at, run.start, out);
        out.push(*run);
        at = run.end;
    }
    fill(at, u32::MAX, out);
}
