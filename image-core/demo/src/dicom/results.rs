//! The files of a case as they are read again: label map, segmentation, structure set, report.

use std::path::Path;

use nephrite_dicom::{DicomError, DicomLimits, DicomObject, SeriesOptions, list, open_object};
use nephrite_dicom_objects::{
    ObjectLimits, Onto, ReadOptions, ReportedVolume, SegmentationIn, Slices, SourceSeries, StructureSetIn,
    StructureSetOptions, read_report, read_seg, read_structure_set,
};
use nephrite_root::Root;
use nephrite_types::{CancelToken, LabelMap};

use crate::DemoError;
use crate::folder::Folder;
use crate::mask_file::read_mask;

/// Labels of the merged mask, by their ids from 1.
pub(super) const LABELS: [&str; 6] = [
    "kidney",
    "vein",
    "aorta",
    "renal_artery",
    "renal_pelvis",
    "ureter",
];

/// Names of files.
pub(super) struct Files {
    pub(super) mask: &'static str,
    pub(super) segmentation: &'static str,
    pub(super) structure_set: &'static str,
    pub(super) report: &'static str,
}

/// Of the merged mask.
pub(super) const MERGED: Files = Files {
    mask: "all.nii.gz",
    segmentation: "all.seg.dcm",
    structure_set: "all.rtstruct.dcm",
    report: "all.sr.dcm",
};

/// What was read.
pub(super) struct Results {
    pub(super) mask: LabelMap,
    /// On the grid of its frames.
    pub(super) segmentation: SegmentationIn,
    /// On the voxels of the mask.
    pub(super) segmentation_on_mask: SegmentationIn,
    /// On the grid of the series' images.
    pub(super) structure_set: StructureSetIn,
    pub(super) structure_set_on_mask: StructureSetIn,
    pub(super) report: Vec<ReportedVolume>,
}

impl Results {
    /// Reads the merged mask in `folder`, whose objects refer to the series `uid` in `series`.
    pub(super) fn read(
        folder: &Path,
        series: &Path,
        uid: Option<&str>,
        cancel: &CancelToken,
    ) -> Result<Results, DemoError> {
        let (dicom, limits) = (DicomLimits::default(), ObjectLimits::default());
        let mask = read_mask(&folder.join(MERGED.mask), cancel)?;
        let (options, name) = (SeriesOptions::default(), series.to_string_lossy());
        let listing = list(&Folder::create(series)?.dir, &name, &dicom, &options, cancel)?;
        let source = SourceSeries::of(listing.select(uid)?)?;
        let segmentation = open(&folder.join(MERGED.segmentation))?;
        let read_segmentation = |onto| read_seg(&segmentation, onto, ReadOptions::default(), &limits);
        let structure_set = open(&folder.join(MERGED.structure_set))?;
        let read_contours = |onto| {
            read_structure_set(
                &structure_set,
                Slices::Series(&source),
                onto,
                StructureSetOptions::default(),
                &limits,
            )
        };
        let onto = Onto {
            geometry: &mask.geometry,
            frame_of_reference_uid: Some(&source.frame_of_reference_uid),
        };
        Ok(Results {
            segmentation: read_segmentation(None)?,
            segmentation_on_mask: read_segmentation(Some(onto))?,
            structure_set: read_contours(None)?,
            structure_set_on_mask: read_contours(Some(&mask.geometry))?,
            report: read_report(&open(&folder.join(MERGED.report))?)?,
            mask,
        })
    }
}

fn open(path: &Path) -> Result<DicomObject, DemoError> {
    let file = Root::filesystem().open_file(path)?;
    let object = open_object(&file, &path.to_string_lossy(), &DicomLimits::default());
    Ok(object.map_err(DicomError::from)?)
}
