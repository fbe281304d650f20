//! Steps on layers: each label's voxels as a set of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use nephrite_kernel::{Context, LabelStep, OperationError, RunMask, StepOperator};
use nephrite_runs::{flatten, grow, intersect, subtract, union};

use crate::overlay::Layer;

/// Carries out steps; the layers' meanings are numbers of names plus 1. What a step sets becomes a layer of its own.
///
/// Each entry of `steps` has the numbers of its target, left and right name.
pub(crate) fn apply(
    layers: &mut Vec<Layer<'_>>,
    steps: &[(LabelStep, [usize; 3])],
    empty: &RunMask,
    context: &Context<'_>,
) -> Result<(), OperationError> {
    let mut derived: BTreeMap<usize, RunMask> = BTreeMap::new();
    for (step, [target, left, right]) in steps {
        context.cancel.check()?;
        let set = |number: &usize| match derived.get(number) {
            Some(set) => Ok(Cow::Borrowed(set)),
            None => gather(layers, *number, empty, context).map(Cow::Owned),
        };
        let left = set(left)?;
        let mut right = set(right)?;
        if step.grown_mm > 0.0 {
            let grown = grow(&right, step.grown_mm, context.limits, context.cancel);
            right = Cow::Owned(grown.map_err(OperationError::other)?);
        }
        let operator = match step.operator {
            StepOperator::Union => union,
            StepOperator::Intersect => intersect,
            StepOperator::Subtract => subtract,
        };
        let result = operator(&left, &right, context.limits).map_err(OperationError::other)?;
        derived.insert(*target, result);
    }
    for (number, runs) in derived {
        let meaning = number as u16 + 1; // the caller saw that numbers fit
        for layer in layers.iter_mut() {
            for known in layer.meaning.iter_mut().filter(|known| **known == meaning) {
                *known = 0;
            }
        }
        layers.push(Layer {
            runs: Cow::Owned(runs),
            meaning: vec![0, meaning],
        });
    }
    Ok(())
}

/// All voxels of one label, as label 1.
fn gather(
    layers: &[Layer<'_>],
    number: usize,
    empty: &RunMask,
    context: &Context<'_>,
) -> Result<RunMask, OperationError> {
    let meaning = number as u16 + 1;
    let mut set: Option<RunMask> = None;
    for layer in layers.iter().filter(|layer| layer.meaning.contains(&meaning)) {
        let part = layer
            .runs
            .relabel(|_, run| u16::from(layer.means(run.label) == meaning));
        set = Some(match set {
            None => part,
            Some(set) => union(&set, &part, context.limits).map_err(OperationError::other)?,
        });
    }
    Ok(set.unwrap_or_else(|| flatten(empty, 1)))
}
