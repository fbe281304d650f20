//! The series that a mask was made of, as far as objects refer to it.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use nephrite_dicom::{DicomError, Series};

use crate::attributes::text_opt;
use crate::vector::Vector;

/// What a listed series keeps of its first image that is not of patient or study.
const OF_SERIES: &[Tag] = &[
    tags::SERIES_DATE,
    tags::SERIES_TIME,
    tags::CONTENT_DATE,
    tags::CONTENT_TIME,
    tags::ACQUISITION_DATE,
    tags::ACQUISITION_TIME,
    tags::POSITION_REFERENCE_INDICATOR,
    tags::LOSSY_IMAGE_COMPRESSION,
    tags::LOSSY_IMAGE_COMPRESSION_RATIO,
    tags::LOSSY_IMAGE_COMPRESSION_METHOD,
];

/// What every object has of patient and study, if only empty.
pub(crate) const REQUIRED_STUDY_ATTRIBUTES: &[Tag] = &[
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::ACCESSION_NUMBER,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_ID,
];

/// A series of images, as far as objects made of it refer to it.
#[derive(Debug, Clone)]
pub struct SourceSeries {
    /// Attributes of patient and study and their character set, as the source has them: what every object of the study shares,
    /// and what is copied as it is.
    pub study: InMemDicomObject,
    /// SeriesInstanceUID.
    pub series_uid: String,
    /// Modality.
    pub modality: String,
    /// FrameOfReferenceUID.
    pub frame_of_reference_uid: String,
    /// PositionReferenceIndicator, mostly empty.
    pub position_reference: String,
    /// Date of the images, `YYYYMMDD`: ContentDate, AcquisitionDate, SeriesDate or StudyDate; empty if there is none.
    pub date: String,
    /// Time that belongs to `date`, `HHMMSS` with or without a fraction.
    pub time: String,
    /// Whether the images were compressed with loss.
    pub is_lossy: bool,
    /// Ratios and methods of lossy compression as the source has them: LossyImageCompressionRatio and -Method.
    pub lossy_details: Option<(String, String)>,
    /// One per image or frame, in any order.
    pub slices: Vec<SourceSlice>,
}

/// One image, or one frame of an image with several.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSlice {
    /// SOPClassUID.
    pub sop_class_uid: String,
    /// SOPInstanceUID.
    pub sop_instance_uid: String,
    /// Its number, from 1, in an image with several.
    pub frame: Option<u32>,
    /// ImagePositionPatient: center of the first voxel, mm, LPS.
    pub position: Vector,
    /// Where columns count up: first three of ImageOrientationPatient.
    pub row_direction: Vector,
    /// Where rows count up: last three of ImageOrientationPatient.
    pub column_direction: Vector,
    /// PixelSpacing: from row to row, from column to column, mm.
    pub spacing: [f64; 2],
    /// SliceThickness, mm; only used as the step of a series of one slice.
    pub thickness: Option<f64>,
    /// Rows of the image.
    pub rows: usize,
    /// Columns of the image.
    pub columns: usize,
}

impl SourceSeries {
    /// Of a series that was listed.
    ///
    /// # Errors
    /// [`DicomError::Series`] if it is none that is read.
    pub fn of(series: &Series) -> Result<SourceSeries, DicomError> {
        let kept = InMemDicomObject::from_element_iter(series.study.elements.iter().cloned());
        let text = |tag| text_opt(&kept, tag).ok().flatten().unwrap_or_default();
        let dated = DATES.iter().map(|(date, time)| (text(*date), text(*time)));
        let (date, time) = dated
            .into_iter()
            .find(|(date, _)| !date.is_empty())
            .unwrap_or_default();
        let lossy = (
            text(tags::LOSSY_IMAGE_COMPRESSION_RATIO),
            text(tags::LOSSY_IMAGE_COMPRESSION_METHOD),
        );
        let mut study = kept.clone();
        OF_SERIES.iter().for_each(|tag| _ = study.remove_element(*tag));
        let slice = |slice: nephrite_dicom::SourceSlice| SourceSlice {
            sop_class_uid: slice.sop_class,
            sop_instance_uid: slice.sop_instance,
            frame: slice.frame,
            position: slice.position,
            row_direction: slice.row_direction,
            column_direction: slice.column_direction,
            spacing: slice.spacing,
            thickness: None, // a series that is read has more than one slice
            rows: slice.rows as usize,
            columns: slice.columns as usize,
        };
        Ok(SourceSeries {
            series_uid: series.study.series_uid.clone(),
            modality: series.study.modality.clone(),
            frame_of_reference_uid: series.study.frame_of_reference_uid.clone().unwrap_or_default(),
            position_reference: text(tags::POSITION_REFERENCE_INDICATOR),
            date,
            time,
            is_lossy: series.study.is_lossy,
            lossy_details: (!lossy.0.is_empty() && !lossy.1.is_empty()).then_some(lossy),
            slices: series.slices()?.into_iter().map(slice).collect(),
            study,
        })
    }
}

/// Dates with their times, the one nearest to the images first.
const DATES: [(Tag, Tag); 4] = [
    (tags::CONTENT_DATE, tags::CONTENT_TIME),
    (tags::ACQUISITION_DATE, tags::ACQUISITION_TIME),
    (tags::SERIES_DATE, tags::SERIES_TIME),
    (tags::STUDY_DATE, tags::STUDY_TIME),
];
