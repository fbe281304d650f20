//! Steps 1 to 5: what changes the shape of a label.

use std::borrow::Cow;
use std::collections::BTreeMap;

use nephrite_kernel::{Context, OperationError, RunMask};
use nephrite_runs::{Holes, RunsError, close, combine, grow, holes, open, select, shrink};

use crate::operation_error;
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
        let after = apply_step(&mask, &rules.labels, step, context).map_err(operation_error)?;
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

/// Every label from what was there before the step, so that the order of labels decides no more than who gets
/// background that several claim: the first.
fn apply_step(
    mask: &RunMask,
    labels: &[u16],
    step: Step,
    context: &Context<'_>,
) -> Result<RunMask, RunsError> {
    let (limits, cancel) = (context.limits, context.cancel);
    let present = mask.summaries();
    let mut after = Cow::Borrowed(mask);
    for &label in labels.iter().filter(|label| present.contains_key(label)) {
        cancel.check()?;
        let set = select(mask, |other| other == label);
        after = Cow::Owned(match step {
            Step::Open(mm) => keep_only(&after, label, &open(&set, mm, limits, cancel)?, context)?,
            Step::Erode(mm) => keep_only(&after, label, &shrink(&set, mm, limits, cancel)?, context)?,
            Step::Close(mm) => add(&after, label, &close(&set, mm, limits, cancel)?, context)?,
            Step::Dilate(mm) => add(&after, label, &grow(&set, mm, limits, cancel)?, context)?,
            Step::Fill(mode) => add(&after, label, &holes(&set, mode, limits, cancel)?, context)?,
        });
    }
    Ok(after.into_owned())
}

/// Voxels of the label that are not in `kept` become background.
fn keep_only(
    mask: &RunMask,
    label: u16,
    kept: &RunMask,
    context: &Context<'_>,
) -> Result<RunMask, RunsError> {
    combine(mask, kept, context.limits, |found, kept| {
        if found == label && kept == 0 { 0 } else { found }
    })
}

/// Background in `added` gets the label.
fn add(mask: &RunMask, label: u16, added: &RunMask, context: &Context<'_>) -> Result<RunMask, RunsError> {
    combine(mask, added, context.limits, |found, added| {
        if found == 0 && added != 0 { label } else { found }
    })
}
