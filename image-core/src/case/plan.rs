//! From a request to what runs: which step on which scan, at which place, and what is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephrite_nnunet::{LabelDescription, Numerics};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_pipeline::{MaskStep, ModelStep, Pipeline, SampleStep, Step};
use nephrite_types::{CancelToken, FileIdentity, Geometry, Phase, Warning};
use nephrite_volume::{FileHash, Reader, ScanHeader, SourceGeometry, World, hash_file};

use super::frames::overlap;
use super::remote_core::RemoteCore;
use super::{BareModel, CaseFault, CasePipeline, CaseRequest, CaseServices, Profile, places};
use crate::case_world::{ScanPlace, case_world, place_scan};
use crate::model_step::{ModelStepRequest, check_model_step};
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
    /// What is odd about the scans.
    pub(super) warnings: Vec<Warning>,
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
    /// Whose rules place it among the scans of the case.
    pub(super) world: World,
    /// Its frame in this world: what every mask of this scan lies on, whatever reader its model has.
    pub(super) frame: Geometry,
    /// How masks on the frame are written.
    pub(super) source: SourceGeometry,
}

/// A scan before it is known which models run on it.
struct OpenedScan {
    path: PathBuf,
    file: FileIdentity,
    header: ScanHeader,
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
    /// That its plans name.
    pub(super) reader: Reader,
    /// The scan as this reader sees it.
    pub(super) grid: Geometry,
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
    /// That of the first model on the scan, which is in memory then.
    pub(super) reader: Reader,
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
        let opened = open_scans(core, request)?;
        let (mut pipeline, file) = pipeline(core, request, &opened)?;
        if !request.steps.is_empty() {
            pipeline = pipeline.only(&request.steps).map_err(CaseFault::from)?;
        }
        if request.profile == Profile::Quick {
            pipeline = quick(core, &pipeline, cancel)?;
        }
        check_pipeline(core, &services.operations, &pipeline, Path::new(""), cancel)?;
        let chosen = choose_phases(&pipeline, request, &opened)?;
        let mut steps = place_steps(core, services, &pipeline, &chosen, &opened, cancel)?;
        let (scans, warnings) = place_scans(opened, &steps)?;
        if core.strict_geometry || request.strict_geometry || pipeline.strict_geometry {
            let mut strict = warnings.iter().filter(|warning| warning.code.is_geometry());
            if let Some(warning) = strict.next() {
                return Err(CoreError::StrictGeometry {
                    warning: warning.clone(),
                });
            }
        }
        for step in &mut steps {
            if let PlannedStep::Model(model) = step {
                model.request.world = scans[&model.phase].world; // known only now
            }
        }
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
            warnings,
            overrides: overrides.collect(),
            pipeline,
            scans,
            reference,
            steps,
        })
    }
}

impl Plan {
    /// Refuses a case of which a step that runs here can never fit.
    pub(super) fn check_memory(&self, core: &Core, cancel: &CancelToken) -> Result<(), CoreError> {
        for step in &self.steps {
            let PlannedStep::Model(model) = step else { continue };
            if model.cores.is_empty() && model.step.crop.is_none() {
                let checked = check_model_step(core, &model.request, cancel);
                checked.map_err(|error| at(&model.step.id, error))?;
            }
        }
        Ok(())
    }
}

