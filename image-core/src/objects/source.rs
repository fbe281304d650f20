//! The series that objects refer to.

use std::path::Path;

use nephrite_dicom::Series;
use nephrite_dicom_objects::{ObjectError, ObjectLimits, Placement, SourceSeries, check_source};
use nephrite_types::OutputFormat;

use crate::error::CoreError;

/// A series that objects can refer to.
#[derive(Debug, Clone)]
pub(crate) struct ObjectSource {
    pub(crate) series: SourceSeries,
    /// On a grid of their own where voxels are no longer pixels of the images; on the images everywhere else.
    pub(crate) placement: Placement,
}

impl ObjectSource {
    /// Checks what objects of these formats need; reads nothing.
    ///
    /// # Errors
    /// [`CoreError::Object`]: identifiers that are missing, slices that are no stack. [`CoreError::ResampledContours`].
    pub(crate) fn of(
        series: &Series,
        formats: &[OutputFormat],
        path: &Path,
        limits: &ObjectLimits,
    ) -> Result<ObjectSource, CoreError> {
        let placement = match series.is_resampled()? {
            true => Placement::OwnGrid,
            false => Placement::OnSource,
        };
        if placement == Placement::OwnGrid && formats.contains(&OutputFormat::Rtstruct) {
            return Err(CoreError::ResampledContours {
                path: path.to_owned(),
            });
        }
        let source = SourceSeries::of(series)?;
        let failed = |source: ObjectError| CoreError::Object {
            path: path.to_owned(),
            source: Box::new(source),
        };
        check_source(&source, placement, limits).map_err(failed)?;
        Ok(ObjectSource {
            series: source,
            placement,
        })
    }

    /// UIDs of the series and of its images.
    pub(crate) fn uids(&self) -> Vec<&str> {
        let images = self.series.slices.iter();
        let images = images.map(|slice| slice.sop_instance_uid.as_str());
        std::iter::once(self.series.series_uid.as_str())
            .chain(images)
            .collect()
    }
}
