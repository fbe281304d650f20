//! `nephrite segment`: one model on one scan.

use std::fmt::Write as _;
use std::path::PathBuf;

use nephrite_image_core::{ModelChoice, PostprocessingChoice, SegmentReport, SegmentRequest, segment};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};

use super::args::{CheckpointArgument, ModelArguments, SegmentArguments};
use super::{Failure, progress, signals};

pub(crate) fn run(arguments: SegmentArguments) -> Result<(), Failure> {
    let request = SegmentRequest {
        model: model_choice(arguments.model, arguments.choice),
        inputs: arguments.input,
        previous_stage: arguments.previous_stage,
        output: arguments.output,
        save_probabilities: arguments.save_probabilities,
        options: arguments.options.0,
        postprocessing: match arguments.postprocessing {
            None => PostprocessingChoice::None,
            Some(None) => PostprocessingChoice::FromModel,
            Some(Some(file)) => PostprocessingChoice::File(file),
        },
        strict_geometry: arguments.strict_geometry,
    };
    let cancel = signals::cancelled_by_signals();
    let core = super::core(arguments.runtime);
    let report_file = arguments
        .report
        .map(|path| core.root().open_output(&path))
        .transpose()?;
    let progress = progress::on_stderr(arguments.quiet);
    let report = segment(&core, &request, &*progress, &cancel)?;
    drop(progress); // takes the bar off the terminal
    if let Some(file) = &report_file {
        super::write_report(file, &report)?;
    }
    if !arguments.quiet {
        super::print(&summary(&report));
    }
    Ok(())
}

/// The library's name for what was typed.
pub(crate) fn model_choice(folder: PathBuf, arguments: ModelArguments) -> ModelChoice {
    ModelChoice {
        folder,
        folds: match arguments.folds {
            folds if folds.is_empty() => FoldSelection::Available,
            folds => FoldSelection::List(folds),
        },
        checkpoint: match arguments.checkpoint {
            CheckpointArgument::Final => CheckpointKind::Final,
            CheckpointArgument::Best => CheckpointKind::Best,
        },
    }
}

/// What a person wants to know: structures with their volumes, then what it cost.
fn summary(report: &SegmentReport) -> String {
    let width = report
        .labels
        .iter()
        .map(|label| label.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(9);
    let mut text = format!("{:width$}  {:>12}  {:>10}\n", "structure", "voxels", "mL");
    for label in &report.labels {
        let _ = writeln!(
            text,
            "{:width$}  {:>12}  {:>10.2}",
            label.name, label.voxels, label.volume_ml
        );
    }
    let _ = writeln!(
        text,
        "{}: {} tiles on {} in {:.1} s, peak memory {:.2} GB",
        report.mask,
        report.tiles,
        report.provider,
        report.total_seconds,
        report.peak_rss_bytes as f64 / 1e9
    );
    text
}