impl PlannedScan {
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
        let same = found.to_string() == sha256 && self.lies_where_it_lay(core);
        if same { Ok(()) } else { Err(changed(&self.path)) }
    }

    fn lies_where_it_lay(&self, core: &Core) -> bool {
        let name = self.path.to_string_lossy();
        let file = core.root.open_file(&self.path).ok();
        let header = file.and_then(|file| ScanHeader::read(file, &name, &core.limits).ok());
        header.is_some_and(|header| header.frame(self.world).is_ok_and(|frame| frame == self.frame))
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

fn open_scans(core: &Core, request: &CaseRequest) -> Result<BTreeMap<Phase, OpenedScan>, CoreError> {
    if request.scans.is_empty() {
        return Err(CaseFault::NoScans.into());
    }
    let mut scans = BTreeMap::new();
    for (phase, path) in &request.scans {
        let file = core.root.open_file(path)?;
        let identity = identity(&file, path)?;
        let header = ScanHeader::read(file, &path.to_string_lossy(), &core.limits)?;
        let scan = OpenedScan {
            path: path.clone(),
            file: identity,
            header,
        };
        if scans.insert(*phase, scan).is_some() {
            return Err(CaseFault::PhaseTwice { phase: *phase }.into());
        }
    }
    Ok(scans)
}

/// Settles the world of the case, and where each scan lies in it.
fn place_scans(
    opened: BTreeMap<Phase, OpenedScan>,
    steps: &[PlannedStep],
) -> Result<(BTreeMap<Phase, PlannedScan>, Vec<Warning>), CoreError> {
    let models = || {
        steps.iter().filter_map(|step| match step {
            PlannedStep::Model(model) => Some((model.phase, model.reader)),
            _ => None,
        })
    };
    let case = case_world(models().map(|(_, reader)| reader));
    let mut scans = BTreeMap::new();
    let mut all = Vec::new();
    for (phase, OpenedScan { path, file, header }) in opened {
        let readers: Vec<Reader> = models()
            .filter(|(of, _)| *of == phase)
            .map(|(_, reader)| reader)
            .collect();
        let ScanPlace {
            world,
            frame,
            source,
            warnings,
        } = place_scan(&header, &path.to_string_lossy(), case, &readers)?;
        all.extend(warnings);
        let scan = PlannedScan {
            path,
            bytes: file.size,
            file,
            world,
            frame,
            source,
        };
        scans.insert(phase, scan);
    }
    Ok((scans, all))
}

fn pipeline(
    core: &Core,
    request: &CaseRequest,
    scans: &BTreeMap<Phase, OpenedScan>,
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
    scans: &BTreeMap<Phase, OpenedScan>,
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
fn quick(core: &Core, pipeline: &Pipeline, cancel: &CancelToken) -> Result<Pipeline, CoreError> {
    pipeline.clone().try_map_models(|mut step| {
        if let Some(model) = step.quick_model.take() {
            step.model = model;
            step.folds = FoldSelection::Available;
        }
        let model = OpenModel::open(core, &model_choice(&step), cancel);
        let model = model.map_err(|error| at(&step.id, error))?;
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
    scans: &BTreeMap<Phase, OpenedScan>,
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
    scans: &BTreeMap<Phase, OpenedScan>,
    cancel: &CancelToken,
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
                let model = || {
                    let model = OpenModel::open(core, &model_choice(step), cancel);
                    model.map_err(|error| at(&step.id, error))
                };
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
                    (Some(phase), None) => planned_model(core, services, step, phase, &model()?, scans)?,
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
                reader: Reader::SimpleItk,                        // see place_samples
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
    model: &OpenModel,
    scans: &BTreeMap<Phase, OpenedScan>,
) -> Result<PlannedStep, CoreError> {
    let scan = &scans[&phase]; // chosen among them
    let reader = model.reader().map_err(|error| at(&step.id, error))?;
    let grid = scan.header.geometry(reader);
    let grid = grid.map_err(|error| at(&step.id, error.into()))?;
    let request = ModelStepRequest {
        model: model_choice(step),
        scan: scan.path.clone(),
        scan_bytes: Some(scan.file.size),
        world: reader.world(), // the case's, when it is settled
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
        reader,
        grid,
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
        if !overlap(&first.frame, &scan.frame) {
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
    let owners: BTreeMap<Phase, (Reader, Vec<Arc<RemoteCore>>)> = steps
        .iter()
        .rev() // the first model of a phase wins
        .filter_map(|step| match step {
            PlannedStep::Model(model) => Some((model.phase, (model.reader, model.cores.clone()))),
            _ => None,
        })
        .collect();
    let placed = steps.into_iter().map(|step| match step {
        PlannedStep::Sample(mut sample) => {
            let Some(scan) = scans.get(&sample.phase) else {
                return Err(CaseFault::MissingPhase {
                    step: sample.step.id.clone(),
                    accepted: vec![sample.phase],
                    given: scans.keys().copied().collect(),
                });
            };
            let owner = owners.get(&sample.phase).cloned();
            (sample.reader, sample.cores) = owner.unwrap_or((scan.world.plain_reader(), Vec::new()));
            Ok(PlannedStep::Sample(sample))
        }
        other => Ok(other),
    });
    placed.collect()
}
