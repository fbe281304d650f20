//! What a listing holds: series as plain data, and what is needed to read one.

use dicom_dictionary_std::uids;
use nephrite_types::{FileIdentity, Geometry, IntensityScale, Limits, VoxelType};
use nephrite_volume::ScanHeader;
use serde::Serialize;

use super::axes::ArrayAxes;
use super::phase::PhaseEvidence;
use super::study::Study;
use crate::error::DicomError;
use crate::series_fault::{DuplicatePixels, SeriesFault};

/// Retired, but read.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// What a folder holds.
#[derive(Debug, Clone)]
pub struct Listing {
    /// As the caller named the folder.
    pub name: String,
    /// Stacks of images, sorted by what they are called; those that cannot be read too.
    pub series: Vec<Series>,
    /// Files that are no images, sorted.
    pub others: Vec<OtherFile>,
}

/// A file that is no image of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherFile {
    /// Path beneath the folder.
    pub file: String,
    /// What it is.
    pub what: String,
    /// It begins as a DICOM file does, and cannot be read.
    pub is_broken: bool,
}

/// One stack of images of one series.
#[derive(Debug, Clone)]
pub struct Series {
    /// What is printed of it.
    pub summary: SeriesSummary,
    /// What an object made from it copies.
    pub study: Study,
    /// Why it is not read, or how it is.
    pub(super) plan: Result<Plan, SeriesFault>,
    /// Images lie where others lie, and are refused.
    pub(super) duplicates: Option<SeriesFault>,
    /// Of its slices, in ten-thousandths; what several stacks of one series are told apart by.
    pub(super) direction: Option<[i64; 6]>,
    pub(super) pixel_spacing: Option<[i64; 2]>,
    /// Of its images; the plan counts in them.
    pub(super) files: Vec<SeriesFile>,
}

/// A file of a series.
#[derive(Debug, Clone)]
pub(super) struct SeriesFile {
    pub(super) path: std::path::PathBuf,
    pub(super) name: String,
    /// When its header was read.
    pub(super) identity: FileIdentity,
    pub(super) sop_instance: String,
}

/// How a series becomes an array.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) slices: Vec<PlannedSlice>,
    /// Images that lie where a slice lies: they must show the same.
    pub(super) twice: Vec<(PlannedSlice, usize)>,
    pub(super) geometry: Geometry,
    pub(super) axes: ArrayAxes,
    pub(super) voxel_type: VoxelType,
    /// Of all slices; identity where each has its own.
    pub(super) scale: IntensityScale,
    /// Rows are resampled.
    pub(super) tilt: Option<PlannedTilt>,
}

/// How rows of a tilted gantry are put back.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedTilt {
    /// Rows of the array before the first row of the first image.
    pub(super) rows_before: f64,
    /// Rows that each image is shifted by against the one before it.
    pub(super) by: f64,
    /// Where nothing was measured.
    pub(super) fill: f32,
}

/// One image.
#[derive(Debug, Clone)]
pub(super) struct PlannedSlice {
    pub(super) file: usize,
    /// Counted from 1.
    pub(super) frame: u32,
    pub(super) scale: IntensityScale,
    pub(super) source: SourceSlice,
}

/// Where one slice of the array comes from, for objects that refer to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceSlice {
    /// SOPClassUID.
    pub sop_class: String,
    /// SOPInstanceUID.
    pub sop_instance: String,
    /// Counted from 1, of a multi-frame image.
    pub frame: Option<u32>,
    /// Center of the first pixel of the first row, mm, LPS.
    pub position: [f64; 3],
    /// Along a row, the way columns are counted; LPS.
    pub row_direction: [f64; 3],
    /// Along a column, the way rows are counted; LPS.
    pub column_direction: [f64; 3],
    /// mm between rows, then between columns.
    pub spacing: [f64; 2],
    /// Rows of the image.
    pub rows: u32,
    /// Columns of the image.
    pub columns: u32,
}

/// What is printed of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesSummary {
    /// What it is called: the SeriesInstanceUID; with `:1`, `:2` … where the series has several stacks.
    pub id: String,
    /// SeriesInstanceUID.
    pub uid: String,
    /// Modality.
    pub modality: String,
    /// SeriesDescription.
    pub description: String,
    /// Images.
    pub n_images: usize,
    /// Files.
    pub n_files: usize,
    /// Rows and columns.
    pub matrix: [i64; 2],
    /// mm along slices, rows, columns, of a series that can be read.
    pub spacing: Option<[f64; 3]>,
    /// Voxels of the array `[z, y, x]`, of a series that can be read.
    pub shape: Option<[usize; 3]>,
    /// UID and name of each transfer syntax.
    pub syntaxes: Vec<String>,
    /// Why it is not read.
    pub problem: Option<Problem>,
    /// What is odd about it, though it is read.
    pub notes: Vec<String>,
    /// What tags say of the contrast phase.
    pub phase: PhaseEvidence,
}

