//! Masks as sets of voxels: what is background in neither, both or one of two.

use nephrite_mask_codec::{MaskError, Run, RunMask, RunMaskBuilder};
use nephrite_types::Limits;

use crate::RunsError;

/// Only the labels for which `keep` is true.
pub fn select(mask: &RunMask, keep: impl Fn(u16) -> bool) -> RunMask {
    mask.relabel(|_, run| if keep(run.label) { run.label } else { 0 })
}

/// All labels as one: every voxel that has a label gets `label`.
pub fn flatten(mask: &RunMask, label: u16) -> RunMask {
    mask.relabel(|_, _| label)
}

/// Voxels with a label in `a` or in `b`. Where `a` has a label, that one; elsewhere that of `b`.
///
/// # Errors
/// [`RunsError::Mask`] if the shapes differ, or the result has too many runs.
pub fn union(a: &RunMask, b: &RunMask, limits: &Limits) -> Result<RunMask, RunsError> {
    combine(a, b, limits, |a, b| if a != 0 { a } else { b })
}

/// Voxels of `a` that have a label in `b`, too; with the labels of `a`.
///
/// # Errors
/// As [`union`].
pub fn intersect(a: &RunMask, b: &RunMask, limits: &Limits) -> Result<RunMask, RunsError> {
    combine(a, b, limits, |a, b| if b != 0 { a } else { 0 })
}

/// Voxels of `a` that have no label in `b`; with the labels of `a`.
///
/// # Errors
/// As [`union`].
pub fn subtract(a: &RunMask, b: &RunMask, limits: &Limits) -> Result<RunMask, RunsError> {
    combine(a, b, limits, |a, b| if b != 0 { 0 } else { a })
}

/// The mask that has at each voxel the label `label_of(label in a, label in b)`; 0 is background. Not called where both
/// are background.
///
/// The result lies on the grid of `a`.
///
/// # Errors
/// As [`union`].
pub fn combine(
    a: &RunMask,
    b: &RunMask,
    limits: &Limits,
    mut label_of: impl FnMut(u16, u16) -> u16,
) -> Result<RunMask, RunsError> {
    if a.shape() != b.shape() {
        return Err(RunsError::Mask(MaskError::Shape {
            expected: a.shape(),
            found: b.shape(),
        }));
    }
    let mut rows = RunMaskBuilder::new(*a.geometry(), limits)?;
    let mut buffer: Vec<Run> = Vec::new();
    for (a, b) in a.rows().zip(b.rows()) {
        if b.is_empty() {
            rows.push_row(a.iter().map(|run| with_label(run, label_of(run.label, 0))))?;
        } else if a.is_empty() {
            rows.push_row(b.iter().map(|run| with_label(run, label_of(0, run.label))))?;
        } else {
            buffer.clear();
            combine_rows(a, b, &mut label_of, &mut buffer);
            rows.push_row(buffer.iter().copied())?;
        }
    }
    Ok(rows.finish()?)
}

fn with_label(run: &Run, label: u16) -> Run {
    Run { label, ..*run }
}

fn combine_rows(a: &[Run], b: &[Run], label_of: &mut impl FnMut(u16, u16) -> u16, out: &mut Vec<Run>) {
    let (mut i, mut j) = (0, 0);
    let mut at = 0;
    // From `at` on, nothing is decided; `i` and `j` are the first runs that end behind it.
    loop {
        let (p, q) = (a.get(i), b.get(j));
        let (label_a, change_a) = label_from(p, at);
        let (label_b, change_b) = label_from(q, at);
        let end = change_a.min(change_b);
        if end == u32::MAX && p.is_none() && q.is_none() {
            return;
        }
        if (label_a, label_b) != (0, 0) {
            out.push(Run {
                start: at,
                end,
                label: label_of(label_a, label_b),
            });
        }
        at = end;
        i += usize::from(p.is_some_and(|run| run.end == at));
        j += usize::from(q.is_some_and(|run| run.end == at));
    }
}

/// The label at `at` of a row whose next run is `run`, and where it changes.
#[inline]
fn label_from(run: Option<&Run>, at: u32) -> (u16, u32) {
    match run {
        Some(run) if run.start <= at => (run.label, run.end),
        Some(run) => (0, run.start),
        None => (0, u32::MAX),
    }
}
