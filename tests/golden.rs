//! nephrite beside the real nnU-Net, stage by stage, on every case of `tests/golden`.

#![allow(clippy::print_stdout)] // tables for whoever runs the tests

mod golden_postprocessing;
mod golden_replay;
mod real_models;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use half::f16;
use nephrite_cpu::Level;
use nephrite_cuda::Precision;
use nephrite_nnunet::preprocess::NetworkInput;
use nephrite_nnunet::tiles::TileGrid;
use nephrite_nnunet::{ModelDescription, predict, predict_preprocessed};
use nephrite_tests::agreement::{LabelAgreement, half_agreement, label_agreement, largest_difference};
use nephrite_tests::case_run::{LoadedModel, read_labels, read_scan, reference_logits};
use nephrite_tests::golden_case::{GoldenCase, Kind};
use nephrite_tests::loaded_case::{LoadedCase, options_of, postprocessing_of};
use nephrite_tests::npz::Npz;
use nephrite_tests::runtime::Factory;
use nephrite_tests::tolerances::{
    AFFINE, DEFAULT_LABELS, LOGITS, NETWORK_INPUT, PROBABILITIES, REFERENCE_LABELS, SPACING,
};
use nephrite_tests::workspace;
use nephrite_types::{CancelToken, Limits, NoProgress, Numerics, Volume};
use nephrite_volume::{Reader, write_label_map};

/// What one case measured; a dash in the table where nothing was recorded to compare with.
#[derive(Debug, Default)]
struct Figures {
    input_difference: Option<f64>,
    logits_agreement: Option<f64>,
    reference_labels: Option<f64>,
    default_labels: Option<f64>,
    failures: Vec<String>,
}

impl Figures {
    fn require(
        &mut self,
        what: &str,
        holds: bool,
        found: impl std::fmt::Display,
        wanted: impl std::fmt::Debug,
    ) {
        if !holds {
            self.failures.push(format!("{what}: {found}, wanted {wanted:?}"));
        }
    }
}

#[test]
fn every_case_agrees_with_nnunet() {
    // What the program runs on the CPU, on this processor and on lesser ones; then what other providers run.
    for level in [Level::Avx512, Level::Avx2, Level::Neon, Level::Portable] {
        if level.is_available() {
            check_all(&Factory::own(level).unwrap()).unwrap();
        }
    }
    check_all(&Factory::onnxruntime().unwrap()).unwrap();
    check_all(&Factory::twin(Precision::Single)).unwrap();
}

fn check_all(factory: &Factory) -> Result<()> {
    let cases = GoldenCase::all()?;
    ensure!(!cases.is_empty(), "no cases");
    let mut table = format!(
        "\n{:27} {:>10} {:>10} {:>10} {:>10}\n",
        factory.name(),
        "input",
        "logits",
        "reference",
        "default"
    );
    let mut failures = String::new();
    for case in cases.iter().filter(|case| case.kind == Kind::Segment) {
        let figures = match run(case, factory) {
            Ok(figures) => figures,
            Err(error) => Figures {
                failures: vec![format!("{error:#}")],
                ..Figures::default()
            },
        };
        let share = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{:.3} %", 100.0 * v));
        table += &format!(
            "{:27} {:>10} {:>10} {:>10} {:>10}\n",
            case.name,
            figures
                .input_difference
                .map_or("-".to_owned(), |v| format!("{v:.1e}")),
            share(figures.logits_agreement),
            share(figures.reference_labels),
            share(figures.default_labels),
        );
        for failure in figures.failures {
            failures += &format!("{}: {failure}\n", case.name);
        }
    }
    println!("{table}");
    ensure!(failures.is_empty(), "{table}\n{failures}");
    Ok(())
}

