//! `nephrite dicom`: what series a folder holds, and one of them as a volume.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use nephrite_dicom::{PhaseEvidence, SeriesOptions, SeriesSummary};
use nephrite_image_core::{ConvertRequest, SeriesListing, convert, list_series};
use nephrite_types::count;

use super::failure::Failure;
use super::series_arguments::SeriesArguments;
use super::shared_arguments::MemoryArguments;
use super::{output, progress, signals, start};

#[derive(Debug, Subcommand)]
pub(crate) enum DicomCommand {
    /// List the series of a folder: slices, spacing, syntax, what is wrong with them, and what tags say of the contrast phase
    List(ListArguments),
    /// Write a series as the volume that dcm2niix would write
    Convert(ConvertArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Folder with DICOM files
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) series: SeriesArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    /// Folder with one series, or DIR#UID
    #[arg(value_name = "DIR[#UID]")]
    pub(crate) input: PathBuf,
    /// Where the volume goes, .nii.gz, .nii, .nrrd, .mha, .nhdr or .mhd
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) series: SeriesArguments,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(command: DicomCommand) -> Result<(), Failure> {
    match command {
        DicomCommand::List(arguments) => run_list(&arguments),
        DicomCommand::Convert(arguments) => run_convert(arguments),
    }
}

fn run_list(arguments: &ListArguments) -> Result<(), Failure> {
    let cancel = signals::cancelled_by_signals();
    let options = arguments.series.over(SeriesOptions::default());
    let core = start::idle_core(MemoryArguments::default()).with_series_options(options);
    let listing = list_series(&core, &arguments.folder, &cancel)?;
    output::print(&if arguments.json {
        output::json(&listing)
    } else {
        describe(&listing)
    });
    Ok(())
}

fn run_convert(arguments: ConvertArguments) -> Result<(), Failure> {
    let request = ConvertRequest {
        input: arguments.input,
        output: arguments.output,
    };
    let cancel = signals::cancelled_by_signals();
    let options = arguments.series.over(SeriesOptions::default());
    let core = start::idle_core(arguments.memory).with_series_options(options);
    let progress = progress::on_stderr(arguments.quiet);
    let report = convert(&core, &request, &*progress, &cancel)?;
    drop(progress); // takes the bar off the terminal
    if !arguments.quiet {
        let ([nx, ny, nz], [x, y, z]) = (report.shape, report.spacing);
        output::print(&format!(
            "{}: {nx}×{ny}×{nz} voxels at {x:.4}, {y:.4}, {z:.4} mm\n",
            report.output
        ));
    }
    Ok(())
}

fn describe(listing: &SeriesListing) -> String {
    let mut text = String::new();
    for series in &listing.series {
        describe_series(series, &mut text);
    }
    if listing.series.is_empty() {
        let _ = writeln!(text, "{}: no series", listing.folder);
    }
    for file in &listing.others {
        let _ = writeln!(text, "{}: {}", file.file, file.what);
    }
    text
}

/// What a file says is quoted: it may hold anything.
fn describe_series(series: &SeriesSummary, text: &mut String) {
    let [rows, columns] = series.matrix;
    let _ = write!(
        text,
        "{}  {}  {:?}  {}, {rows}×{columns}",
        series.id,
        series.modality.escape_debug(),
        series.description,
        count(series.n_images, "image"),
    );
    if let Some([slices, rows, columns]) = series.spacing {
        let _ = write!(text, ", {slices:.4} × {rows:.4} × {columns:.4} mm");
    }
    let _ = writeln!(text, ", {}", series.syntaxes.join(", "));
    if let Some(problem) = &series.problem {
        let _ = writeln!(text, "  cannot be read ({}): {}", problem.kind, problem.message);
    }
    for note in &series.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    let evidence = evidence(&series.phase);
    if !evidence.is_empty() {
        let _ = writeln!(text, "  contrast: {}", evidence.join(", "));
    }
}

fn evidence(phase: &PhaseEvidence) -> Vec<String> {
    let quoted = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value:?}"));
    let seconds = phase
        .seconds_after_start
        .map(|seconds| format!("{seconds} s after the start of the bolus"));
    let found = [
        quoted("phase", &phase.agent_phase),
        quoted("agent", &phase.agent),
        seconds,
        quoted("protocol", &phase.protocol),
    ];
    found.into_iter().flatten().collect()
}
