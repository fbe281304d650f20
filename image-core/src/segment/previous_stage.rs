//! Where the mask of a cascade's first stage comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephrite_kernel::{LabelTable, Mask, MaskSize, open_volume};
use nephrite_types::{CancelToken, Geometry, Labels, Warning};
use nephrite_volume::{Orientation, World, displacement, labels_from_volume, read_label_volume, same_voxels};

use crate::core::Core;
use crate::error::CoreError;
use crate::model::OpenModel;
use crate::objects::{MaskFile, ObjectGrid};

/// What a request says of it.
#[derive(Debug, Clone, Default)]
pub(crate) enum PreviousStage {
    /// The model beside this one is run first, if this one is a second stage.
    #[default]
    Model,
    /// A file, on the voxels of the first scan; its axes may run another way. A label map, or a DICOM object.
    File(PathBuf),
    /// A mask in memory, on any grid.
    Mask(Arc<Mask>),
}

/// The same, found to fit the model.
#[derive(Debug)]
pub(super) enum OpenPreviousStage {
    /// The model is no second stage.
    NotNeeded,
    /// A label map.
    File(PathBuf),
    /// On any grid.
    Mask(Arc<Mask>),
    /// Of a DICOM object, on the frame of the first scan.
    Object(Arc<Mask>),
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

    /// Bytes that it holds which nobody else counts.
    pub(super) fn held_bytes(&self) -> u64 {
        match self {
            OpenPreviousStage::Object(mask) => MaskSize::of(mask).run_bytes(),
            _ => 0,
        }
    }

    /// With a DICOM object read on `frame`, that of the first scan: before the run takes its memory, since only the content of an
    /// object says how much it holds. Its label values are the numbers of its segments, or regions counted from 1. Gives what its
    /// user should know.
    ///
    /// # Errors
    /// [`CoreError::Object`] for an object that does not lie on these voxels, or is of another frame of reference;
    /// [`CoreError::OverlappingSegments`].
    pub(super) fn with_object(
        self,
        core: &Core,
        frame: &Geometry,
        scan: &Path,
        cancel: &CancelToken,
    ) -> Result<(OpenPreviousStage, Vec<Warning>), CoreError> {
        let OpenPreviousStage::File(path) = &self else {
            return Ok((self, Vec::new()));
        };
        let file = MaskFile::open(core, path)?;
        if !file.is_object() {
            return Ok((self, Vec::new()));
        }
        let scan = ObjectGrid::new(&core.volumes().open_scan(scan, cancel)?, *frame, scan);
        let names = LabelTable::default();
        let seen = file.look(core, path, &names, Some(&scan), cancel)?;
        let warnings = seen.warnings().to_vec();
        let mask = seen.read(core, path, &names, cancel, |_| Ok(()))?;
        Ok((OpenPreviousStage::Object(Arc::new(mask)), warnings))
    }
}

/// The label map of a previous stage in the order of the reader's array. `scan` is the frame of the scan's file and how its axes
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
