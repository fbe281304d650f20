//! Requests that the description does not allow.

use nephrite_kernel::{InputGeometry, ParameterKind, ParameterValue};
use nephrite_types::ErrorCode;

use crate::kit::Kit;
use crate::stop::Stop;
use crate::{masks, values};

/// A caller that sent what the description does not allow is told so.
const CODES: &[ErrorCode] = &[ErrorCode::InvalidArgument, ErrorCode::InvalidInput];

pub(crate) fn unknown_parameter(kit: &Kit) -> Result<(), Stop> {
    let mut call = kit.call(&masks::ordinary());
    call.parameters
        .insert("no_such_parameter".to_owned(), ParameterValue::Integer(1));
    kit.expect_refusal("an unknown parameter", kit.process(&call), CODES)
}

pub(crate) fn wrong_type(kit: &Kit) -> Result<(), Stop> {
    each_value(kit, values::of_another_type)
}

pub(crate) fn out_of_range(kit: &Kit) -> Result<(), Stop> {
    each_value(kit, values::out_of_range)
}

fn each_value(kit: &Kit, values: fn(&ParameterKind) -> Vec<ParameterValue>) -> Result<(), Stop> {
    let mask = masks::ordinary();
    let mut tried = false;
    for spec in &kit.description.parameters {
        for value in values(&spec.kind) {
            let what = format!("{} = {value}", spec.name);
            let mut call = kit.call(&mask);
            call.parameters.insert(spec.name.clone(), value);
            kit.expect_refusal(&what, kit.process(&call), CODES)?;
            tried = true;
        }
    }
    if tried {
        Ok(())
    } else {
        Err(Stop::Skipped(
            "no parameter could be wrong in this way".to_owned(),
        ))
    }
}

pub(crate) fn unknown_label(kit: &Kit) -> Result<(), Stop> {
    let mask = masks::ordinary();
    let mut tried = false;
    for spec in &kit.description.parameters {
        let Some(value) = values::of_unknown_labels(&spec.kind) else {
            continue;
        };
        let mut call = kit.call(&mask);
        call.parameters.insert(spec.name.clone(), value);
        let what = format!("{} with a label that no mask names", spec.name);
        kit.expect_refusal(&what, kit.process(&call), CODES)?;
        tried = true;
    }
    if tried {
        Ok(())
    } else {
        Err(Stop::Skipped("no parameter names labels".to_owned()))
    }
}

/// What a client shows to its user.
pub(crate) fn words(kit: &Kit) -> Result<(), Stop> {
    let mask = masks::ordinary();
    let mut call = kit.call(&mask);
    call.parameters
        .insert("no_such_parameter".to_owned(), ParameterValue::Integer(1));
    kit.expect_words("an unknown parameter", kit.process(&call))?;
    let mut call = kit.call(&mask);
    call.inputs.push(("no_such_input".to_owned(), mask.clone()));
    kit.expect_words("an unknown input", kit.process(&call))?;
    for spec in &kit.description.parameters {
        let wrong = values::of_another_type(&spec.kind).into_iter();
        let wrong = wrong.chain(values::out_of_range(&spec.kind));
        for value in wrong.chain(values::of_unknown_labels(&spec.kind)) {
            let what = format!("{} = {value}", spec.name);
            let mut call = kit.call(&mask);
            call.parameters.insert(spec.name.clone(), value);
            kit.expect_words(&what, kit.process(&call))?;
        }
    }
    if let Ok(service) = kit.service() {
        let unknown = service.of_operation("no-such-operation");
        let answer = unknown.process(&kit.call(&mask), kit.options.grace);
        kit.expect_words("an unknown operation", answer)?;
    }
    Ok(())
}

pub(crate) fn wrong_inputs(kit: &Kit) -> Result<(), Stop> {
    let mask = masks::ordinary();
    let mut call = kit.call(&mask);
    call.inputs.push(("no_such_input".to_owned(), mask.clone()));
    kit.expect_refusal("an unknown input", kit.process(&call), CODES)?;
    for (idx, spec) in kit.description.inputs.iter().enumerate() {
        if spec.required {
            let mut call = kit.call(&mask);
            call.inputs.retain(|(name, _)| *name != spec.name);
            kit.expect_refusal(&format!("no input {}", spec.name), kit.process(&call), CODES)?;
        }
        let given = kit
            .call(&mask)
            .inputs
            .iter()
            .filter(|(name, _)| *name == spec.name)
            .count();
        if !spec.repeated {
            let mut call = kit.call(&mask);
            for _ in given..2 {
                call.inputs.push((spec.name.clone(), mask.clone()));
            }
            kit.expect_refusal(&format!("two masks for {}", spec.name), kit.process(&call), CODES)?;
        }
        if spec.geometry == InputGeometry::SameAsFirst && (idx > 0 || spec.repeated) {
            let mut call = kit.call(&mask);
            if !spec.repeated || idx > 0 {
                call.inputs.retain(|(name, _)| *name != spec.name);
            }
            call.inputs.push((spec.name.clone(), masks::full()));
            kit.expect_refusal(
                &format!("{} on another grid", spec.name),
                kit.process(&call),
                CODES,
            )?;
        }
    }
    Ok(())
}
