//! A case from its request to its record.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nephrite_dicomweb::Address;
use nephrite_types::{CancelToken, Phase};

use super::executor::{Executor, State, total};
use super::owner::{Caller, CaseOwner};
use super::plan::{Plan, PlannedStep};
use super::record::{
    FORMAT, JobRecord, OverrideRecord, PipelineRecord, ProcessRecord, Record, RequestRecord, ScanRecord,
    SeriesRecord, StepRecord,
};
use super::report::CaseReport;
use super::results::{ResultFolder, check_output_is_free};
use super::{CaseError, CaseEvent, CaseEvents, CaseRequest};
use crate::core::Core;
use crate::masks::StepPlace;
use crate::memory::{TextFile, peak_rss_bytes};
use crate::model::FileRecord;
use crate::place::CaseServices;
use crate::segment::{WarningReport, log};
use crate::series::fetch;

/// Runs a case: checks everything that can be checked without running, claims the name of the result folder, runs the steps
/// where they are placed, writes each mask when it is ready and `record.json` last. Until then the folder has a hidden name
/// beside its own; that is given to it at the end, so that a result folder is there whole or not at all.
///
/// Each scan is read once by each process that needs it; nothing intermediate is written, unless a mask is too large for a
/// message.
///
/// # Errors
/// [`CaseError`], naming the step if one failed. No result folder is left then.
pub fn run_case(
    core: &Core,
    services: &CaseServices,
    request: &CaseRequest,
    events: &dyn CaseEvents,
    cancel: &CancelToken,
) -> Result<CaseReport, CaseError> {
    run_case_for(core, services, request, &Caller, events, cancel)
}

/// The same for somebody who may lose the right to its result meanwhile.
///
/// # Errors
/// As [`run_case`]; what the owner says.
pub fn run_case_for(
    core: &Core,
    services: &CaseServices,
    request: &CaseRequest,
    owner: &dyn CaseOwner,
    events: &dyn CaseEvents,
    cancel: &CancelToken,
) -> Result<CaseReport, CaseError> {
    let started = Instant::now();
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let is_fetched = request.scans.iter().any(|(_, scan)| Address::is_meant(scan));
    if is_fetched {
        check_output_is_free(core.root(), &request.output)?; // before anything comes over the network
    }
    let scans = request.scans.iter().map(|(_, scan)| scan);
    let fetched = fetch(core, scans, &request.output, cancel)?;
    let phases = request.scans.iter().map(|(phase, _)| *phase);
    let here = CaseRequest {
        scans: phases.zip(fetched.paths.iter().cloned()).collect(),
        ..request.clone()
    };
    let plan = Plan::new(core, services, &here, cancel)?;
    plan.check_memory(core, cancel)?;
    for warning in &plan.warnings {
        log(warning);
        events.event(CaseEvent::Warning {
            step: None,
            warning: warning.clone(),
        });
    }
    let results = ResultFolder::create(core.root(), &request.output, owner.job().as_ref())?;
    services.sweep_exchange(core.root());
    let state = Executor::new(core, services, &plan, &results, events).run(cancel)?;
    for (phase, scan) in &plan.scans {
        if let Some(sha256) = state.scans.get(phase) {
            scan.check_unchanged(core, sha256, cancel)?;
        }
    }
    let record = record(RecordParts {
        core,
        request,
        job: owner.job(),
        plan: &plan,
        state,
        files: results.files(),
        started_unix_seconds: since_epoch.map_or(0, |since| since.as_secs()),
        total_seconds: started.elapsed().as_secs_f64(),
    });
    results.finish(record, owner)
}

/// What a record is made from.
struct RecordParts<'a> {
    core: &'a Core,
    request: &'a CaseRequest,
    job: Option<JobRecord>,
    plan: &'a Plan,
    state: State,
    files: Vec<FileRecord>,
    started_unix_seconds: u64,
    total_seconds: f64,
}

fn record(parts: RecordParts<'_>) -> Record {
    let RecordParts {
        core,
        request,
        job,
        plan,
        mut state,
        files,
        ..
    } = parts;
    let absolute = |path: &Path| core.absolute_text(path);
    let text_record = |file: &TextFile| PipelineRecord {
        path: absolute(&file.path),
        sha256: file.sha256.clone(),
        text: file.text.clone(),
    };
    let counters = total(&state.records);
    let steps: Vec<StepRecord> = plan
        .steps
        .iter()
        .map(PlannedStep::id)
        .filter_map(|id| state.records.remove(id))
        .collect();
    let mut masks = state.kept;
    masks.sort_by(|a, b| a.file.cmp(&b.file));
    // what was fetched lay somewhere else, and lies there no longer
    let asked: BTreeMap<Phase, &Path> = request
        .scans
        .iter()
        .map(|(phase, path)| (*phase, &**path))
        .collect();
    let scans = plan.scans.iter().map(|(phase, scan)| ScanRecord {
        phase: *phase,
        path: absolute(asked.get(phase).copied().unwrap_or(&scan.path)),
        sha256: state.scans.get(phase).cloned(),
        bytes: scan.bytes,
        shape: scan.frame.shape.xyz(),
        spacing: scan.frame.spacing.xyz(),
        series: scan.series.as_ref().map(|series| SeriesRecord {
            id: series.summary.id.clone(),
            instances: series.instances().into_iter().map(str::to_owned).collect(),
            options: core.volumes().rules().series.clone(),
        }),
    });
    let overrides = plan.overrides.iter().map(|(step, phase)| OverrideRecord {
        step: step.clone(),
        phase: *phase,
    });
    let mut processes = vec![ProcessRecord {
        place: StepPlace::InProcess,
        peak_rss_bytes: peak_rss_bytes(),
    }];
    processes.extend(
        state
            .processes
            .into_iter()
            .map(|(place, peak_rss_bytes)| ProcessRecord {
                place,
                peak_rss_bytes,
            }),
    );
    let warnings = plan.warnings.iter().chain(&state.warnings);
    Record {
        format: FORMAT,
        nephrite: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_seconds: parts.started_unix_seconds,
        request: RequestRecord::of(request, absolute),
        job,
        reused: None,
        pipeline: plan.file.as_ref().map(text_record),
        codes: plan.codes.as_ref().map(text_record),
        reference: plan.reference,
        scans: scans.collect(),
        overrides: overrides.collect(),
        steps,
        masks,
        files,
        warnings: warnings.map(WarningReport::from).collect(),
        counters,
        processes,
        total_seconds: parts.total_seconds,
    }
}
