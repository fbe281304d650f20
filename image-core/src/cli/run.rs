//! `nephrite run`: a case, here or at a server.

use std::fmt::Write as _;
use std::path::Path;

use nephrite_image_core::case::{
    BareModel, CaseError, CasePipeline, CaseReport, CaseRequest, PhaseChoice, Profile, run_case,
};
use nephrite_kernel::{LabelStatus, LabelVolume};
use nephrite_types::Phase;

use super::args::{Pair, ProfileArgument, RunArguments};
use super::case_place::CasePlace;
use super::{Failure, case_progress, run_at_server, signals};

pub(crate) fn run(arguments: RunArguments) -> Result<(), Failure> {
    let request = request(&arguments)?;
    let cancel = signals::cancelled_by_signals();
    let events = case_progress::on_stderr(arguments.quiet);
    let done = match &arguments.server {
        Some(url) => run_at_server::run(url, &request, &*events, &cancel)?,
        None => {
            let place = CasePlace::new(arguments.place, arguments.runtime)?;
            let request = with_core_paths(&place, request)?;
            let report = run_case(&place.core, &place.services, &request, &*events, &cancel)?;
            CaseSummary::new(&request.output, report)
        }
    };
    drop(events); // takes the bars off the terminal
    if !arguments.quiet {
        super::print(&done.to_text());
    }
    Ok(())
}

fn request(arguments: &RunArguments) -> Result<CaseRequest, Failure> {
    let pipeline = match &arguments.what.pipeline {
        Some(file) => CasePipeline::File(file.clone()),
        None => {
            let models = arguments.what.models.iter().map(|model| {
                Ok(BareModel {
                    model: model.path.clone(),
                    phase: model.name.as_deref().map(phase).transpose()?,
                })
            });
            CasePipeline::Models(models.collect::<Result<_, Failure>>()?)
        }
    };
    let scans = arguments
        .scans
        .iter()
        .map(|Pair(name, path)| Ok((phase(name)?, path.into())));
    let choices = |pairs: &[Pair], override_accepted| {
        let choice = |Pair(step, name): &Pair| {
            Ok(PhaseChoice {
                step: step.clone(),
                phase: phase(name)?,
                override_accepted,
            })
        };
        pairs.iter().map(choice).collect::<Result<Vec<_>, Failure>>()
    };
    let mut phases = choices(&arguments.phases, false)?;
    phases.extend(choices(&arguments.overrides, true)?);
    Ok(CaseRequest {
        pipeline,
        scans: scans.collect::<Result<_, Failure>>()?,
        steps: arguments.steps.clone(),
        profile: match arguments.profile {
            ProfileArgument::Full => Profile::Full,
            ProfileArgument::Quick => Profile::Quick,
        },
        phases,
        output: arguments.output.clone(),
        strict_geometry: arguments.strict_geometry,
    })
}

fn phase(name: &str) -> Result<Phase, Failure> {
    Phase::from_name(name).ok_or_else(|| {
        let found = name.chars().take(64).collect();
        CaseError::UnknownPhase { found }.into()
    })
}

/// The request with the paths that were typed as the core must have them.
fn with_core_paths(place: &CasePlace, request: CaseRequest) -> Result<CaseRequest, Failure> {
    let core_path = |path: &Path| place.core_path(path);
    let pipeline = match &request.pipeline {
        CasePipeline::File(file) => CasePipeline::File(core_path(file)?),
        CasePipeline::Models(models) => {
            let models = models.iter().map(|bare| {
                Ok(BareModel {
                    model: core_path(&bare.model)?,
                    phase: bare.phase,
                })
            });
            CasePipeline::Models(models.collect::<Result<_, Failure>>()?)
        }
    };
    let scans = request
        .scans
        .iter()
        .map(|(phase, path)| Ok((*phase, core_path(path)?)));
    Ok(CaseRequest {
        pipeline,
        scans: scans.collect::<Result<_, Failure>>()?,
        output: core_path(&request.output)?,
        ..request
    })
}

/// What a person wants to know of a case that is done.
pub(super) struct CaseSummary {
    pub(super) output: String,
    /// Path and labels.
    pub(super) masks: Vec<(String, Vec<LabelVolume>)>,
    pub(super) n_files: usize,
    pub(super) scan_reads: u64,
    pub(super) total_seconds: f64,
    pub(super) peak_rss_bytes: u64,
}

impl CaseSummary {
    fn new(output: &Path, report: CaseReport) -> CaseSummary {
        let path = |file: &str| output.join(file).display().to_string();
        let masks = report.record.masks.into_iter();
        CaseSummary {
            masks: masks.map(|mask| (path(&mask.file), mask.labels)).collect(),
            n_files: report.files.len(),
            scan_reads: report.record.counters.scan_reads,
            total_seconds: report.record.total_seconds,
            peak_rss_bytes: report
                .record
                .processes
                .first()
                .map_or(0, |own| own.peak_rss_bytes),
            output: output.display().to_string(),
        }
    }

    /// Masks with the volumes of their labels, then what it cost.
    fn to_text(&self) -> String {
        let labels = self.masks.iter().flat_map(|(_, labels)| labels);
        let width = labels
            .map(|label| label.name.chars().count())
            .max()
            .unwrap_or(0)
            .max(9);
        let mut text = String::new(); // writing to a string cannot fail
        for (path, labels) in &self.masks {
            let _ = writeln!(
                text,
                "{path}\n{:width$}  {:>12}  {:>10}",
                "structure", "voxels", "mL"
            );
            for label in labels {
                let LabelVolume {
                    name,
                    status,
                    voxels,
                    volume_ml,
                    ..
                } = label;
                let _ = if *status == LabelStatus::Present {
                    writeln!(text, "{name:width$}  {voxels:>12}  {volume_ml:>10.2}")
                } else {
                    writeln!(text, "{name:width$}  {:>12}", status.name().replace('_', " "))
                };
            }
        }
        let _ = writeln!(
            text,
            "{}: {} files from {} scans in {:.1} s, peak memory {:.2} GB",
            self.output,
            self.n_files,
            self.scan_reads,
            self.total_seconds,
            self.peak_rss_bytes as f64 / 1e9
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_not_there_say_why() {
        let label = |name: &str, status, voxels| LabelVolume {
            id: 1,
            name: name.to_owned(),
            status,
            voxels,
            volume_ml: voxels as f64 / 100.0,
        };
        let labels = vec![
            label("kidney", LabelStatus::Present, 1234),
            label("cyst", LabelStatus::NotFound, 0),
        ];
        let summary = CaseSummary {
            output: "out".to_owned(),
            masks: vec![("out/a.nii.gz".to_owned(), labels)],
            n_files: 2,
            scan_reads: 3,
            total_seconds: 1.25,
            peak_rss_bytes: 2_000_000_000,
        };
        let expected = "out/a.nii.gz\n\
                        structure        voxels          mL\n\
                        kidney             1234       12.34\n\
                        cyst          not found\n\
                        out: 2 files from 3 scans in 1.2 s, peak memory 2.00 GB\n";
        assert_eq!(summary.to_text(), expected);
    }
}
