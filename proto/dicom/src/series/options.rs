//! What is accepted of a series that is not quite regular; goes into records.

use serde::{Deserialize, Serialize};

/// How irregular a series may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeriesOptions {
    /// How far a slice may lie from its even place, as a fraction of the step from slice to slice.
    pub spacing_tolerance: f64,
    /// How far slices may shift against each other within their plane from first to last, as a fraction of a pixel.
    pub shift_tolerance: f64,
    /// What becomes of a series whose gantry was tilted.
    pub tilt: Tilt,
    /// What becomes of two slices at one place.
    pub duplicates: Duplicates,
    /// Modalities that are read.
    pub modalities: Vec<String>,
    /// Whether a series must name its frame of reference.
    pub frame_of_reference: FrameOfReference,
    /// What becomes of a series beside which a DICOM file is broken: nobody knows whether it belongs to it.
    pub broken_files: BrokenFiles,
    /// How the axes of the array run.
    pub layout: Layout,
}

/// What becomes of a series whose gantry was tilted: slices shift along their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tilt {
    /// It is refused.
    Refuse,
    /// Rows are shifted back, with linear interpolation; the array has more rows, and PixelPaddingValue where nothing was
    /// measured, or else what air (CT) or nothing (MR) has. Its voxels are no longer pixels of the images.
    Resample,
}

/// What becomes of two slices at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// They are refused.
    Refuse,
    /// One is taken if both have the same pixels; else they are refused.
    Identical,
}

/// Whether a series must name its frame of reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameOfReference {
    /// It must.
    Require,
    /// It need not: positions hold within the series alone.
    Optional,
}

/// What becomes of a series beside which a DICOM file is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenFiles {
    /// It is refused.
    Refuse,
    /// It is read without that file.
    Ignore,
}

/// How the axes of the array run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// As in the NIfTI file that dcm2niix writes, which most nnU-Nets were trained on: columns, rows from the last to the
    /// first, slices along the normal of the plane; of a 3-D MR acquisition the axes run to R, A, S instead.
    Dcm2niix,
    /// The same without the exception.
    Slices,
}

impl Default for SeriesOptions {
    /// Within a hundredth of a step and a tenth of a pixel; CT and MR; everything else is refused.
    fn default() -> Self {
        SeriesOptions {
            spacing_tolerance: 0.01,
            shift_tolerance: 0.1,
            tilt: Tilt::Refuse,
            duplicates: Duplicates::Refuse,
            modalities: vec!["CT".to_owned(), "MR".to_owned()],
            frame_of_reference: FrameOfReference::Require,
            broken_files: BrokenFiles::Refuse,
            layout: Layout::Dcm2niix,
        }
    }
}
