//! Steps 1 to 5: what changes the shape of a label.

use std::borrow::Cow;
use std::collections::BTreeMap;

use nephrite_kernel::{Context, OperationError, RunMask, length};
use nephrite_runs::{Holes, close, grow, holes, open, select, shrink};

use crate::label_sets::{LabelSets, fill_background};
use crate::rules::Rules;

/// One step on one label's voxels.
#[derive(Debug, Clone, Copy)]
enum Step {
    Open(f64),
    Close(f64),
    Erode(f64),
    Dilate(f64),
    Fill(Holes),
}

/// The mask after steps 1 to 5, and the voxels that step 5 added, by label.
pub(crate) fn apply<'a>(
    mask: &'a RunMask,
    rules: &Rules,
    context: &Context<'_>,
) -> Result<(Cow<'a, RunMask>, BTreeMap<u16, u64>), OperationError> {
    let steps = [
        rules.open_mm.map(Step::Open),
        rules.close_mm.map(Step::Close),
        rules.erode_mm.map(Step::Erode),
        rules.dilate_mm.map(Step::Dilate),
        rules.fill_holes.map(Step::Fill),
    ];
    let mut mask = Cow::Borrowed(mask);
    let mut filled = BTreeMap::new();
    for step in steps.into_iter().flatten() {
        let after = apply_step(&mask, &rules.labels, step, context)?;
        if matches!(step, Step::Fill(_)) {
            let (before, after) = (mask.summaries(), after.summaries());
            filled = before
                .iter()
                .filter_map(|(label, before)| Some((*label, after.get(label)?.voxels - before.voxels)))
                .collect();
        }
        mask = Cow::Owned(after);
    }
    Ok((mask, filled))
}

/// Claims that are kept before they are written into the mask, 20 bytes each: as many as writing them takes time for.
fn max_claims(mask: &RunMask) -> usize {
    (mask.n_rows() + mask.runs().len()).max(1 << 12)
}

/// Every label from what was there before the step, so that the order of labels decides no more than who gets
/// background that several claim: the first.
fn apply_step(
    mask: &RunMask,
    labels: &[u16],
    step: Step,
    context: &Context<'_>,
) -> Result<RunMask, OperationError> {
    let (limits, cancel) = (context.limits, context.cancel);
    let sets = LabelSets::of(mask);
    let ny = mask.shape()[1];
    // What shrinks is taken out, and what is left of it claims its place again; no other label can claim that.
    let mut after = match step {
        Step::Open(_) | Step::Erode(_) => {
            let mut shrinks = vec![false; usize::from(u16::MAX) + 1];
            labels
                .iter()
                .for_each(|label| shrinks[usize::from(*label)] = true);
            Cow::Owned(select(mask, |label| !shrinks[usize::from(label)]))
        }
        Step::Close(_) | Step::Dilate(_) | Step::Fill(_) => Cow::Borrowed(mask),
    };
    let margin = margin(step, mask);
    let mut claims = Vec::new();
    for (rank, &label) in (0..).zip(labels) {
        cancel.check()?;
        let Some(part) = sets.part(label, margin, limits)? else {
            continue;
        };
        let shaped = match step {
            Step::Open(mm) => open(&part.set, mm, limits, cancel),
            Step::Close(mm) => close(&part.set, mm, limits, cancel),
            Step::Erode(mm) => shrink(&part.set, mm, limits, cancel),
            Step::Dilate(mm) => grow(&part.set, mm, limits, cancel),
            Step::Fill(mode) => holes(&part.set, mode, limits, cancel),
        };
        part.claim(
            &shaped.map_err(OperationError::other)?,
            ny,
            rank,
            label,
            &mut claims,
        );
        if claims.len() > max_claims(&after) {
            // Who claims later gets what is left.
            after = Cow::Owned(fill_background(&after, &mut claims, limits)?);
        }
    }
    Ok(fill_background(&after, &mut claims, limits)?)
}

/// Voxels (z, y, x) around a label's box that decide what becomes of it: how far it grows, and one more that tells
/// background from the end of the volume.
fn margin(step: Step, mask: &RunMask) -> [usize; 3] {
    let (steps, shape) = (mask.geometry().steps_mm(), mask.shape());
    match step {
        Step::Open(_) | Step::Erode(_) => [1; 3],
        Step::Fill(_) => [0; 3],
        Step::Close(mm) | Step::Dilate(mm) => std::array::from_fn(|axis| {
            let reach = length::steps_within(mm, steps[axis]) + 1.0;
            if reach < shape[axis] as f64 {
                reach as usize
            } else {
                shape[axis]
            }
        }),
    }
}
