//! `nephrite models`: what model folders there are, and what one is.

use std::fmt::Write as _;

use nephrite_image_core::ModelListing;
use nephrite_nnunet::ModelDescription;

use super::failure::Failure;
use super::segment::model_choice;
use super::shared_arguments::{MemoryArguments, ModelArguments};
use super::signals;
use super::{output, start};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Say what a model folder is: channels, labels, spacing, patch, network, folds, mirroring, memory
    Inspect {
        /// Folder of the trained model
        #[arg(value_name = "DIR")]
        model: PathBuf,
        #[command(flatten)]
        choice: ModelArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the model folders beneath a folder
    List {
        /// Where to look, such as nnU-Net's results folder
        #[arg(value_name = "ROOT")]
        root: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(command: ModelsCommand) -> Result<(), Failure> {
    let core = start::idle_core(MemoryArguments::default());
    let cancel = signals::cancelled_by_signals();
    match command {
        ModelsCommand::Inspect { model, choice, json } => {
            let description = core.inspect_model(&model_choice(model, choice), &cancel)?;
            output::print(&if json {
                output::json(&description)
            } else {
                describe(&description)
            });
        }
        ModelsCommand::List { root, json } => {
            let listings = core.models().list(&root, &cancel)?;
            output::print(&if json {
                output::json(&listings)
            } else {
                table(&listings)
            });
        }
    }
    Ok(())
}

fn table(listings: &[ModelListing]) -> String {
    let mut text = String::new();
    for listing in listings {
        let folds = listing.folds.iter().map(|fold| fold.trim_start_matches("fold_"));
        let folds = folds.collect::<Vec<_>>().join(",");
        let _ = writeln!(text, "{}  folds {folds}", listing.folder.display());
    }
    text
}

/// Sizes and spacings as in `plans.json`: slowest axis of the network first.
fn describe(model: &ModelDescription) -> String {
    let unknown = || "unknown".to_owned();
    let join = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" × ");
    let channels = model
        .channels
        .iter()
        .map(|channel| format!("{} ({})", channel.name, channel.normalization));
    let labels = model
        .labels
        .iter()
        .map(|label| format!("{} {}", label.id, label.name));
    let axes = model
        .mirroring_axes
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>();
    let folds = model.available_folds.iter().map(|fold| {
        let onnx = if fold.has_onnx { ", network.onnx" } else { "" };
        format!("{} ({}{onnx})", fold.name, fold.checkpoints.join(", "))
    });
    let patch = model
        .patch_size
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(" × ");
    let gigabytes = |bytes: u64| format!("{:.2} GB while it runs", bytes as f64 / 1e9);
    let parameters = |n: u64| format!("{:.2} million per fold", n as f64 / 1e6);
    let rows = [
        ("folder", model.folder.clone()),
        ("dataset", model.dataset.clone().unwrap_or_else(unknown)),
        ("configuration", model.configuration.clone()),
        ("trainer", model.trainer.clone().unwrap_or_else(unknown)),
        ("plans", model.plans.clone().unwrap_or_else(unknown)),
        ("reader", model.reader.clone()),
        ("channels", channels.collect::<Vec<_>>().join(", ")),
        (
            if model.regions { "regions" } else { "labels" },
            labels.collect::<Vec<_>>().join(", "),
        ),
        ("spacing", format!("{} mm", join(&model.spacing_mm))),
        ("patch", format!("{patch} voxels")),
        ("axis order", format!("{:?}", model.transpose_forward)),
        (
            "network",
            match model.network_is_built_in {
                true => model.network.clone(),
                false => format!("{} (from network.onnx)", model.network),
            },
        ),
        ("parameters", model.n_parameters.map_or_else(unknown, parameters)),
        ("folds in use", model.folds.join(", ")),
        ("folds there", folds.collect::<Vec<_>>().join(", ")),
        (
            "mirroring",
            if axes.is_empty() {
                "none".to_owned()
            } else {
                format!("axes {}", axes.join(", "))
            },
        ),
        (
            "previous stage",
            model.previous_stage.clone().unwrap_or_else(|| "none".to_owned()),
        ),
        (
            "memory",
            model.expected_memory_bytes.map_or_else(unknown, gigabytes),
        ),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:15} {value}");
    }
    text
}
