//! `nephrite mask`: one operation on mask files.

use std::fmt::Write as _;
use std::path::Path;

use nephrite_dicom::SeriesOptions;
use nephrite_image_core::masks::{MaskInput, MaskOutput, MaskReport, MaskRequest, run_mask};
use nephrite_image_core::{Core, CoreError, read_small_file};
use nephrite_kernel::{LabelEntry, LabelStatus, LabelTable};
use nephrite_nnunet_folder::plain_labels;
use nephrite_types::count;

use super::failure::Failure;
use super::place::services_are_unnamed;
use super::series_arguments::SeriesArguments;
use super::shared_arguments::{MemoryArguments, NamedPath, Pair, PlaceArguments};
use super::{output, start};
use super::{place, progress, signals};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct MaskArguments {
    /// Name of the operation; `nephrite plugin describe NAME` lists what it takes
    #[arg(value_name = "OPERATION")]
    pub(crate) operation: String,
    /// File of label ids (NIfTI, NRRD, MetaImage), DICOM segmentation, or DICOM structure set, for the operation's first input or for the one named
    #[arg(long, value_name = "[NAME=]FILE", required = true)]
    pub(crate) input: Vec<NamedPath>,
    /// What the ids mean: `kidney=1,vein=2`, or nnU-Net's dataset.json. Once for all inputs, or once per input, in their
    /// order [default: label_1, label_2 …]
    #[arg(long, value_name = "NAME=ID,…|FILE.json")]
    pub(crate) labels: Vec<String>,
    /// Scan on whose voxels DICOM objects are read, which a structure set needs: a file, a folder with one DICOM series, or DIR#UID.
    /// Once for all inputs, or once per input, in their order; label maps have a grid of their own [default: of a segmentation, the
    /// grid of its frames]
    #[arg(long, value_name = "FILE|DIR[#UID]")]
    pub(crate) grid: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) series: SeriesArguments,
    /// A parameter; lists are separated by commas
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<Pair>,
    /// Where the mask goes, .nii.gz, .nii, .nrrd, .mha, .nhdr or .mhd; of several masks, the one named
    #[arg(long, value_name = "[NAME=]FILE")]
    pub(crate) output: Vec<NamedPath>,
    /// Folder for what else the operation makes (pictures, tables, meshes); made if only its last part is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) artefacts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
    /// Write what was done as JSON: labels with volumes in mL, measurements, files, seconds
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

pub(crate) fn run(arguments: MaskArguments) -> Result<(), Failure> {
    let cancel = signals::cancelled_by_signals();
    let options = arguments.series.over(SeriesOptions::default());
    let core = start::idle_core(arguments.memory).with_series_options(options);
    let operations = place::operations(&arguments.place, Some(&arguments.operation), &core)?;
    let report_file = match &arguments.report {
        Some(path) => Some(core.root().open_output(path)?),
        None => None,
    };
    let tables = label_tables(&core, &arguments.labels, arguments.input.len())?;
    let grids = per_input("--grid", &arguments.grid, arguments.input.len())?;
    let inputs = arguments.input.into_iter().zip(tables).zip(grids);
    let request = MaskRequest {
        operation: arguments.operation,
        inputs: inputs
            .map(|((input, labels), grid)| MaskInput {
                name: input.name,
                path: input.path,
                labels,
                grid,
            })
            .collect(),
        parameters: arguments
            .parameters
            .into_iter()
            .map(|pair| (pair.0, pair.1))
            .collect(),
        outputs: arguments
            .output
            .into_iter()
            .map(|output| MaskOutput {
                name: output.name,
                path: output.path,
            })
            .collect(),
        artefacts: arguments.artefacts,
    };
    let report = run_mask(&core, &operations, &request, &cancel);
    let report = report.map_err(|error| {
        let is_unknown = error.is_unknown_operation();
        place::failure(error, is_unknown && services_are_unnamed(&arguments.place))
    })?;
    for warning in &report.warnings {
        progress::warn(warning);
    }
    if let Some(file) = report_file {
        output::write_report(&file, &report)?;
    }
    if !arguments.quiet {
        output::print(&table(&report));
    }
    Ok(())
}

