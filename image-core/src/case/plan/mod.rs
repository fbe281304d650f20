//! From a request to what runs: which step on which scan, at which place, and what is left out.

mod check;
mod frames;
mod objects;
mod phases;
mod pipeline;
mod pipeline_step_fault;
mod scans;
mod step_kind;
mod step_labels;
mod steps;
mod world;

use std::collections::BTreeMap;
use std::path::Path;

use nephrite_pipeline::{ModelStep, Pipeline};
use nephrite_types::{CancelToken, Phase, Warning};

use super::{CaseError, CaseRequest, Profile};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::TextFile;
use crate::objects::ObjectSource;
use crate::place::CaseServices;
use crate::segment::check_model_step;

pub use check::{PipelineReport, SaveReport, StepReport};
pub use pipeline_step_fault::PipelineStepFault;
pub(in crate::case) use scans::PlannedScan;
pub use step_kind::StepKind;
pub(in crate::case) use step_labels::{StepLabels, names};
pub(in crate::case) use steps::{PlannedModel, PlannedSample, PlannedStep};

use check::check_pipeline;
use objects::object_source;
use phases::choose_phases;
use pipeline::{OpenPipeline, pipeline, quick};
use scans::{OpenedScan, assumed_scans, check_frames, open_scans, place_scans};
use steps::{Placed, place_samples, place_steps, reference};

/// A request whose parts fit together; nothing large has been read.
pub(in crate::case) struct Plan {
    pub(in crate::case) pipeline: Pipeline,
    /// The file, if there is one.
    pub(in crate::case) file: Option<TextFile>,
    /// What labels of models without a pipeline file mean, if that was said.
    pub(in crate::case) codes: Option<TextFile>,
    pub(in crate::case) scans: BTreeMap<Phase, PlannedScan>,
    /// Gives the grid of the masks.
    pub(in crate::case) reference: Phase,
    /// Every step after those that it needs.
    pub(in crate::case) steps: Vec<PlannedStep>,
    /// Steps that run on a phase that they do not accept.
    pub(in crate::case) overrides: Vec<(String, Phase)>,
    /// What its steps are, wherever they run.
    pub(in crate::case) report: PipelineReport,
    /// The labels that the masks of steps will name.
    pub(in crate::case) labels: StepLabels,
    /// The series of the reference, if masks become DICOM objects.
    pub(in crate::case) objects: Option<ObjectSource>,
    /// What is odd about the scans.
    pub(in crate::case) warnings: Vec<Warning>,
}

impl Plan {
    /// Reads the pipeline, headers and model folders; checks everything that can be known without running.
    pub(in crate::case) fn new(
        core: &Core,
        services: &CaseServices,
        request: &CaseRequest,
        cancel: &CancelToken,
    ) -> Result<Plan, CaseError> {
        let opened = open_scans(core, request, false, cancel)?;
        Plan::of(core, services, request, Path::new(""), opened, cancel)
    }

    /// As [`Plan::new`], for a case that runs later: scans that are fetched then are assumed now.
    pub(in crate::case) fn for_later(
        core: &Core,
        services: &CaseServices,
        request: &CaseRequest,
        cancel: &CancelToken,
    ) -> Result<Plan, CaseError> {
        let opened = open_scans(core, request, true, cancel)?;
        Plan::of(core, services, request, Path::new(""), opened, cancel)
    }

    /// Whether all of its scans are known.
    pub(in crate::case) fn is_certain(&self) -> bool {
        !self.scans.values().any(PlannedScan::is_assumed)
    }

    /// As [`Plan::new`], for a look at a pipeline: without scans, one is assumed for every phase. Paths of models start at
    /// `models`.
    pub(in crate::case) fn for_a_look(
        core: &Core,
        services: &CaseServices,
        request: &CaseRequest,
        models: &Path,
        cancel: &CancelToken,
    ) -> Result<Plan, CaseError> {
        let opened = match request.scans.is_empty() {
            true => assumed_scans(core.limits()),
            false => open_scans(core, request, false, cancel)?,
        };
        Plan::of(core, services, request, models, opened, cancel)
    }

    fn of(
        core: &Core,
        services: &CaseServices,
        request: &CaseRequest,
        models: &Path,
        opened: BTreeMap<Phase, OpenedScan>,
        cancel: &CancelToken,
    ) -> Result<Plan, CaseError> {
        let OpenPipeline {
            mut pipeline,
            file,
            codes,
        } = pipeline(core, request, &opened)?;
        let beneath = |mut step: ModelStep| {
            step.model = models.join(&step.model);
            step.quick_model = step.quick_model.map(|model| models.join(model));
            Ok::<_, CaseError>(step)
        };
        pipeline = pipeline.try_map_models(beneath)?;
        if !request.steps.is_empty() {
            pipeline = pipeline.only(&request.steps).map_err(CaseError::from)?;
        }
        if request.profile == Profile::Quick {
            pipeline = quick(core, &pipeline, cancel)?;
        }
        let (report, labels) = check_pipeline(core, services.operations(), &pipeline, cancel)?;
        let chosen = choose_phases(&pipeline, request, &opened)?;
        let mut steps = place_steps(core, services, &pipeline, &labels, &chosen, &opened, cancel)?;
        let readers: Vec<_> = steps.iter().filter_map(Placed::reader).collect();
        let (scans, warnings) = place_scans(opened, &readers)?;
        if core.strict_geometry() || request.strict_geometry || pipeline.strict_geometry {
            let mut strict = warnings.iter().filter(|warning| warning.code.is_geometry());
            if let Some(warning) = strict.next() {
                let warning = warning.clone();
                return Err(CoreError::StrictGeometry { warning }.into());
            }
        }
        for step in &mut steps {
            if let Placed::Planned(PlannedStep::Model(model)) = step {
                model.run.world = Some(scans[&model.phase].world);
            }
        }
        let reference = reference(&pipeline, &steps, &scans)?;
        check_frames(&scans, reference)?;
        let steps = place_samples(steps, reference, &scans)?;
        let objects = object_source(core, &pipeline, &steps, &labels, &scans, reference)?;
        let overrides = chosen
            .iter()
            .filter(|(_, chosen)| chosen.is_override)
            .filter_map(|(id, chosen)| Some((id.clone(), chosen.phase?)));
        Ok(Plan {
            file,
            codes,
            report,
            labels,
            objects,
            warnings,
            overrides: overrides.collect(),
            pipeline,
            scans,
            reference,
            steps,
        })
    }

    /// Steps whose masks a step needs.
    pub(in crate::case) fn needs(&self, id: &str) -> Vec<&str> {
        let step = self.steps.iter().find(|step| step.id() == id);
        step.map(PlannedStep::needs).unwrap_or_default()
    }

    /// Refuses a case of which a step that runs here can never fit.
    pub(in crate::case) fn check_memory(&self, core: &Core, cancel: &CancelToken) -> Result<(), CaseError> {
        for step in &self.steps {
            let PlannedStep::Model(model) = step else { continue };
            if model.place.is_here() && model.step.crop.is_none() {
                let checked = check_model_step(core, &model.run, cancel);
                checked.map_err(|error| CaseError::from(error).at(&model.step.id))?;
            }
        }
        Ok(())
    }
}
