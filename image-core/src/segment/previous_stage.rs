//! Where the mask of a cascade's first stage comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephrite_kernel::{Mask, open_volume};
use nephrite_types::{CancelToken, Geometry, Labels};
use nephrite_volume::{Orientation, World, displacement, labels_from_volume, read_label_volume, same_voxels};

use crate::core::Core;
use crate::error::CoreError;
use crate::model::OpenModel;

/// What a request says of it.
#[derive(Debug, Clone, Default)]
pub(crate) enum PreviousStage {
    /// The model beside this one is run first, if this one is a second stage.
    #[default]
    Model,
    /// A file, on the voxels of the first scan; its axes may run another way.
    File(PathBuf),
    /// A mask in memory, on any grid.
    Mask(Arc<Mask>),
}

/// The same, found to fit the model.
#[derive(Debug)]
pub(super) enum OpenPreviousStage {
    /// The model is no second stage.
    NotNeeded,
    File(PathBuf),
    Mask(Arc<Mask>),
    /// Run first.
    Model(Arc<OpenModel>),
}

impl PreviousStage {
    pub(super) fn open(
        &self,
        core: &Core,
        model: &OpenModel,
        cancel: &CancelToken,
    ) -> Result<OpenPreviousStage, CoreError> {
        match (model.description.previous_stage.as_deref(), self) {
            (None, PreviousStage::Model) => Ok(OpenPreviousStage::NotNeeded),
            (None, _) => Err(CoreError::PreviousStageUnexpected {
                model: model.choice.folder.clone(),
            }),
            (Some(_), PreviousStage::File(path)) => Ok(OpenPreviousStage::File(path.clone())),
            (Some(_), PreviousStage::Mask(mask)) => Ok(OpenPreviousStage::Mask(mask.clone())),
            (Some(stage), PreviousStage::Model) => {
                let stage = core.models().open_beside(model, stage, cancel)?;
                Ok(OpenPreviousStage::Model(stage))
            }
        }
    }
}

impl OpenPreviousStage {
    /// The model that is run first.
    pub(super) fn model(&self) -> Option<&OpenModel> {
        match self {
            OpenPreviousStage::Model(model) => Some(model),
            _ => None,
        }
    }
}

/// The mask of a previous stage in the order of the reader's array. `scan` is the frame of the scan's file and how its axes
/// become those of the array.
///
/// The mask lies where the world says, on the voxels of the scan: its axes may run another way in its own file. nnU-Net takes
/// it by index, wherever it lies; a mask of other voxels is refused here, since none was trained with one.
pub(super) fn read_mask(
    core: &Core,
    path: &Path,
    (frame, orientation): (&Geometry, Orientation),
    world: World,
    cancel: &CancelToken,
) -> Result<(Labels, u64), CoreError> {
    let name = path.to_string_lossy();
    let files = open_volume::<CoreError>(core.root(), path)?;
    let read = read_label_volume(files, &name, world.plain_reader(), core.limits(), cancel)?;
    let there = read.header.frame(world)?;
    let turn = same_voxels(&there, frame).ok_or_else(|| CoreError::PreviousStageElsewhere {
        expected: frame.shape,
        found: there.shape,
        apart: (there.shape == frame.shape).then(|| displacement(frame, &there).millimetres),
        path: path.to_owned(),
    })?;
    let labels = labels_from_volume(&read.volume).map_err(|source| CoreError::NotAMask {
        path: path.to_owned(),
        source,
    })?;
    let in_file_order = turn.labels_to_ras(labels);
    Ok((orientation.labels_to_ras(in_file_order), read.bytes_read))
}
