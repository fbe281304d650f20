//! Runs the steps of a plan: each as soon as what it needs is there, beside each other where memory allows.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nephrite_kernel::memory::ON_MASKS;
use nephrite_kernel::{Artefacts, Context, Inputs, LabelStatus, Mask, MaskSize, Parameters, RunMask};
use nephrite_pipeline::{Crop, MaskStep};
use nephrite_types::{BoundingBox, CancelToken, Coded, ErrorCode, Phase, Progress, Stage, Warning};

use super::plan::{Plan, PlannedModel, PlannedSample, PlannedStep};
use super::results::ResultFolder;
use super::{
    BoxRecord, CaseError, CaseEvent, CaseEvents, MaskFileRecord, ModelRecord, OperationRecord, StepKind,
    StepRecord, StepWork,
};
use crate::core::Core;
use crate::error::CoreError;
use crate::masks::StepPlace;
use crate::memory::Counters;
use crate::place::CaseServices;
use crate::samples::SampleStep;
use crate::segment::{PostprocessingChoice, PreviousStage, WorldBox, label_table_with, on_grid};

/// One run of a plan.
pub(super) struct Executor<'a> {
    pub(super) core: &'a Core,
    pub(super) services: &'a CaseServices,
    pub(super) plan: &'a Plan,
    pub(super) results: &'a ResultFolder,
    pub(super) events: &'a dyn CaseEvents,
    state: Mutex<State>,
}

/// What steps have given so far.
#[derive(Default)]
pub(super) struct State {
    masks: BTreeMap<String, StepMasks>,
    pub(super) records: BTreeMap<String, StepRecord>,
    pub(super) kept: Vec<MaskFileRecord>,
    /// SHA-256 of scans that were read.
    pub(super) scans: BTreeMap<Phase, String>,
    /// Peak memory of other cores.
    pub(super) processes: BTreeMap<StepPlace, u64>,
    /// Of steps; those of scans are in the plan.
    pub(super) warnings: BTreeSet<Warning>,
}

/// The mask of a step.
#[derive(Clone)]
struct StepMasks {
    /// On the frame of its scan.
    native: Arc<Mask>,
    /// On the frame of the reference's scan; of an operation, on the grid that it chose.
    reference: Arc<Mask>,
}

/// A step that has run, or was left out.
struct StepRun {
    /// `None` of a sample.
    masks: Option<StepMasks>,
    place: Option<StepPlace>,
    work: StepWork,
    files: Vec<String>,
    counters: Counters,
    versions: BTreeMap<String, String>,
}

impl<'a> Executor<'a> {
    pub(super) fn new(
        core: &'a Core,
        services: &'a CaseServices,
        plan: &'a Plan,
        results: &'a ResultFolder,
        events: &'a dyn CaseEvents,
    ) -> Self {
        Executor {
            core,
            services,
            plan,
            results,
            events,
            state: Mutex::default(),
        }
    }