fn run(case: &GoldenCase, factory: &Factory) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut loaded = LoadedCase::new(case, factory)?;
    if case.run_previous_stage {
        let beside = previous_stage_folder(&case.path(&case.model), &loaded.model.description)?;
        let first = LoadedModel::load(&beside, &case.folds, &case.checkpoint, factory)?;
        let options = options_of(case, Numerics::Reference);
        let limits = Limits::default();
        let labels = predict(
            &first.model,
            &loaded.volumes(),
            None,
            &options,
            &limits,
            &NoProgress,
            &CancelToken::new(),
        )?;
        let expected = loaded
            .previous
            .replace(labels.labels)
            .context("the previous stage's mask is recorded")?;
        let agreement = label_agreement(&expected, loaded.previous.as_ref().context("just put there")?);
        figures.require(
            "previous stage",
            agreement >= REFERENCE_LABELS.0,
            agreement,
            REFERENCE_LABELS,
        );
    }
    let input = loaded.network_input(Numerics::Reference)?;
    compare_grids(case, &loaded, &input, &mut figures);
    if let Some(mut arrays) = case.stage_arrays()? {
        if arrays.has("network_input") {
            let expected = arrays.array::<f32>("network_input")?;
            let fast = loaded.network_input(Numerics::Fast)?;
            let difference = largest_difference(expected.iter(), input.data.iter())
                .max(largest_difference(expected.iter(), fast.data.iter()));
            figures.require(
                "network input",
                difference <= NETWORK_INPUT.0,
                difference,
                NETWORK_INPUT,
            );
            figures.input_difference = Some(difference);
        }
        if arrays.has("logits") {
            let expected = arrays.array::<f16>("logits")?;
            let logits = reference_logits(&loaded.model, &input, &options_of(case, Numerics::Reference))?;
            ensure!(
                expected.shape() == logits.shape(),
                "logits {:?}, expected {:?}",
                logits.shape(),
                expected.shape()
            );
            let agreement = half_agreement(expected.iter(), logits.iter(), LOGITS.ulps);
            figures.require("logits", agreement >= LOGITS.share, agreement, LOGITS);
            figures.logits_agreement = Some(agreement);
        }
    }
    let wanted = [
        (Numerics::Reference, REFERENCE_LABELS),
        (Numerics::Fast, DEFAULT_LABELS),
    ];
    for (numerics, tolerance) in wanted {
        let agreement = compare_labels(case, &loaded, numerics, tolerance, &mut figures)?;
        match numerics {
            Numerics::Reference => figures.reference_labels = Some(agreement),
            Numerics::Fast => figures.default_labels = Some(agreement),
        }
    }
    Ok(figures)
}

/// Crop and shapes must be equal, spacing too but for its last bit.
fn compare_grids(case: &GoldenCase, loaded: &LoadedCase, input: &NetworkInput, figures: &mut Figures) {
    let stages = &case.stages;
    let volume = &loaded.scans[0].volume;
    let mut same = |what: &str, found: &[usize], expected: &[usize]| {
        figures.require(what, found == expected, format!("{found:?}"), expected);
    };
    same("shape", &volume.voxels.shape(), &stages.shape);
    let order = input.transpose_forward;
    same(
        "start of the crop",
        &order.map(|a| input.crop.start[a]),
        &stages.bounding_box.iter().map(|b| b[0]).collect::<Vec<_>>(),
    );
    same(
        "end of the crop",
        &order.map(|a| input.crop.end[a]),
        &stages.bounding_box.iter().map(|b| b[1]).collect::<Vec<_>>(),
    );
    same(
        "cropped shape",
        &input.cropped_shape(),
        &stages.shape_after_cropping,
    );
    same("network input", input.data.shape(), &stages.network_shape);
    same("classes", &[loaded.model.model.n_classes()], &[stages.n_classes]);
    match TileGrid::new(
        input.network_shape(),
        loaded.model.model.patch(),
        case.tile_step_size,
        &Limits::default(),
    ) {
        Err(error) => figures.failures.push(error.to_string()),
        Ok(grid) => {
            for (axis, starts) in stages.tile_starts.iter().enumerate() {
                same(&format!("tile starts on axis {axis}"), &grid.starts[axis], starts);
            }
        }
    }
    let spacing = volume.geometry.spacing.zyx();
    figures.require(
        "spacing",
        spacing.len() == stages.spacing.len()
            && spacing
                .iter()
                .zip(&stages.spacing)
                .all(|(a, b)| (a - b).abs() <= SPACING.0 * b),
        format!("{spacing:?}"),
        &stages.spacing,
    );
}

