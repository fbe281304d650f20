//! What an operation says of itself, and whether it keeps that.

use std::time::{Duration, Instant};

use nephrite_kernel::OutputLabels;
use nephrite_types::ErrorCode;

use crate::kit::Kit;
use crate::masks;
use crate::stop::{Stop, ensure};
use crate::subject::{Call, CallError, Reply};

pub(crate) fn describes_itself(kit: &Kit) -> Result<(), Stop> {
    let faults = kit.description.faults();
    ensure(faults.is_empty(), || faults.join("; "))?;
    ensure(!kit.description.help.trim().is_empty(), || {
        "the help of the operation is empty".to_owned()
    })?;
    let specs = kit.description.parameters.iter();
    let silent = specs.clone().find(|spec| spec.help.trim().is_empty());
    ensure(silent.is_none(), || {
        format!(
            "the help of parameter {} is empty",
            silent.map_or("", |spec| &spec.name)
        )
    })
}

pub(crate) fn answers(kit: &Kit) -> Result<(), Stop> {
    let call = kit.call(&masks::ordinary());
    let specs = kit.description.parameters.iter();
    if let Some(spec) = specs
        .clone()
        .find(|spec| spec.required && !call.parameters.contains_key(&spec.name))
    {
        let name = &spec.name;
        return Err(Stop::Failed(format!(
            "parameter {name} is required: set it for the check ({name}=…)"
        )));
    }
    let reply = once_it_is_ready(kit, &call).map_err(|error| Stop::Failed(error.to_string()))?;
    let found: Vec<&str> = reply.masks.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<&str> = kit
        .description
        .outputs
        .iter()
        .map(|spec| spec.name.as_str())
        .collect();
    ensure(found == expected, || {
        format!("it gave the masks {found:?}, expected {expected:?}")
    })?;
    let nothing = reply.masks.is_empty() && reply.measurements.is_empty() && !kit.description.artefacts;
    ensure(!nothing, || {
        "it gives no masks, no measurements and no files".to_owned()
    })
}

/// A service may say that it is not ready yet; callers of the core try again, too.
fn once_it_is_ready(kit: &Kit, call: &Call) -> Result<Reply, CallError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(50);
    let began = Instant::now();
    loop {
        match kit.process(call) {
            Err(CallError::Refused {
                code: ErrorCode::Unavailable,
                ..
            }) if began.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
}

pub(crate) fn keeps_geometry(kit: &Kit) -> Result<(), Stop> {
    let (call, reply) = ordinary(kit)?;
    kit.check_grids(&call, &reply)?;
    ensure(reply.masks.len() == kit.description.outputs.len(), || {
        "outputs are missing".to_owned()
    })
}

pub(crate) fn keeps_labels(kit: &Kit) -> Result<(), Stop> {
    let outputs = &kit.description.outputs;
    if outputs.iter().all(|spec| spec.labels == OutputLabels::Unknown) {
        return Ok(()); // it promises none
    }
    let (call, reply) = ordinary(kit)?;
    kit.check_labels(&call, &reply)
}

fn ordinary(kit: &Kit) -> Result<(Call, Reply), Stop> {
    let call = kit.call(&masks::ordinary());
    let reply = kit
        .process(&call)
        .map_err(|error| Stop::Failed(error.to_string()))?;
    Ok((call, reply))
}
