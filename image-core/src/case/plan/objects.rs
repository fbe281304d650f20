//! Whether the masks that a case saves can become DICOM objects, before anything is loaded.

use std::collections::{BTreeMap, BTreeSet};

use nephrite_dicom_objects::check_label;
use nephrite_pipeline::{Pipeline, Save};
use nephrite_types::{OutputFormat, Phase};

use super::scans::PlannedScan;
use super::step_labels::{StepLabels, names};
use super::steps::PlannedStep;
use crate::case::CaseError;
use crate::core::Core;
use crate::error::CoreError;
use crate::objects::{ObjectSource, object_limits};

/// The series that objects of this case refer to; `None` if it writes none.
///
/// # Errors
/// [`CaseError::NoSeries`], [`CaseError::OtherFrame`]; what the series or a label has that no object can hold.
pub(super) fn object_source(
    core: &Core,
    pipeline: &Pipeline,
    steps: &[PlannedStep],
    labels: &StepLabels,
    scans: &BTreeMap<Phase, PlannedScan>,
    reference: Phase,
) -> Result<Option<ObjectSource>, CaseError> {
    let by_id: BTreeMap<&str, &PlannedStep> = steps.iter().map(|step| (step.id(), step)).collect();
    let runs = |save: &&Save| {
        let step = by_id.get(save.step.as_str());
        step.is_some_and(|step| !matches!(step, PlannedStep::Skipped { .. }))
    };
    let saves: Vec<&Save> = pipeline
        .save
        .iter()
        .filter(|save| save.has_objects())
        .filter(runs)
        .collect();
    if saves.is_empty() || scans[&reference].is_assumed() {
        return Ok(None);
    }
    for save in &saves {
        let mut phases = phases_of(&save.step, &by_id);
        phases.insert(reference);
        for phase in phases.into_iter().filter(|phase| !scans[phase].is_assumed()) {
            check_scan(save, (phase, &scans[&phase]), (reference, &scans[&reference]))?;
        }
        let known = labels.get(&save.step).filter(|known| known.is_some()).map(names);
        for label in known.into_iter().flatten() {
            check_label(&label).map_err(|source| {
                let path = save.file.clone().into();
                CaseError::from(CoreError::Object {
                    path,
                    source: Box::new(source),
                })
                .at(&save.step)
            })?;
        }
    }
    let formats: Vec<OutputFormat> = saves
        .iter()
        .flat_map(|save| save.formats.iter().copied())
        .collect();
    let scan = &scans[&reference];
    let Some(series) = &scan.series else {
        return Ok(None);
    }; // each was checked for one
    let source = ObjectSource::of(series, &formats, &scan.path, &object_limits(core.limits()))?;
    Ok(Some(source))
}

/// Phases of the scans that a mask comes from.
fn phases_of(step: &str, by_id: &BTreeMap<&str, &PlannedStep>) -> BTreeSet<Phase> {
    let (mut phases, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![step]);
    while let Some(id) = open.pop() {
        let Some(step) = by_id.get(id).filter(|_| seen.insert(id)) else {
            continue;
        };
        if let PlannedStep::Model(model) = step {
            phases.insert(model.phase);
        }
        open.extend(step.needs());
    }
    phases
}

/// A scan of which a mask becomes an object must be a series in the frame of reference of the one that the object refers to.
fn check_scan(
    save: &Save,
    (phase, scan): (Phase, &PlannedScan),
    (reference, of_reference): (Phase, &PlannedScan),
) -> Result<(), CaseError> {
    let Some(series) = &scan.series else {
        return Err(CaseError::NoSeries {
            step: save.step.clone(),
            file: save.file.clone(),
            formats: save.formats.clone(),
            phase,
            path: scan.path.clone(),
        });
    };
    let frame =
        |series: &nephrite_dicom::Series| series.study.frame_of_reference_uid.clone().unwrap_or_default();
    let frames = (
        frame(series),
        of_reference.series.as_deref().map(frame).unwrap_or_default(),
    );
    if of_reference.series.is_some() && frames.0 != frames.1 {
        return Err(CaseError::OtherFrame {
            step: save.step.clone(),
            file: save.file.clone(),
            phase,
            reference,
            frames,
        });
    }
    Ok(())
}
