//! The voxels that a DICOM object is read on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephrite_dicom::Series;
use nephrite_dicom_objects::{Onto, Slices, SourceSeries};
use nephrite_types::{CancelToken, Geometry};
use nephrite_volume::World;

use crate::core::Core;
use crate::error::CoreError;
use crate::memory::OpenScan;

/// The voxels of a scan: what a DICOM object is read on.
#[derive(Debug)]
pub(crate) struct ObjectGrid {
    /// Voxels in the order of the scan's file.
    geometry: Geometry,
    /// The series, if the scan is one: an object must be of its frame of reference.
    series: Option<Arc<Series>>,
    /// Of the scan.
    path: PathBuf,
}

impl ObjectGrid {
    /// Of a file, a folder with one DICOM series, or `folder#UID`, where a label map of the scan would lie. Reads headers alone.
    ///
    /// # Errors
    /// What opening a scan says, and its header.
    pub(crate) fn of_scan(core: &Core, path: &Path, cancel: &CancelToken) -> Result<ObjectGrid, CoreError> {
        ObjectGrid::of_open(core, &core.volumes().open_scan(path, cancel)?, path)
    }

    /// The same of a scan that is open.
    ///
    /// # Errors
    /// What its header says.
    pub(crate) fn of_open(core: &Core, open: &OpenScan, path: &Path) -> Result<ObjectGrid, CoreError> {
        let header = open.header(path, core.volumes().rules())?;
        let frame = header.frame(World::Nibabel)?.measured();
        Ok(ObjectGrid::new(open, frame, path))
    }

    /// Of a scan whose frame is known.
    pub(crate) fn new(open: &OpenScan, geometry: Geometry, path: &Path) -> ObjectGrid {
        ObjectGrid {
            geometry,
            series: open.series().cloned(),
            path: path.to_owned(),
        }
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// For a segmentation.
    pub(super) fn onto(&self) -> Onto<'_> {
        let series = self.series.as_deref();
        Onto {
            geometry: &self.geometry,
            frame_of_reference_uid: series.and_then(|series| series.study.frame_of_reference_uid.as_deref()),
        }
    }

    /// For contours: the images of the series, if there is one.
    ///
    /// # Errors
    /// [`CoreError::Dicom`], [`CoreError::ResampledContours`]
    pub(super) fn source_series(&self) -> Result<Option<SourceSeries>, CoreError> {
        let Some(series) = &self.series else {
            return Ok(None);
        };
        if series.is_resampled()? {
            return Err(CoreError::ResampledContours {
                path: self.path.clone(),
            });
        }
        Ok(Some(SourceSeries::of(series)?))
    }

    /// What the slices of contours are.
    pub(super) fn slices<'a>(&'a self, series: Option<&'a SourceSeries>) -> Slices<'a> {
        series.map_or(Slices::Grid(&self.geometry), Slices::Series)
    }
}