/// One table per input.
fn label_tables(core: &Core, given: &[String], n_inputs: usize) -> Result<Vec<LabelTable>, Failure> {
    let tables = given
        .iter()
        .map(|text| label_table(core, text))
        .collect::<Result<Vec<_>, _>>()?;
    let tables = per_input("--labels", &tables, n_inputs)?.into_iter();
    Ok(tables.map(Option::unwrap_or_default).collect())
}

/// For each input what was given once for all of them, or once per input.
fn per_input<T: Clone>(option: &str, given: &[T], n_inputs: usize) -> Result<Vec<Option<T>>, Failure> {
    match given {
        [] => Ok(vec![None; n_inputs]),
        [one] => Ok(vec![Some(one.clone()); n_inputs]),
        each if each.len() == n_inputs => Ok(each.iter().cloned().map(Some).collect()),
        _ => Err(Failure::wrong(
            option,
            &format!(
                "given {} for {}",
                count(given.len(), "time"),
                count(n_inputs, "input")
            ),
            "once for all inputs, or once per input",
        )),
    }
}

fn label_table(core: &Core, text: &str) -> Result<LabelTable, Failure> {
    let pairs = if text.ends_with(".json") {
        dataset_labels(core, Path::new(text))?
    } else {
        let parts = text.split(',').map(|part| {
            let (name, id) = part.trim().rsplit_once('=')?;
            Some((name.to_owned(), id.parse().ok()?))
        });
        let pairs: Option<Vec<(String, u16)>> = parts.collect();
        pairs.ok_or_else(|| Failure::wrong("--labels", text, "NAME=ID,NAME=ID… or a .json file"))?
    };
    let entries = pairs
        .into_iter()
        .filter(|(_, id)| *id != 0)
        .map(|(name, id)| LabelEntry {
            id,
            name,
            status: LabelStatus::Present,
        });
    let table = LabelTable::new(entries.collect());
    table.map_err(|error| Failure::wrong("--labels", &error.to_string(), "ids and names that occur once"))
}

/// The `labels` of nnU-Net's dataset.json: names and whole numbers. Regions (lists) stand for no single id.
fn dataset_labels(core: &Core, path: &Path) -> Result<Vec<(String, u16)>, Failure> {
    let bytes = read_small_file(core.root(), path, core.limits().max_json_bytes)?;
    Ok(plain_labels(&path.to_string_lossy(), &bytes).map_err(CoreError::from)?)
}

fn table(report: &MaskReport) -> String {
    let mut text = String::new();
    let name_width = |names: &mut dyn Iterator<Item = &str>| {
        names.map(|name| name.chars().count()).max().unwrap_or(0).max(9)
    };
    for mask in &report.masks {
        let width = name_width(&mut mask.labels.iter().map(|label| label.name.as_str()));
        let place = mask.path.as_deref().unwrap_or("not kept");
        let _ = writeln!(text, "{}: {place}", mask.name); // writing to a string cannot fail
        let _ = writeln!(
            text,
            "  {:width$}  {:>5}  {:>11}  {:>9}",
            "label", "id", "voxels", "mL"
        );
        for label in &mask.labels {
            let status = if label.voxels == 0 {
                label.status.name()
            } else {
                ""
            };
            let row = format!(
                "  {:width$}  {:>5}  {:>11}  {:>9.2}  {status}",
                label.name, label.id, label.voxels, label.volume_ml
            );
            let _ = writeln!(text, "{}", row.trim_end());
        }
    }
    if !report.measurements.is_empty() {
        let width = name_width(&mut report.measurements.iter().map(|m| m.label.as_str()));
        for measurement in &report.measurements {
            let value = format!("{:.4}", measurement.value);
            let value = value.trim_end_matches('0').trim_end_matches('.');
            let (label, name, unit) = (&measurement.label, &measurement.name, &measurement.unit);
            let row = format!("  {label:width$}  {name}  {value} {unit}");
            let _ = writeln!(text, "{}", row.trim_end());
        }
    }
    for artefact in &report.artefacts {
        let _ = writeln!(text, "{}", artefact.path);
    }
    let seconds = &report.seconds;
    let _ = writeln!(
        text,
        "{} {} ({}): read {:.2} s, run {:.2} s, write {:.2} s",
        report.operation, report.version, report.place, seconds.read, seconds.run, seconds.write
    );
    text
}
