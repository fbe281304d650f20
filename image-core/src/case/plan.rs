//! From a request to what runs: which step on which scan, at which place, and what is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephrite_nnunet::{LabelDescription, Numerics};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_pipeline::{MaskStep, ModelStep, Pipeline, SampleStep, Step};
use nephrite_types::{CancelToken, FileIdentity, Geometry, Phase};
use nephrite_volume::{FileHash, Reader, SourceGeometry, hash_file, read_geometry};

use super::frames::overlap;
use super::remote_core::RemoteCore;
use super::{BareModel, CaseFault, CasePipeline, CaseRequest, CaseServices, Profile, places};
use crate::model_step::ModelStepRequest;
use crate::open_model::OpenModel;
use crate::segment::read_small_file;
use crate::volumes::{changed, identity};
use crate::{Core, CoreError, ModelChoice, PathError, SegmentOptions, check_pipeline};

/// A request whose parts fit together; nothing large has been read.
pub(super) struct Plan {
    pub(super) pipeline: Pipeline,
    /// The file, if there is one.
    pub(super) file: Option<PipelineFile>,
    pub(super) scans: BTreeMap<Phase, PlannedScan>,
    /// Gives the grid of the masks.
    pub(super) reference: Phase,
    /// Every step after those that it needs.
    pub(super) steps: Vec<PlannedStep>,
    /// Steps that run on a phase that they do not accept.
    pub(super) overrides: Vec<(String, Phase)>,
}

/// A pipeline file as it was read.
pub(super) struct PipelineFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) sha256: String,
}

/// A scan whose header has been read.
pub(super) struct PlannedScan {
    pub(super) path: PathBuf,
    /// Size of the file.
    pub(super) bytes: u64,
    /// The file when its header was read.
    pub(super) file: FileIdentity,
    pub(super) geometry: Geometry,
    pub(super) source: SourceGeometry,
}

/// One step, with its place.
#[derive(Clone)]
pub(super) enum PlannedStep {
    Model(Box<PlannedModel>),
    Mask(MaskStep),
    Sample(PlannedSample),
    Skipped {
        id: String,
        reason: String,
        /// Of the model that was not run.
        labels: Vec<LabelDescription>,
    },
}

/// A model on a scan.
#[derive(Clone)]
pub(super) struct PlannedModel {
    /// As the pipeline has it, but for the profile.
    pub(super) step: ModelStep,
    pub(super) phase: Phase,
    /// Without what other steps have to give.
    pub(super) request: ModelStepRequest,
    /// None: in this process.
    pub(super) cores: Vec<Arc<RemoteCore>>,
}

/// The crop of a scan around labels.
#[derive(Clone)]
pub(super) struct PlannedSample {
    pub(super) step: SampleStep,
    pub(super) phase: Phase,
    /// None: in this process.
    pub(super) cores: Vec<Arc<RemoteCore>>,
}

impl PlannedStep {
    pub(super) fn id(&self) -> &str {
        match self {
            PlannedStep::Model(model) => &model.step.id,
            PlannedStep::Mask(step) => &step.id,
            PlannedStep::Sample(sample) => &sample.step.id,
            PlannedStep::Skipped { id, .. } => id,
        }
    }

    /// Steps whose masks it waits for.
    pub(super) fn needs(&self) -> Vec<String> {
        let step = match self {
            PlannedStep::Model(model) => Step::Model(model.step.clone()),
            PlannedStep::Mask(step) => Step::Mask(step.clone()),
            PlannedStep::Sample(sample) => Step::Sample(sample.step.clone()),
            PlannedStep::Skipped { .. } => return Vec::new(),
        };
        step.needs().into_iter().map(str::to_owned).collect()
    }

    /// Where it runs, for people.
    pub(super) fn place(&self, services: &CaseServices) -> String {
        match self {
            PlannedStep::Model(model) => places::place(&model.cores),
            PlannedStep::Mask(step) => services.operations.place(&step.operation),
            PlannedStep::Sample(sample) => places::place(&sample.cores),
            PlannedStep::Skipped { .. } => String::new(),
        }
    }
}