/// Predicts, writes the mask, reads it again and compares it with the one that nnU-Net wrote. Returns the agreement.
fn compare_labels(
    case: &GoldenCase,
    loaded: &LoadedCase,
    numerics: Numerics,
    tolerance: LabelAgreement,
    figures: &mut Figures,
) -> Result<f64> {
    let n_failures = figures.failures.len();
    let mut options = options_of(case, numerics);
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let input = loaded.network_input(numerics)?;
    let prediction = predict_preprocessed(
        &loaded.model.model,
        &input,
        &options,
        &limits,
        &NoProgress,
        &cancel,
    )?;
    figures.require(
        "tiles",
        prediction.n_tiles == case.stages.n_tiles,
        prediction.n_tiles,
        case.stages.n_tiles,
    );

    let actual = actual_folder(case, numerics)?;
    let dir = Dir::open_ambient_dir(&actual, ambient_authority())?;
    let source = &loaded.scans[0].source;
    write_label_map(&dir, "labels.nii.gz", &prediction.labels, source)?;
    let agreement = compare_files(
        &case.path(&case.expected.labels),
        &actual.join("labels.nii.gz"),
        figures,
    )?;
    figures.require(
        "labels",
        agreement >= tolerance.0,
        format!("{agreement} ({numerics:?})"),
        tolerance,
    );

    if let Some(path) = &case.expected.probabilities {
        let expected = Npz::open(&case.path(path))?.array::<f32>("probabilities")?;
        let found = prediction
            .probabilities
            .as_ref()
            .context("probabilities were asked for")?;
        ensure!(
            expected.shape() == found.shape(),
            "probabilities of shape {:?}",
            found.shape()
        );
        if numerics == Numerics::Reference {
            let difference = largest_difference(expected.iter(), found.iter());
            figures.require(
                "probabilities",
                difference <= PROBABILITIES.0,
                difference,
                PROBABILITIES,
            );
        }
    }
    if let Some(path) = &case.expected.labels_postprocessed {
        for extension in ["json", "pkl"] {
            options.postprocessing = postprocessing_of(case, extension)?;
            let processed = predict_preprocessed(
                &loaded.model.model,
                &input,
                &options,
                &limits,
                &NoProgress,
                &cancel,
            )?;
            write_label_map(&dir, "labels_postprocessed.nii.gz", &processed.labels, source)?;
            let agreement = compare_files(
                &case.path(path),
                &actual.join("labels_postprocessed.nii.gz"),
                figures,
            )?;
            figures.require(
                &format!("postprocessed by {extension}"),
                agreement >= tolerance.0,
                agreement,
                tolerance,
            );
        }
    }
    if figures.failures.len() == n_failures {
        fs::remove_dir_all(&actual)?;
        // the case's own folder, unless another run left something in it
        let _ = actual.parent().map(fs::remove_dir);
    } else {
        figures
            .failures
            .push(format!("actual output is in {}", actual.display()));
    }
    Ok(agreement)
}

/// Two masks as files: where they lie, what they are stored as, and the share of equal voxels.
fn compare_files(expected: &Path, actual: &Path, figures: &mut Figures) -> Result<f64> {
    let (a, b) = (
        read_scan(expected, Reader::Nibabel)?.volume,
        read_scan(actual, Reader::Nibabel)?.volume,
    );
    let (stored, wanted) = (b.voxels.voxel_type(), a.voxels.voxel_type());
    figures.require("stored type", stored == wanted, stored.name(), wanted);
    let rows = |volume: &Volume| {
        volume
            .geometry
            .affine
            .rows()
            .concat()
            .into_iter()
            .map(|v| v as f32)
            .collect::<Vec<_>>()
    };
    let difference = largest_difference(rows(&a).iter(), rows(&b).iter());
    figures.require("affine", difference <= AFFINE.0, difference, AFFINE);
    Ok(label_agreement(
        &read_labels(expected, Reader::Nibabel)?,
        &read_labels(actual, Reader::Nibabel)?,
    ))
}

/// `<Trainer>__<Plans>__<stage>` beside `<Trainer>__<Plans>__<Configuration>`.
fn previous_stage_folder(folder: &Path, model: &ModelDescription) -> Result<PathBuf> {
    let stage = model.previous_stage.as_ref().context("not a cascade")?;
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .context("a folder has a name")?;
    let (prefix, _) = name.rsplit_once("__").context("three parts joined by __")?;
    Ok(folder.with_file_name(format!("{prefix}__{stage}")))
}

/// An empty folder for what this case gave; kept if it is wrong.
fn actual_folder(case: &GoldenCase, numerics: Numerics) -> Result<PathBuf> {
    let folder = workspace::root()
        .join("target/golden-actual")
        .join(&case.name)
        .join(format!("{numerics:?}").to_lowercase());
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
