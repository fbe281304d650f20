//! What an object made from a series copies of it: patient and study, exactly as they stand.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

/// Attributes of patient and study (PS3.3 C.7.1, C.7.2), and the character set that their text is in.
const COPIED: &[Tag] = &[
    tags::SPECIFIC_CHARACTER_SET,
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::SERIES_DATE,
    tags::SERIES_TIME,
    tags::CONTENT_DATE,
    tags::CONTENT_TIME,
    tags::ACQUISITION_DATE,
    tags::ACQUISITION_TIME,
    tags::ACCESSION_NUMBER,
    tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE,
    tags::TIMEZONE_OFFSET_FROM_UTC,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::STUDY_DESCRIPTION,
    tags::PROCEDURE_CODE_SEQUENCE,
    tags::PHYSICIANS_OF_RECORD,
    tags::REFERENCED_STUDY_SEQUENCE,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::OTHER_PATIENT_I_DS_SEQUENCE,
    tags::PATIENT_AGE,
    tags::PATIENT_SIZE,
    tags::PATIENT_WEIGHT,
    tags::PATIENT_COMMENTS,
    tags::PATIENT_IDENTITY_REMOVED,
    tags::DEIDENTIFICATION_METHOD,
    tags::STUDY_INSTANCE_UID,
    tags::STUDY_ID,
    tags::POSITION_REFERENCE_INDICATOR,
    tags::LOSSY_IMAGE_COMPRESSION,
    tags::LOSSY_IMAGE_COMPRESSION_RATIO,
    tags::LOSSY_IMAGE_COMPRESSION_METHOD,
];

/// What an object made from a series copies of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Elements of the first image, in order of their tags, those that are there: character set, dates and times, patient,
    /// study, position reference, lossy compression.
    pub elements: Vec<InMemElement>,
    /// StudyInstanceUID, empty if absent.
    pub study_uid: String,
    /// SeriesInstanceUID, empty if absent.
    pub series_uid: String,
    /// FrameOfReferenceUID.
    pub frame_of_reference_uid: Option<String>,
    /// Modality.
    pub modality: String,
    /// True if an image was compressed with loss at some time.
    pub is_lossy: bool,
}

/// The elements of an object that are copied.
pub(super) fn copied(object: &InMemDicomObject) -> Vec<InMemElement> {
    let mut elements: Vec<InMemElement> = COPIED
        .iter()
        .filter_map(|&tag| object.get(tag).cloned())
        .collect();
    elements.sort_by_key(dicom_core::header::Header::tag);
    elements
}