    /// Runs everything. The first step that fails stops the others.
    pub(super) fn run(self, cancel: &CancelToken) -> Result<State, CaseError> {
        let ours = cancel.child(); // steps stop when the caller cancels, and when another one fails
        let mut failed: Option<CaseError> = None;
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let mut waiting: Vec<&PlannedStep> = self.plan.steps.iter().collect();
            let mut done: BTreeSet<String> = BTreeSet::new();
            let mut n_running = 0;
            loop {
                if failed.is_none() {
                    let is_ready =
                        |step: &PlannedStep| step.needs().into_iter().all(|need| done.contains(need));
                    let (ready, rest): (Vec<_>, Vec<_>) = waiting.iter().partition(|step| is_ready(step));
                    waiting = rest;
                    for step in ready {
                        let (sender, executor, ours) = (sender.clone(), &self, &ours);
                        n_running += 1;
                        scope.spawn(move || {
                            let ran = catch_unwind(AssertUnwindSafe(|| executor.step(step, ours)));
                            let ran = ran.unwrap_or_else(|_| {
                                Err(CaseError::StepPanicked) // the panic hook has written where
                            });
                            let _ = sender.send((step.id(), ran)); // the other end outlives the threads
                        });
                    }
                }
                if n_running == 0 {
                    break;
                }
                let Ok((id, ran)) = receiver.recv() else { break }; // a sender is here: it cannot fail
                n_running -= 1;
                match ran {
                    Ok(()) => {
                        done.insert(id.to_owned());
                    }
                    Err(error) => {
                        ours.cancel();
                        // what a cancelled neighbor says is no reason
                        if failed
                            .as_ref()
                            .is_none_or(|error| error.code() == ErrorCode::Cancelled)
                        {
                            failed = Some(error.at(id));
                        }
                    }
                }
            }
        });
        cancel.check()?;
        match failed {
            Some(error) => Err(error),
            None => Ok(self.state.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn step(&self, step: &PlannedStep, cancel: &CancelToken) -> Result<(), CaseError> {
        let began = Instant::now();
        let id = step.id();
        if let Some(place) = step.place(self.services) {
            let step = id.to_owned();
            self.events.event(CaseEvent::Running { step, place });
        }
        let mut ran = match step {
            PlannedStep::Skipped {
                kind, reason, labels, ..
            } => {
                let (reason, masks) = (reason.clone(), self.not_searched(labels)?);
                self.left_out(id, *kind, reason, masks)
            }
            PlannedStep::Model(model) => self.model(model, cancel)?,
            PlannedStep::Mask(step) => self.mask(step, cancel)?,
            PlannedStep::Sample(sample) => self.sample(sample, cancel)?,
        };
        let is_left_out = matches!(ran.work, StepWork::LeftOut { .. });
        let mut labels = Vec::new();
        if let Some(masks) = ran.masks {
            if !is_left_out {
                labels = masks.reference.label_volumes();
                ran.files
                    .extend(self.keep((id, &ran.work), &masks.reference, &labels, cancel)?);
            }
            self.state().masks.insert(id.to_owned(), masks);
        }
        let record = StepRecord {
            id: id.to_owned(),
            place: ran.place,
            work: ran.work,
            labels,
            files: ran.files,
            seconds: began.elapsed().as_secs_f64(),
            counters: ran.counters,
            versions: ran.versions,
        };
        self.state().records.insert(id.to_owned(), record);
        if !is_left_out {
            self.events.event(CaseEvent::Done { step: id.to_owned() });
        }
        Ok(())
    }

    fn left_out(&self, id: &str, step: StepKind, reason: String, masks: StepMasks) -> StepRun {
        self.events.event(CaseEvent::Skipped {
            step: id.to_owned(),
            reason: reason.clone(),
        });
        StepRun {
            masks: Some(masks),
            place: None,
            work: StepWork::LeftOut { step, reason },
            files: Vec::new(),
            counters: Counters::default(),
            versions: BTreeMap::new(),
        }
    }

    /// The mask of a model that was not run: its labels, none of them searched.
    fn not_searched(&self, labels: &[nephrite_nnunet::LabelDescription]) -> Result<StepMasks, CaseError> {
        let geometry = self.plan.scans[&self.plan.reference].frame;
        let failed = |error: nephrite_kernel::MaskError| CoreError::Operation(error.into());
        let runs = RunMask::empty(geometry, self.core.limits()).map_err(failed)?;
        let table = label_table_with(labels, LabelStatus::NotSearched)?;
        let mask = Arc::new(Mask::new(runs, table).map_err(failed)?);
        Ok(StepMasks {
            native: mask.clone(),
            reference: mask,
        })
    }

    fn model(&self, model: &PlannedModel, cancel: &CancelToken) -> Result<StepRun, CaseError> {
        let mut run = model.run.clone();
        let step = &model.step;
        if let Some(crop) = &step.crop {
            match self.crop(crop) {
                Err(fault @ CaseError::EmptyCrop { .. }) if step.optional => {
                    let description = self.core.inspect_model(&run.model, cancel)?;
                    let masks = self.not_searched(&description.labels)?;
                    return Ok(self.left_out(&step.id, StepKind::Model, fault.to_string(), masks));
                }
                found => run.crop = Some(found?),
            }
        }
        if let Some(id) = &step.previous_stage {
            run.previous_stage = PreviousStage::Mask(self.native(id));
        }
        let channels = step.channels.iter();
        run.masks = channels
            .map(|channel| (self.native(&channel.step), channel.label.clone()))
            .collect();

        let progress = self.progress(&step.id);
        let (place, outcome) = model.place.run_model(self.core, &run, &progress, cancel)?;
        if !model.place.is_here() {
            self.note_process(&place, outcome.peak_rss_bytes);
        }
        self.note_scan(model.phase, &outcome.scan.to_string(), &place)?;
        // those that a slow stream of events left out
        outcome
            .warnings
            .iter()
            .for_each(|warning| progress.warning(warning));
        let record = ModelRecord {
            folder: self.absolute(&run.model.folder),
            folds: outcome.folds,
            checkpoint: run.model.checkpoint.file_name().to_owned(),
            files: outcome.model_files,
            provider: outcome.provider,
            precision: outcome.precision,
            threads: outcome.threads,
            options: run.options,
            postprocessing: run.postprocessing != PostprocessingChoice::None,
            crop: run.crop.map(|crop| {
                let BoundingBox { start, end } = crop.bounds;
                let [start, end] = [start, end].map(|[z, y, x]| [x, y, z]);
                BoxRecord { start, end }
            }),
        };
        let geometry = self.plan.scans[&self.plan.reference].frame;
        let (mask, mut counters) = (outcome.mask, outcome.counters);
        let reference = on_grid(&mask, &geometry, self.core.limits(), &mut counters, cancel)?;
        Ok(StepRun {
            masks: Some(StepMasks {
                native: mask,
                reference,
            }),
            place: Some(place),
            work: StepWork::Model {
                phase: model.phase,
                model: Box::new(record),
                stages: outcome.stages,
                tiles: outcome.tiles,
            },
            files: Vec::new(),
            counters,
            versions: outcome.versions.into_iter().collect(),
        })
    }

    /// The box around labels of another step's mask.
    fn crop(&self, crop: &Crop) -> Result<WorldBox, CaseError> {
        let mask = self.native(&crop.step);
        let ids = nephrite_kernel::label_ids(&mask, "crop.labels", &crop.labels)?;
        let boxes = ids
            .iter()
            .filter_map(|id| Some(mask.summaries().get(id)?.bounding_box));
        let bounds = boxes
            .reduce(|a, b| a.union(&b))
            .ok_or_else(|| CaseError::EmptyCrop {
                step: crop.step.clone(),
                labels: crop.labels.clone(),
            })?;
        Ok(WorldBox {
            geometry: *mask.runs().geometry(),
            bounds,
            margin_mm: crop.margin_mm,
        })
    }

    fn mask(&self, step: &MaskStep, cancel: &CancelToken) -> Result<StepRun, CaseError> {
        let operations = &self.services.operations();
        let description = operations.describe(&step.operation, cancel)?;
        let mut inputs = Inputs::new();
        for input in &step.inputs {
            for id in &input.steps {
                inputs.add(&input.name, self.reference(id));
            }
        }
        let artefacts = step
            .artefacts
            .then(|| self.results.folder(&step.id))
            .transpose()?;
        let context = Context {
            limits: self.core.limits(),
            cancel,
            artefacts: artefacts.as_ref(),
        };
        let sizes: Vec<MaskSize> = inputs.masks().map(|mask| MaskSize::of(mask)).collect();
        let parameters = Parameters::check(&description.parameters, &step.parameters)?;
        let needed = operations.request_bytes(&step.operation, &sizes, &parameters)?;
        let memory = self.core.reserve(ON_MASKS, needed, &[], None, cancel)?;
        let outcome = operations.run(&step.operation, &inputs, &step.parameters, &context)?;
        drop(memory);
        let artefacts = outcome.artefacts.iter();
        let files = self.note_files(&step.id, artefacts.map(|artefact| &*artefact.name), cancel)?;
        let first = outcome.masks.into_iter().next();
        let (_, mask) = first.ok_or_else(|| CoreError::MaskOutput {
            operation: step.operation.clone(),
            output: "mask".to_owned(),
            known: Vec::new(),
        })?;
        let mut counters = Counters::default();
        counters.add_traffic(&outcome.traffic);
        Ok(StepRun {
            masks: Some(StepMasks {
                native: mask.clone(),
                reference: mask,
            }),
            place: Some(operations.place(&step.operation)),
            work: StepWork::Mask {
                operation: OperationRecord {
                    name: step.operation.clone(),
                    version: description.version,
                    at_service: operations.name_at_service(&step.operation),
                },
                parameters: parameters.values().clone(),
                measurements: outcome.measurements,
            },
            files,
            counters,
            versions: BTreeMap::new(),
        })
    }

    fn sample(&self, sample: &PlannedSample, cancel: &CancelToken) -> Result<StepRun, CaseError> {
        let step = &sample.step;
        let scan = &self.plan.scans[&sample.phase];
        let folder: Artefacts = self.results.folder(&step.id)?;
        let request = SampleStep {
            scan: scan.path.clone(),
            scan_bytes: Some(scan.bytes),
            reader: sample.reader,
            world: scan.world,
            mask: self.native(&step.step),
            labels: step.labels.clone(),
            margin_mm: step.margin_mm,
        };
        let (place, outcome) = sample.place.take_sample(self.core, &request, &folder, cancel)?;
        if !sample.place.is_here() {
            self.note_process(&place, outcome.peak_rss_bytes);
        }
        self.note_scan(sample.phase, &outcome.scan_sha256, &place)?;
        let files = outcome.files.iter();
        Ok(StepRun {
            masks: None,
            place: Some(place),
            work: StepWork::Sample { phase: sample.phase },
            files: self.note_files(&step.id, files.map(|file| &*file.name), cancel)?,
            counters: outcome.counters,
            versions: BTreeMap::new(),
        })
    }

    fn note_process(&self, place: &StepPlace, peak_rss_bytes: u64) {
        let mut state = self.state();
        let peak = state.processes.entry(place.clone()).or_default();
        *peak = (*peak).max(peak_rss_bytes);
    }

    /// All steps must have read the same bytes, here and in other cores.
    fn note_scan(&self, phase: Phase, found: &str, place: &StepPlace) -> Result<(), CaseError> {
        let mut state = self.state();
        let known = state.scans.entry(phase).or_insert_with(|| found.to_owned());
        if *known == found {
            return Ok(());
        }
        let scan = &self.plan.scans[&phase];
        scan.check_untouched(self.core, &CancelToken::new())?;
        Err(CoreError::Remote {
            core: place.to_string(),
            code: ErrorCode::Environment,
            message: format!(
                "it read other bytes from the scan of {phase} than another step: is the shared volume mounted at the same \
                 path everywhere? file {}",
                scan.path.display()
            ),
        }
        .into())
    }

    fn native(&self, id: &str) -> Arc<Mask> {
        self.state().masks[id].native.clone() // steps wait for what they need
    }

    fn reference(&self, id: &str) -> Arc<Mask> {
        self.state().masks[id].reference.clone()
    }

    fn absolute(&self, path: &std::path::Path) -> String {
        self.core.absolute_text(path)
    }

    pub(super) fn progress<'s>(&'s self, step: &'s str) -> StepProgress<'s> {
        StepProgress {
            step,
            events: self.events,
            state: &self.state,
        }
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Progress of a model as events of its case.
pub(super) struct StepProgress<'a> {
    step: &'a str,
    events: &'a dyn CaseEvents,
    state: &'a Mutex<State>,
}

impl Progress for StepProgress<'_> {
    fn stage(&self, stage: Stage) {
        self.events.event(CaseEvent::Stage {
            step: self.step.to_owned(),
            stage,
        });
    }

    fn advance(&self, done: u64, total: u64) {
        self.events.event(CaseEvent::Tiles {
            step: self.step.to_owned(),
            done,
            total,
        });
    }

    fn warning(&self, warning: &Warning) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.warnings.insert(warning.clone()) {
            drop(state);
            self.events.event(CaseEvent::Warning {
                step: Some(self.step.to_owned()),
                warning: warning.clone(),
            });
        }
    }
}

/// What all steps cost.
pub(super) fn total(records: &BTreeMap<String, StepRecord>) -> Counters {
    let mut sum = Counters::default();
    records.values().for_each(|record| sum.add(&record.counters));
    sum
}
