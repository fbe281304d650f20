//! A golden case, ready to run.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use nephrite_nnunet::preprocess::NetworkInput;
use nephrite_nnunet::{EngineFactory, PredictOptions, preprocess};
use nephrite_nnunet_folder::{Postprocessing, RemoveAllButLargest};
use nephrite_types::{CancelToken, Labels, Limits, Numerics, SegmentationOptions, Volume};
use nephrite_volume::Scan;

use crate::case_run::{LoadedModel, read_labels, read_scan};
use crate::golden_case::GoldenCase;

/// The scans of a case and what has to come before them.
#[derive(Debug)]
pub struct LoadedCase {
    /// The model.
    pub model: LoadedModel,
    /// One per channel.
    pub scans: Vec<Scan>,
    /// Mask of the previous stage of a cascade.
    pub previous: Option<Labels>,
}

impl LoadedCase {
    /// Loads the model and reads all files that the case names.
    ///
    /// # Errors
    /// If any of them cannot be used.
    pub fn new(case: &GoldenCase, factory: &dyn EngineFactory) -> Result<Self> {
        let model = LoadedModel::load(&case.path(&case.model), &case.folds, &case.checkpoint, factory)?;
        let reader = model.reader()?;
        let scans = case
            .inputs
            .iter()
            .map(|path| read_scan(&case.path(path), reader))
            .collect::<Result<Vec<_>>>()?;
        let previous = case
            .previous_stage
            .as_ref()
            .map(|path| read_labels(&case.path(path), reader))
            .transpose()?;
        Ok(LoadedCase {
            model,
            scans,
            previous,
        })
    }

    /// The channels.
    pub fn volumes(&self) -> Vec<&Volume> {
        self.scans.iter().map(|scan| &scan.volume).collect()
    }

    /// Everything before the network.
    ///
    /// # Errors
    /// As [`preprocess()`].
    pub fn network_input(&self, numerics: Numerics) -> Result<NetworkInput> {
        let limits = Limits::default();
        Ok(preprocess(
            &self.model.model,
            &self.volumes(),
            self.previous.as_ref(),
            numerics,
            &limits,
            &CancelToken::new(),
        )?)
    }
}

/// The options of a case.
pub fn options_of(case: &GoldenCase, numerics: Numerics) -> PredictOptions {
    PredictOptions {
        segmentation: SegmentationOptions {
            mirroring: case.mirroring,
            tile_step_size: case.tile_step_size,
            numerics,
            ..SegmentationOptions::default()
        },
        probabilities: case.save_probabilities,
        ..PredictOptions::default()
    }
}

/// The steps of the case's postprocessing, from its `json` or its `pkl` file.
///
/// # Errors
/// If it cannot be read or has no steps.
pub fn postprocessing_of(case: &GoldenCase, extension: &str) -> Result<Vec<RemoveAllButLargest>> {
    let named = case
        .postprocessing
        .as_ref()
        .context("the case names a postprocessing")?;
    let path = case.path(named).with_extension(extension);
    let file = path.display().to_string();
    let bytes = fs::read(&path).with_context(|| file.clone())?;
    let read = match extension {
        "json" => Postprocessing::from_json(&file, &bytes)?,
        _ => Postprocessing::from_pickle(&file, bytes)?,
    };
    ensure!(!read.steps.is_empty(), "{file} has no steps");
    Ok(read.steps)
}
