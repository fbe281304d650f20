//! What `nephrite models` and the server tell of a model folder before anything heavy is read.

use nephrite_types::CancelToken;
use serde::Serialize;

use crate::{CheckpointKind, Configuration, Fold, FolderError, LabelScheme, ModelFolder};

/// What a model folder is, for people and for JSON. Everything is in nnU-Net's own words and units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FolderDescription {
    /// As named by the caller.
    pub path: String,
    /// `dataset_name` of the plans.
    pub dataset: Option<String>,
    /// `plans_name` of the plans.
    pub plans: Option<String>,
    /// Trainer class, from the first checkpoint.
    pub trainer: Option<String>,
    /// Configuration that the folds were trained with, from the first checkpoint.
    pub configuration: String,
    /// All configurations of the plans.
    pub configurations: Vec<String>,
    /// Reader class that prepared the training images.
    pub image_reader_writer: String,
    /// Image channels, in order.
    pub channels: Vec<String>,
    /// What the mask holds, background left out.
    pub labels: Vec<LabelDescription>,
    /// True if the network predicts overlapping regions.
    pub has_regions: bool,
    /// Label that marked unannotated voxels in training.
    pub ignore_label: Option<u16>,
    /// From the reader's axes to the network's.
    pub transpose_forward: [usize; 3],
    /// Millimeters per voxel, in the network's axis order.
    pub spacing: Vec<f64>,
    /// Voxels, in the network's axis order.
    pub patch_size: Vec<usize>,
    /// Scheme per channel.
    pub normalization: Vec<&'static str>,
    /// Network class, last dotted component.
    pub network: String,
    /// True if the weights hold BatchNorm statistics.
    pub batch_norm: bool,
    /// Elements of all tensors of the first checkpoint, deep supervision heads included, each once.
    pub n_stored_parameters: u64,
    /// Axes that may be mirrored at inference; null if none.
    pub mirroring_axes: Option<Vec<usize>>,
    /// Of a cascade: the configuration whose mask is a further input.
    pub previous_stage: Option<String>,
    /// What there is.
    pub folds: Vec<FoldDescription>,
}

/// One value of the mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelDescription {
    /// In the mask.
    pub value: u16,
    /// What it is called.
    pub name: String,
}

/// One fold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoldDescription {
    /// `0`, `1`, … or `all`.
    pub name: String,
    /// `final`, `best`, `latest`.
    pub checkpoints: Vec<&'static str>,
    /// True if an exported network lies beside them.
    pub has_onnx: bool,
}

impl ModelFolder {
    /// Describes the folder. The first fold's best-placed checkpoint says which configuration it is.
    ///
    /// # Errors
    /// [`FolderError`]: no checkpoint at all, or the plans, that checkpoint or its configuration is broken.
    pub fn describe(&self) -> Result<FolderDescription, FolderError> {
        let folds = self.folds()?;
        let first = folds
            .iter()
            .find_map(|fold| Some((fold.name, *fold.checkpoints.first()?)));
        let (fold, kind) = first.ok_or_else(|| FolderError::NoFolds {
            folder: self.name().to_owned(),
            checkpoint: CheckpointKind::Final.file_name(),
            available: folds.iter().map(|fold| fold.name.directory()).collect(),
        })?;
        let checkpoint = self.open_checkpoint(fold, kind, &CancelToken::new())?;
        let configuration = self.configuration(checkpoint.configuration())?;
        let Configuration {
            name,
            previous_stage,
            patch_size,
            spacing,
            normalization,
            architecture,
            ..
        } = configuration;
        let plans = self.plans();
        let dataset = self.dataset();
        let infos = checkpoint
            .tensor_names()
            .filter_map(|name| checkpoint.tensor_info(name));
        Ok(FolderDescription {
            path: self.name().to_owned(),
            dataset: plans.dataset_name.clone(),
            plans: plans.plans_name.clone(),
            trainer: checkpoint.trainer_name().map(str::to_owned),
            configuration: name,
            configurations: plans
                .configuration_names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            image_reader_writer: plans.image_reader_writer.clone(),
            channels: dataset.channel_names.clone(),
            labels: describe_labels(&dataset.labels),
            has_regions: dataset.labels.has_regions(),
            ignore_label: dataset.labels.ignore,
            transpose_forward: plans.transpose_forward,
            spacing,
            patch_size,
            normalization: normalization.iter().map(|scheme| scheme.scheme_name()).collect(),
            network: architecture.class_name,
            batch_norm: checkpoint.has_batch_norm_statistics(),
            n_stored_parameters: infos.map(|info| info.n_params as u64).sum(),
            mirroring_axes: checkpoint.mirroring_axes().map(<[usize]>::to_vec),
            previous_stage,
            folds: folds.iter().map(describe_fold).collect(),
        })
    }
}

fn describe_labels(labels: &LabelScheme) -> Vec<LabelDescription> {
    let values = labels.value_names().into_iter();
    values
        .map(|(value, name)| LabelDescription {
            value,
            name: name.to_owned(),
        })
        .collect()
}

fn describe_fold(fold: &Fold) -> FoldDescription {
    FoldDescription {
        name: fold.name.to_string(),
        checkpoints: fold.checkpoints.iter().map(|kind| kind.name()).collect(),
        has_onnx: fold.has_onnx,
    }
}
