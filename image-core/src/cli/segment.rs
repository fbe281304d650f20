//! `nephrite segment`: one model on one scan.

use std::fmt::Write as _;
use std::path::PathBuf;

use nephrite_image_core::{ModelChoice, PostprocessingChoice, SegmentReport, SegmentRequest, segment};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::Precision;
use nephrite_types::count;

use super::failure::Failure;
use super::object_arguments::ObjectArguments;
use super::option_arguments::OptionArguments;
use super::shared_arguments::{CheckpointArgument, ModelArguments, RuntimeArguments};
use super::{output, start};
use super::{progress, signals};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct SegmentArguments {
    /// Folder of the trained model, named Trainer__Plans__Configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) choice: ModelArguments,
    /// Scan: a file, a folder with one DICOM series, or DIR#UID; once per channel of the model, in its order
    #[arg(long, value_name = "FILE|DIR[#UID]", required = true)]
    pub(crate) input: Vec<PathBuf>,
    /// Which DICOM series of the folder that is the input; `nephrite dicom list` shows them
    #[arg(long, value_name = "UID")]
    pub(crate) series: Option<String>,
    /// Mask of a cascade's previous stage, on the voxels of the input; axes may run another way: a label map, a DICOM segmentation, or a
    /// DICOM structure set [default: the previous stage is run first, if
    /// its folder lies beside the model's]
    #[arg(long, value_name = "FILE")]
    pub(crate) previous_stage: Option<PathBuf>,
    /// Where the mask goes, .nii.gz, .nii, .nrrd, .mha, .nhdr or .mhd
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) objects: ObjectArguments,
    #[command(flatten)]
    pub(crate) options: OptionArguments,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArguments,
    /// Write the class probabilities too: .npz with member `probabilities`, f32 [class, z, y, x]
    #[arg(long, value_name = "FILE")]
    pub(crate) save_probabilities: Option<PathBuf>,
    /// Apply the postprocessing of this postprocessing.json or .pkl, or without FILE the one in the model's folder
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) postprocessing: Option<Option<PathBuf>>,
    /// Odd geometry is an error, not a warning: channels that do not lie where the first one lies, headers that contradict
    /// themselves
    #[arg(long)]
    pub(crate) strict_geometry: bool,
    /// Write what was done as JSON: seconds per stage, memory in bytes, tiles, labels with volumes in mL
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Print nothing but errors and warnings
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(arguments: SegmentArguments) -> Result<(), Failure> {
    let request = SegmentRequest {
        model: model_choice(arguments.model, arguments.choice),
        inputs: inputs(arguments.input, arguments.series.as_deref())?,
        previous_stage: arguments.previous_stage,
        output: arguments.output,
        objects: (&arguments.objects).into(),
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
    let core = start::core(arguments.runtime)?;
    let report_file = arguments
        .report
        .map(|path| core.root().open_output(&path))
        .transpose()?;
    let progress = progress::on_stderr(arguments.quiet);
    let report = segment(&core, &request, &*progress, &cancel)?;
    drop(progress); // takes the bar off the terminal
    if let Some(file) = &report_file {
        output::write_report(file, &report)?;
    }
    if !arguments.quiet {
        output::print(&summary(&report));
    }
    Ok(())
}

/// The inputs, with the series that `--series` names.
fn inputs(inputs: Vec<PathBuf>, series: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    match (series, &inputs[..]) {
        (None, _) => Ok(inputs),
        (Some(uid), [folder]) => {
            let mut named = folder.clone().into_os_string();
            named.push(format!("#{uid}"));
            Ok(vec![named.into()])
        }
        (Some(uid), _) => Err(Failure::wrong(
            "--series",
            uid,
            "one --input; of several, DIR#UID for each",
        )),
    }
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
        precision: None,
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
    let precision = match report.precision {
        Precision::F32 => String::new(),
        other => format!(" with {other}"),
    };
    let _ = writeln!(
        text,
        "{}: {} on {}{precision} in {:.1} s, peak memory {:.2} GB",
        report.mask,
        count(report.tiles, "tile"),
        report.provider,
        report.total_seconds,
        report.peak_rss_bytes as f64 / 1e9
    );
    for object in &report.objects {
        let _ = writeln!(text, "{object}");
    }
    text
}
