//! What was done, and what it cost.

use std::collections::BTreeMap;

use nephrite_engine::Provider;
use nephrite_kernel::{LabelStatus, LabelVolume};
use nephrite_nnunet::LabelDescription;
use nephrite_types::Precision;
use nephrite_types::{Geometry, Labels, SegmentationOptions, Stage, Warning, WarningCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ModelReport;

/// Seconds of wall time per stage. Loading and reading of a previous stage are included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageSeconds {
    /// Model folders read, sessions made and warmed up; next to nothing for a resident model.
    pub load_model: f64,
    /// Scans read and decompressed.
    pub read: f64,
    /// Crop, normalize, resample to the network's grid.
    pub preprocess: f64,
    /// Tiles through the network.
    pub inference: f64,
    /// Logits to the scan's grid, labels, postprocessing.
    pub export: f64,
    /// Masks compressed and written.
    pub write: f64,
}

impl StageSeconds {
    /// All of them, in the order of work.
    pub(crate) fn by_stage(&self) -> [(Stage, f64); 6] {
        [
            (Stage::LoadModel, self.load_model),
            (Stage::Read, self.read),
            (Stage::Preprocess, self.preprocess),
            (Stage::Inference, self.inference),
            (Stage::Export, self.export),
            (Stage::Write, self.write),
        ]
    }

    pub(crate) fn add(&mut self, stage: Stage, seconds: f64) {
        let sum = match stage {
            Stage::LoadModel => &mut self.load_model,
            Stage::Read => &mut self.read,
            Stage::Preprocess => &mut self.preprocess,
            Stage::Inference => &mut self.inference,
            Stage::Export => &mut self.export,
            Stage::Write => &mut self.write,
        };
        *sum += seconds;
    }
}

/// Something odd that did not stop the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarningReport {
    /// Which kind.
    pub code: WarningCode,
    /// The file it is about; may be empty.
    pub file: String,
    /// What is odd, and what was done about it.
    pub message: String,
}

impl From<&Warning> for WarningReport {
    fn from(warning: &Warning) -> Self {
        WarningReport {
            code: warning.code,
            file: warning.file.clone(),
            message: warning.message.clone(),
        }
    }
}

/// What was done, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentReport {
    /// The mask, as the request named it.
    pub mask: String,
    /// DICOM objects beside the mask.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// The probabilities, as the request named them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<String>,
    /// Structures, in the order of `dataset.json`; background left out.
    pub labels: Vec<LabelVolume>,
    /// Voxels of the mask, x, y, z of its file.
    pub shape: [usize; 3],
    /// Millimeters between voxel centers, x, y, z of its file.
    pub spacing: [f64; 3],
    /// Everything odd, in the order in which it was found.
    pub warnings: Vec<WarningReport>,
    /// Seconds per stage.
    pub stages: StageSeconds,
    /// Seconds from request to mask.
    pub total_seconds: f64,
    /// Tiles that ran through a network, over folds and previous stage; mirrored copies not counted.
    pub tiles: u64,
    /// Most memory that the process ever held, in bytes.
    pub peak_rss_bytes: u64,
    /// What it was expected to hold at its peak, from headers and plans, in bytes; so much was reserved before it began.
    pub expected_memory_bytes: u64,
    /// What ran the network.
    pub provider: Provider,
    /// In what it computed.
    pub precision: Precision,
    /// CPU threads of the network.
    pub threads: usize,
    /// Compressed bytes read from scans.
    pub input_bytes_read: u64,
    /// Bytes read from weight files; 0 if the model was resident.
    pub weight_bytes_read: u64,
    /// The model.
    pub model: ModelReport,
    /// The model of the previous stage, if it was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_stage: Option<ModelReport>,
    /// The options in force.
    pub options: OptionsReport,
    /// Versions of what took part.
    pub versions: BTreeMap<&'static str, String>,
}

/// The options in force, by their command-line names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptionsReport {
    /// How the mask was made.
    #[serde(flatten)]
    pub segmentation: SegmentationOptions,
    /// Largest components kept, by the model's own rules.
    pub postprocessing: bool,
}

/// Counts the voxels of each structure; `geometry` says how large one is in the world.
pub(crate) fn count_labels(
    labels: &Labels,
    geometry: &Geometry,
    structures: &[LabelDescription],
) -> Vec<LabelVolume> {
    let counts = labels.voxel_counts();
    let voxel_ml = geometry.voxel_mm3() / 1000.0;
    let report = |structure: &LabelDescription| {
        let voxels = counts.get(usize::from(structure.id)).copied().unwrap_or(0);
        let volume_ml = voxels as f64 * voxel_ml;
        LabelVolume {
            id: structure.id,
            name: structure.name.clone(),
            status: match voxels {
                0 => LabelStatus::NotFound,
                _ => LabelStatus::Present,
            },
            voxels,
            volume_ml,
        }
    };
    structures.iter().map(report).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use nephrite_types::{Affine, Shape3, Spacing};

    use super::*;

    #[test]
    fn volumes_are_in_millilitres_and_absent_labels_count_zero() {
        let mut array = Array3::<u8>::zeros((1, 2, 5));
        array[[0, 0, 0]] = 1;
        array[[0, 1, 1]] = 2;
        array[[0, 1, 2]] = 2;
        let structures = [("kidney", 2), ("cyst", 1), ("absent", 300)].map(|(name, id)| LabelDescription {
            name: name.to_owned(),
            id,
        });
        let spacing = Spacing::new([5.0, 10.0, 10.0]).unwrap();
        let geometry = |spacing, in_world| Geometry {
            shape: Shape3::new([1, 2, 5]).unwrap(),
            spacing,
            affine: Affine::from_spacing(in_world, [0.0; 3]),
        };
        let reports = count_labels(
            &Labels::U8(array.clone()),
            &geometry(spacing, spacing),
            &structures,
        );
        assert_eq!(
            reports.iter().map(|r| (r.id, r.voxels)).collect::<Vec<_>>(),
            [(2, 2), (1, 1), (300, 0)]
        );
        assert_eq!(reports[0].volume_ml, 1.0);
        // What the network takes for the third spacing of a 2-D image is no length in the world.
        let made_up = Spacing::new([9990.0, 10.0, 10.0]).unwrap();
        let reports = count_labels(&Labels::U8(array), &geometry(made_up, spacing), &structures);
        assert_eq!(reports[0].volume_ml, 1.0);
    }
}