impl Plan {
    /// Reads the pipeline, headers and model folders; checks everything that can be known without running.
    pub(super) fn new(
        core: &Core,
        services: &CaseServices,
        request: &CaseRequest,
        cancel: &CancelToken,
    ) -> Result<Plan, CoreError> {
        let scans = open_scans(core, request)?;
        let (mut pipeline, file) = pipeline(core, request, &scans)?;
        if !request.steps.is_empty() {
            pipeline = pipeline.only(&request.steps).map_err(CaseFault::from)?;
        }
        if request.profile == Profile::Quick {
            pipeline = quick(core, &pipeline)?;
        }
        check_pipeline(core, &services.operations, &pipeline, Path::new(""), cancel)?;
        let chosen = choose_phases(&pipeline, request, &scans)?;
        let steps = place_steps(core, services, &pipeline, &chosen, &scans)?;
        let reference = reference(&pipeline, &steps, &scans)?;
        check_frames(&scans, reference)?;
        let samples = steps.into_iter().map(|step| match step {
            // known only now
            PlannedStep::Sample(mut sample) => {
                sample.phase = sample.step.phase.unwrap_or(reference);
                PlannedStep::Sample(sample)
            }
            other => other,
        });
        let steps = place_samples(samples.collect(), &scans)?;
        let overrides = chosen
            .iter()
            .filter(|(_, chosen)| chosen.is_override)
            .filter_map(|(id, chosen)| Some((id.clone(), chosen.phase?)));
        Ok(Plan {
            file,
            overrides: overrides.collect(),
            pipeline,
            scans,
            reference,
            steps,
        })
    }
}

impl PlannedScan {
    /// Reads a header.
    fn read(core: &Core, path: &Path) -> Result<PlannedScan, CoreError> {
        let file = core.root.open_file(path)?;
        let identity = identity(&file, path)?;
        let (geometry, source) =
            read_geometry(file, &path.to_string_lossy(), Reader::SimpleItk, &core.limits)?;
        Ok(PlannedScan {
            path: path.to_owned(),
            bytes: identity.size,
            file: identity,
            geometry,
            source,
        })
    }

