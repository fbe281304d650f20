//! What callers check so that operations need not: inputs before, the outcome after.

use std::collections::{BTreeMap, BTreeSet};

use nephrite_types::Geometry;

use crate::{
    Context, ExpectedLabels, InputGeometry, InputLabels, Inputs, MaskOperation, OperationDescription,
    OperationError, Outcome, OutputGeometry, ParameterValue, Parameters, expected_labels, quoted,
};

/// Corners of two grids may lie this far apart, in voxels, and still be the same grid: headers store 32-bit numbers.
const SAME_GRID_VOXELS: f64 = 1e-3;

/// Checks everything that the description says, runs, and checks what came out. Every placement goes through here; a
/// failed run leaves no files.
///
/// # Errors
/// [`OperationError`]
pub fn run_checked(
    operation: &dyn MaskOperation,
    inputs: &Inputs,
    given: &BTreeMap<String, ParameterValue>,
    context: &Context<'_>,
) -> Result<Outcome, OperationError> {
    let description = operation.description();
    let parameters = Parameters::check(&description.parameters, given)?;
    check_inputs(description, inputs)?;
    check_artefacts(description, context.artefacts.is_some())?;
    operation.check(&parameters, context.artefacts.is_some())?;
    let labels = expected_labels(description, &parameters, &InputLabels::of(inputs))?;
    context.cancel.check()?;
    let outcome = operation.run(inputs, &parameters, context);
    let checked = outcome.and_then(|outcome| {
        check_outcome(description, inputs, &outcome)?;
        check_output_labels(description, &labels, &outcome)?;
        Ok(outcome)
    });
    if checked.is_err()
        && let Some(artefacts) = context.artefacts
    {
        artefacts.discard();
    }
    checked
}

/// Whether files may be asked for.
///
/// # Errors
/// [`OperationError::Artefacts`]
pub fn check_artefacts(description: &OperationDescription, wanted: bool) -> Result<(), OperationError> {
    if wanted && !description.artefacts {
        return Err(OperationError::Artefacts {
            reason: "this operation writes no files",
        });
    }
    Ok(())
}

/// # Errors
/// [`OperationError::UnknownInput`], [`OperationError::MissingInput`], [`OperationError::RepeatedInput`],
/// [`OperationError::Geometry`].
pub fn check_inputs(description: &OperationDescription, inputs: &Inputs) -> Result<(), OperationError> {
    let known = |name: &str| description.inputs.iter().any(|spec| spec.name == name);
    if let Some((name, _)) = inputs.iter().find(|(name, _)| !known(name)) {
        return Err(OperationError::UnknownInput {
            name: name.chars().take(64).collect(),
            known: description.inputs.iter().map(|spec| spec.name.clone()).collect(),
        });
    }
    let mut first: Option<(&str, &Geometry)> = None;
    for spec in &description.inputs {
        let masks = inputs.all(&spec.name);
        if masks.is_empty() && spec.required {
            return Err(OperationError::MissingInput {
                name: spec.name.clone(),
            });
        }
        if masks.len() > 1 && !spec.repeated {
            return Err(OperationError::RepeatedInput {
                name: spec.name.clone(),
                found: masks.len(),
            });
        }
        for mask in masks {
            let geometry = mask.runs().geometry();
            let (reference, expected) = *first.get_or_insert((&spec.name, geometry));
            if spec.geometry == InputGeometry::SameAsFirst
                && let Some(difference) = grid_difference(expected, geometry)
            {
                return Err(OperationError::Geometry {
                    name: spec.name.clone(),
                    reference: reference.to_owned(),
                    difference,
                });
            }
        }
    }
    Ok(())
}

/// # Errors
/// [`OperationError::Contract`]
pub fn check_outcome(
    description: &OperationDescription,
    inputs: &Inputs,
    outcome: &Outcome,
) -> Result<(), OperationError> {
    let broken = |what: String| {
        Err(OperationError::Contract {
            operation: description.name.clone(),
            what,
        })
    };
    let names: Vec<&str> = outcome.masks.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<&str> = description
        .outputs
        .iter()
        .map(|spec| spec.name.as_str())
        .collect();
    if names != expected {
        return broken(format!("it gave the masks {names:?}, expected {expected:?}"));
    }
    for (spec, (name, mask)) in description.outputs.iter().zip(&outcome.masks) {
        if let OutputGeometry::SameAs(input) = &spec.geometry
            && let Some(reference) = inputs.optional(input)
            && let Some(difference) = grid_difference(reference.runs().geometry(), mask.runs().geometry())
        {
            return broken(format!(
                "mask {name} lies on another grid than {input}: {difference}"
            ));
        }
    }
    if let Some(measurement) = outcome.measurements.iter().find(|m| !m.value.is_finite()) {
        return broken(format!(
            "measurement {} is {}",
            measurement.name, measurement.value
        ));
    }
    Ok(())
}

/// Whether masks name the labels that they must; `expected` is what [`expected_labels`](crate::expected_labels) said of
/// their inputs.
///
/// # Errors
/// [`OperationError::Contract`]
pub fn check_output_labels(
    description: &OperationDescription,
    expected: &[ExpectedLabels],
    outcome: &Outcome,
) -> Result<(), OperationError> {
    for ((name, mask), expected) in outcome.masks.iter().zip(expected) {
        let Some(expected) = expected else { continue };
        let expected: BTreeSet<&str> = expected.iter().map(|label| label.name.as_str()).collect();
        let entries = mask.labels().entries().iter();
        let found: BTreeSet<&str> = entries.map(|entry| entry.name.as_str()).collect();
        if let Some(label) = expected.symmetric_difference(&found).next() {
            let (verb, label) = (
                if found.contains(label) {
                    "names"
                } else {
                    "does not name"
                },
                quoted(label),
            );
            return Err(OperationError::Contract {
                operation: description.name.clone(),
                what: format!("mask {name} {verb} label {label}, against its description"),
            });
        }
    }
    Ok(())
}

/// What differs between two grids; `None` if their voxels lie in the same places.
pub fn grid_difference(expected: &Geometry, found: &Geometry) -> Option<String> {
    if expected.shape != found.shape {
        return Some(format!("{} voxels, expected {}", found.shape, expected.shape));
    }
    let step = expected
        .affine
        .column_norms_xyz()
        .into_iter()
        .fold(f64::INFINITY, f64::min);
    let [x, y, z] = expected.shape.xyz().map(|n| (n - 1) as f64);
    for corner in 0..8 {
        let index = [
            if corner & 1 == 0 { 0.0 } else { x },
            if corner & 2 == 0 { 0.0 } else { y },
            if corner & 4 == 0 { 0.0 } else { z },
        ];
        let (a, b) = (
            expected.affine.world_from_voxel(index),
            found.affine.world_from_voxel(index),
        );
        let distance = (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt();
        if distance.is_nan() || distance > SAME_GRID_VOXELS * step {
            return Some(format!(
                "voxel {index:?} (x, y, z) lies {distance:.4} mm from where it should"
            ));
        }
    }
    None
}
