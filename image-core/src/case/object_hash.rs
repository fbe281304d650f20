//! What identifiers of DICOM objects follow from, so that the same request writes the same bytes in every place.

use std::collections::BTreeMap;

use nephrite_types::{Phase, SegmentationOptions};
use nephrite_volume::FileHash;
use serde::Serialize;

use super::record::StepWork;
use crate::model::FileRecord;

/// Everything that a mask was made with and of, and the mask itself. Where steps ran and what ran them is not in it.
#[derive(Serialize)]
pub(super) struct ObjectParts<'a> {
    pub(super) nephrite: &'static str,
    /// SHA-256 of the pipeline file.
    pub(super) pipeline: Option<&'a str>,
    /// SHA-256 of the file of codes of models without a pipeline file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) codes: Option<&'a str>,
    pub(super) step: &'a str,
    /// Steps that the mask comes from, its own among them.
    pub(super) works: BTreeMap<&'a str, WorkPart<'a>>,
    /// SHA-256 of the scans that these read.
    pub(super) scans: BTreeMap<Phase, &'a str>,
    /// Of the series that objects refer to.
    pub(super) source: Vec<&'a str>,
    /// SHA-256 of the files of the label map, one after the other.
    pub(super) mask: String,
}

/// What a step did, as far as it is the same in every place.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WorkPart<'a> {
    Model {
        phase: Phase,
        files: &'a [FileRecord],
        folds: &'a [String],
        checkpoint: &'a str,
        options: &'a SegmentationOptions,
    },
    Mask {
        operation: &'a str,
        version: &'a str,
    },
    Nothing,
}

impl<'a> WorkPart<'a> {
    pub(super) fn of(work: &'a StepWork) -> WorkPart<'a> {
        match work {
            StepWork::Model { phase, model, .. } => WorkPart::Model {
                phase: *phase,
                files: &model.files,
                folds: &model.folds,
                checkpoint: &model.checkpoint,
                options: &model.options,
            },
            StepWork::Mask { operation, .. } => WorkPart::Mask {
                operation: &operation.name,
                version: &operation.version,
            },
            StepWork::Sample { .. } | StepWork::LeftOut { .. } => WorkPart::Nothing,
        }
    }
}

impl ObjectParts<'_> {
    pub(super) fn hash(&self) -> [u8; 32] {
        let text = serde_json::to_string(self).expect("keys are strings");
        FileHash::of(text.as_bytes()).sha256
    }
}