    /// Headers are read when a case is planned, voxels later, and perhaps by another process: it must have been one file
    /// all the time. One that is gone by the end was none other; one that was only touched, or given other rights, holds
    /// what was read, `sha256`, and lies where it lay.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what reading says.
    pub(super) fn check_unchanged(
        &self,
        core: &Core,
        sha256: &str,
        cancel: &CancelToken,
    ) -> Result<(), CoreError> {
        let file = match core.root.open_file(&self.path) {
            Ok(file) => file,
            Err(PathError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if identity(&file, &self.path)? == self.file {
            return Ok(());
        }
        let found = hash_file(file, &self.path.to_string_lossy(), cancel)?;
        let same = found.to_string() == sha256
            && PlannedScan::read(core, &self.path)
                .is_ok_and(|again| (again.geometry, again.source) == (self.geometry, self.source));
        if same { Ok(()) } else { Err(changed(&self.path)) }
    }

    /// Why two steps read different bytes, if it was not the place: somebody changed the file.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what the system says.
    pub(super) fn check_untouched(&self, core: &Core) -> Result<(), CoreError> {
        let file = core.root.open_file(&self.path)?;
        if identity(&file, &self.path)? == self.file {
            return Ok(());
        }
        Err(changed(&self.path))
    }
}

/// On which phase a model step runs.
struct Chosen {
    /// `None`: left out.
    phase: Option<Phase>,
    is_override: bool,
}

fn open_scans(core: &Core, request: &CaseRequest) -> Result<BTreeMap<Phase, PlannedScan>, CoreError> {
    if request.scans.is_empty() {
        return Err(CaseFault::NoScans.into());
    }
    let mut scans = BTreeMap::new();
    for (phase, path) in &request.scans {
        if scans.insert(*phase, PlannedScan::read(core, path)?).is_some() {
            return Err(CaseFault::PhaseTwice { phase: *phase }.into());
        }
    }
    Ok(scans)
}

fn pipeline(
    core: &Core,
    request: &CaseRequest,
    scans: &BTreeMap<Phase, PlannedScan>,
) -> Result<(Pipeline, Option<PipelineFile>), CoreError> {
    match &request.pipeline {
        CasePipeline::File(path) => {
            let bytes = read_small_file(core, path, core.limits.max_json_bytes)?;
            let sha256 = FileHash::of(&bytes).to_string();
            let text = String::from_utf8(bytes).map_err(|_| CaseFault::NotText { path: path.clone() })?;
            let pipeline = Pipeline::parse(&text).map_err(|faults| CaseFault::Pipeline {
                path: path.clone(),
                faults,
            })?;
            let file = PipelineFile {
                path: path.clone(),
                text,
                sha256,
            };
            Ok((pipeline, Some(file)))
        }
        CasePipeline::Models(models) => {
            let mut taken = BTreeSet::new();
            let steps = models.iter().map(|model| bare_step(model, scans, &mut taken));
            let steps = steps.collect::<Result<Vec<_>, _>>()?;
            Ok((Pipeline::from_models(steps).map_err(CaseFault::from)?, None))
        }
    }
}

/// A model by itself is a step that accepts the phase it is given.
fn bare_step(
    bare: &BareModel,
    scans: &BTreeMap<Phase, PlannedScan>,
    taken: &mut BTreeSet<String>,
) -> Result<ModelStep, CaseFault> {
    let given: Vec<Phase> = scans.keys().copied().collect();
    let phase = match (bare.phase, given.as_slice()) {
        (Some(phase), _) => phase,
        (None, [only]) => *only,
        (None, _) => {
            return Err(CaseFault::ModelPhase {
                model: bare.model.clone(),
                given,
            });
        }
    };
    let name = bare_name(&bare.model);
    let mut id = name.clone();
    let mut n = 2;
    while !taken.insert(id.clone()) {
        id = format!("{name}-{n}");
        n += 1;
    }
    Ok(ModelStep {
        id,
        model: bare.model.clone(),
        quick_model: None,
        phases: vec![phase],
        optional: false,
        folds: FoldSelection::Available,
        checkpoint: CheckpointKind::Final,
        options: nephrite_pipeline::ModelOptions::default(),
        crop: None,
        previous_stage: None,
        channels: Vec::new(),
    })
}

/// `Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres` is `demokidney`.
fn bare_name(model: &Path) -> String {
    let parts: Vec<String> = model
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let dataset = parts
        .iter()
        .rev()
        .find_map(|part| part.strip_prefix("Dataset")?.split_once('_'));
    let name = dataset.map_or_else(
        || parts.last().cloned().unwrap_or_default(),
        |(_, name)| name.to_owned(),
    );
    let plain: String = name
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(48)
        .collect();
    if plain.is_empty() {
        "model".to_owned()
    } else {
        plain
    }
}

/// The same pipeline for a first look.
fn quick(core: &Core, pipeline: &Pipeline) -> Result<Pipeline, CoreError> {
    pipeline.clone().try_map_models(|mut step| {
        if let Some(model) = step.quick_model.take() {
            step.model = model;
            step.folds = FoldSelection::Available;
        }
        let model = OpenModel::open(core, &model_choice(&step)).map_err(|error| at(&step.id, error))?;
        let first = model.description.folds.first().and_then(|fold| {
            let name = fold.strip_prefix("fold_")?;
            name.parse().ok()
        });
        if let Some(fold) = first {
            step.folds = FoldSelection::List(vec![fold]);
        }
        step.options.mirroring = false;
        step.options.tile_step_size = step.options.tile_step_size.max(Profile::QUICK_TILE_STEP);
        Ok(step)
    })
}

pub(super) fn at(step: &str, error: CoreError) -> CoreError {
    match error {
        error @ (CoreError::Cancelled(_) | CoreError::PipelineStep { .. } | CoreError::Step { .. }) => error,
        error => CoreError::Step {
            step: step.to_owned(),
            source: Box::new(error),
        },
    }
}

fn model_choice(step: &ModelStep) -> ModelChoice {
    ModelChoice {
        folder: step.model.clone(),
        folds: step.folds.clone(),
        checkpoint: step.checkpoint,
    }
}

fn choose_phases(
    pipeline: &Pipeline,
    request: &CaseRequest,
    scans: &BTreeMap<Phase, PlannedScan>,
) -> Result<BTreeMap<String, Chosen>, CaseFault> {
    let given = || scans.keys().copied().collect::<Vec<_>>();
    for choice in &request.phases {
        match pipeline.step(&choice.step) {
            Some(Step::Model(_)) => {}
            Some(_) => {
                return Err(CaseFault::NoModel {
                    step: choice.step.clone(),
                });
            }
            None => {
                return Err(CaseFault::Steps(nephrite_pipeline::PipelineFault::UnknownStep {
                    key: "phases".to_owned(),
                    step: choice.step.clone(),
                }));
            }
        }
    }
    let mut chosen = BTreeMap::new();
    for step in pipeline.steps() {
        let Step::Model(step) = step else { continue };
        let wish = request.phases.iter().rev().find(|choice| choice.step == step.id);
        let accepted = step.phases.clone();
        let missing = |accepted| CaseFault::MissingPhase {
            step: step.id.clone(),
            accepted,
            given: given(),
        };
        let (phase, is_override) = match wish {
            Some(wish) if !scans.contains_key(&wish.phase) => return Err(missing(vec![wish.phase])),
            Some(wish) if accepted.contains(&wish.phase) => (Some(wish.phase), false),
            Some(wish) if wish.override_accepted => (Some(wish.phase), true),
            Some(wish) => {
                return Err(CaseFault::PhaseNotAccepted {
                    step: step.id.clone(),
                    phase: wish.phase,
                    accepted,
                });
            }
            None => match accepted.iter().find(|phase| scans.contains_key(phase)) {
                Some(phase) => (Some(*phase), false),
                None if step.optional => (None, false),
                None => return Err(missing(accepted)),
            },
        };
        chosen.insert(step.id.clone(), Chosen { phase, is_override });
    }
    Ok(chosen)
}

fn place_steps(
    core: &Core,
    services: &CaseServices,
    pipeline: &Pipeline,
    chosen: &BTreeMap<String, Chosen>,
    scans: &BTreeMap<Phase, PlannedScan>,
) -> Result<Vec<PlannedStep>, CoreError> {
    let mut steps: Vec<PlannedStep> = Vec::new();
    for step in pipeline.steps() {
        let left_out = |id: &str| {
            steps
                .iter()
                .any(|step| step.id() == id && matches!(step, PlannedStep::Skipped { .. }))
        };
        let planned = match step {
            Step::Model(step) => {
                let model =
                    || OpenModel::open(core, &model_choice(step)).map_err(|error| at(&step.id, error));
                let phase = chosen.get(&step.id).and_then(|chosen| chosen.phase);
                let without = Step::Model(step.clone());
                let without = without
                    .needs()
                    .into_iter()
                    .find(|id| left_out(id))
                    .map(str::to_owned);
                match (phase, without) {
                    (None, _) => skipped(step, reason_phase(step), model()?.description.labels),
                    (Some(_), Some(other)) => {
                        let reason = format!("step {other}, which it needs, is left out");
                        if !step.optional {
                            return Err(at(
                                &step.id,
                                CaseFault::NothingToRun {
                                    reasons: vec![reason],
                                }
                                .into(),
                            ));
                        }
                        skipped(step, reason, model()?.description.labels)
                    }
                    (Some(phase), None) => planned_model(core, services, step, phase, scans)?,
                }
            }
            Step::Mask(step) => {
                let mut inputs = step.inputs.iter().flat_map(|input| &input.steps);
                if inputs.all(|id| left_out(id)) {
                    let reason = "all steps that it needs are left out".to_owned();
                    PlannedStep::Skipped {
                        id: step.id.clone(),
                        reason,
                        labels: Vec::new(),
                    }
                } else {
                    PlannedStep::Mask(step.clone())
                }
            }
            Step::Sample(step) if left_out(&step.step) => PlannedStep::Skipped {
                id: step.id.clone(),
                reason: format!("step {}, which it needs, is left out", step.step),
                labels: Vec::new(),
            },
            Step::Sample(step) => PlannedStep::Sample(PlannedSample {
                step: step.clone(),
                phase: step.phase.unwrap_or(Phase::PortalVenous), // the reference's; see Plan::new
                cores: Vec::new(),
            }),
        };
        steps.push(planned);
    }
    let reasons = || {
        steps.iter().map(|step| match step {
            PlannedStep::Skipped { id, reason, .. } => format!("{id}: {reason}"),
            other => other.id().to_owned(),
        })
    };
    if steps
        .iter()
        .all(|step| matches!(step, PlannedStep::Skipped { .. }))
    {
        let reasons = reasons().collect();
        return Err(CaseFault::NothingToRun { reasons }.into());
    }
    Ok(steps)
}

fn reason_phase(step: &ModelStep) -> String {
    let phases: Vec<&str> = step.phases.iter().map(|phase| phase.name()).collect();
    format!("no scan of {}", phases.join(" or "))
}

fn skipped(step: &ModelStep, reason: String, labels: Vec<LabelDescription>) -> PlannedStep {
    PlannedStep::Skipped {
        id: step.id.clone(),
        reason,
        labels,
    }
}

fn planned_model(
    core: &Core,
    services: &CaseServices,
    step: &ModelStep,
    phase: Phase,
    scans: &BTreeMap<Phase, PlannedScan>,
) -> Result<PlannedStep, CoreError> {
    let scan = &scans[&phase]; // chosen among them
    let request = ModelStepRequest {
        model: model_choice(step),
        scan: scan.path.clone(),
        scan_bytes: Some(scan.bytes),
        options: SegmentOptions {
            mirroring: step.options.mirroring,
            tile_step_size: step.options.tile_step_size,
            gaussian: step.options.gaussian,
            numerics: match step.options.numerics {
                nephrite_pipeline::Numerics::Fast => Numerics::Fast,
                nephrite_pipeline::Numerics::Reference => Numerics::Reference,
            },
        },
        postprocessing: step.options.postprocessing,
        crop: None,
        previous_stage: None,
        channels: Vec::new(),
    };
    Ok(PlannedStep::Model(Box::new(PlannedModel {
        cores: services.cores_of(&core.root, &step.model),
        step: step.clone(),
        phase,
        request,
    })))
}

/// The pipeline's phase, or that of the first model that runs.
fn reference(
    pipeline: &Pipeline,
    steps: &[PlannedStep],
    scans: &BTreeMap<Phase, PlannedScan>,
) -> Result<Phase, CaseFault> {
    if let Some(phase) = pipeline.reference {
        return if scans.contains_key(&phase) {
            Ok(phase)
        } else {
            Err(CaseFault::NoReference { phase })
        };
    }
    let first = steps.iter().find_map(|step| match step {
        PlannedStep::Model(model) => Some(model.phase),
        _ => None,
    });
    first.ok_or_else(|| CaseFault::NothingToRun {
        reasons: vec!["no model runs".to_owned()],
    })
}

/// Scans of other phases must share a place with the reference.
fn check_frames(scans: &BTreeMap<Phase, PlannedScan>, reference: Phase) -> Result<(), CaseFault> {
    let first = &scans[&reference];
    for (phase, scan) in scans {
        if !overlap(&first.geometry, &scan.geometry) {
            return Err(CaseFault::NoOverlap {
                phase: *phase,
                path: scan.path.clone(),
                reference,
                reference_path: first.path.clone(),
            });
        }
    }
    Ok(())
}

/// A sample is taken where its scan is in memory: in the core that segments it, if there is one.
fn place_samples(
    steps: Vec<PlannedStep>,
    scans: &BTreeMap<Phase, PlannedScan>,
) -> Result<Vec<PlannedStep>, CaseFault> {
    let owners: BTreeMap<Phase, Vec<Arc<RemoteCore>>> = steps
        .iter()
        .rev() // the first model of a phase wins
        .filter_map(|step| match step {
            PlannedStep::Model(model) => Some((model.phase, model.cores.clone())),
            _ => None,
        })
        .collect();
    let placed = steps.into_iter().map(|step| match step {
        PlannedStep::Sample(mut sample) => {
            if !scans.contains_key(&sample.phase) {
                return Err(CaseFault::MissingPhase {
                    step: sample.step.id.clone(),
                    accepted: vec![sample.phase],
                    given: scans.keys().copied().collect(),
                });
            }
            sample.cores = owners.get(&sample.phase).cloned().unwrap_or_default();
            Ok(PlannedStep::Sample(sample))
        }
        other => Ok(other),
    });
    placed.collect()
}