/// A fault of a series, for programs and people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// [`SeriesFault::kind`].
    pub kind: &'static str,
    /// In words.
    pub message: String,
}

impl Problem {
    pub(super) fn of(fault: &SeriesFault) -> Problem {
        Problem {
            kind: fault.kind(),
            message: fault.to_string(),
        }
    }
}

impl Series {
    pub(super) fn plan(&self) -> Result<&Plan, DicomError> {
        match (&self.plan, &self.duplicates) {
            (Err(fault), _) | (_, Some(fault)) => Err(self.error(fault.clone())),
            (Ok(plan), None) => Ok(plan),
        }
    }

    /// Says of images at one place what their pixels are to each other.
    pub(super) fn tell_duplicates(&mut self, found: DuplicatePixels) {
        if let Some(fault) = &mut self.duplicates {
            if let SeriesFault::DuplicatePosition { pixels, .. } = fault {
                *pixels = found;
            }
            self.summary.problem = Some(Problem::of(fault));
        }
    }

    pub(super) fn error(&self, fault: SeriesFault) -> DicomError {
        DicomError::Series {
            series: self.summary.id.clone(),
            fault,
        }
    }

    /// Why it is not read.
    ///
    /// # Errors
    /// [`DicomError::Series`]
    pub fn check(&self) -> Result<(), DicomError> {
        self.plan().map(|_| ())
    }

    /// Where the array lies, `[z, y, x]` in the order of the file that dcm2niix would write, and the steps in mm.
    ///
    /// # Errors
    /// [`DicomError::Series`] if it is not read.
    pub fn geometry(&self) -> Result<Geometry, DicomError> {
        Ok(self.plan()?.geometry)
    }

    /// Type of the voxels, and the factors that make intensities of them.
    ///
    /// # Errors
    /// [`DicomError::Series`] if it is not read.
    pub fn voxels(&self) -> Result<(VoxelType, IntensityScale), DicomError> {
        let plan = self.plan()?;
        Ok((plan.voxel_type, plan.scale))
    }

    /// True if a file of it is compressed: its pixels, or all but its header.
    pub fn is_compressed(&self) -> bool {
        let native = [
            uids::IMPLICIT_VR_LITTLE_ENDIAN,
            uids::EXPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_BIG_ENDIAN,
        ];
        !self.syntaxes().all(|uid| native.contains(&uid))
    }

    /// True if numbers of a file of it are stored most significant byte first.
    pub fn is_big_endian(&self) -> bool {
        self.syntaxes().any(|uid| uid == EXPLICIT_VR_BIG_ENDIAN)
    }

    /// UIDs of the transfer syntaxes of its files.
    fn syntaxes(&self) -> impl Iterator<Item = &str> {
        let named = self.summary.syntaxes.iter();
        named.map(|syntax| syntax.split_once(' ').map_or(syntax.as_str(), |(uid, _)| uid))
    }

    /// The header of the NIfTI file that the series would be as: what plans need before voxels are read.
    ///
    /// # Errors
    /// [`DicomError::Series`] if it is not read; [`DicomError::Volume`].
    pub fn header(&self, limits: &Limits) -> Result<ScanHeader, DicomError> {
        let plan = self.plan()?;
        let name = &self.summary.id;
        Ok(ScanHeader::of_grid(
            &plan.geometry,
            plan.voxel_type,
            plan.scale,
            limits,
            name,
        )?)
    }

    /// Where each slice comes from, along the normal of the slices.
    ///
    /// # Errors
    /// [`DicomError::Series`] if it is not read.
    pub fn slices(&self) -> Result<Vec<SourceSlice>, DicomError> {
        Ok(self
            .plan()?
            .slices
            .iter()
            .map(|slice| slice.source.clone())
            .collect())
    }

    /// How array indices lead to slices (as [`Series::slices`] has them), rows and columns.
    ///
    /// # Errors
    /// [`DicomError::Series`] if it is not read, or is resampled: [`SeriesFault::Resampled`].
    pub fn axes(&self) -> Result<ArrayAxes, DicomError> {
        let plan = self.plan()?;
        match plan.tilt {
            None => Ok(plan.axes),
            Some(_) => Err(self.error(SeriesFault::Resampled)),
        }
    }

    /// True if voxels are no longer pixels of the images, since the gantry was tilted: what is made on the array has a grid of
    /// its own.
    ///
    /// # Errors
    /// [`DicomError::Series`] if it is not read.
    pub fn is_resampled(&self) -> Result<bool, DicomError> {
        Ok(self.plan()?.tilt.is_some())
    }

    /// SOP Instance UIDs of all its files, sorted.
    pub fn instances(&self) -> Vec<&str> {
        let mut uids: Vec<&str> = self.files.iter().map(|file| file.sop_instance.as_str()).collect();
        uids.sort_unstable();
        uids
    }

    /// Files and their state when the series was listed, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&std::path::Path, FileIdentity)> {
        self.files.iter().map(|file| (file.path.as_path(), file.identity))
    }
}
