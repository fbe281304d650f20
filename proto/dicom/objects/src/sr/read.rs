//! Reads the volumes of measurement reports, TID 1500.

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use nephrite_dicom::DicomObject;

use crate::ObjectError;
use crate::attributes::{code, fault, item, items, number, text};

/// The volume of a label, as a report tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedVolume {
    /// Tracking Identifier: the name of the label.
    pub name: String,
    /// SOPInstanceUID of the segmentation that was measured.
    pub segmentation_uid: String,
    /// The segment there.
    pub segment: u64,
    /// Cubic millimeters.
    pub volume_mm3: f64,
}

/// The volumes of all measurement groups (TID 1411) of a report, in its order.
///
/// # Errors
/// [`ObjectError::Object`]: no report of kind Comprehensive 3D SR; a group without name, referenced segment, or volume in mm3.
pub fn read_report(file: &DicomObject) -> Result<Vec<ReportedVolume>, ObjectError> {
    let object = &file.header.object;
    let class = text(object, tags::SOP_CLASS_UID)?;
    if class != uids::COMPREHENSIVE3_DSR_STORAGE {
        return Err(fault(
            tags::SOP_CLASS_UID,
            format!("is {class}, which is no Comprehensive 3D SR"),
        ));
    }
    let measurements = items(object, tags::CONTENT_SEQUENCE)
        .iter()
        .filter(|item| is(item, "126010"));
    measurements
        .flat_map(|item| items(item, tags::CONTENT_SEQUENCE))
        .map(volume_of)
        .collect()
}

/// Whether the concept of a content item has this code.
fn is(content: &InMemDicomObject, value: &str) -> bool {
    code(content, tags::CONCEPT_NAME_CODE_SEQUENCE).is_some_and(|code| code.value == value)
}

fn volume_of(group: &InMemDicomObject) -> Result<ReportedVolume, ObjectError> {
    let of_group = |value: &str, what: &str| {
        let mut content = items(group, tags::CONTENT_SEQUENCE).iter();
        let found = content.find(|item| is(item, value));
        found.ok_or_else(|| ObjectError::object(what, "is missing in a measurement group"))
    };
    let part =
        |content, tag| item(content, tag).ok_or_else(|| fault(tag, "is missing in a measurement group"));
    let name = text(of_group("112039", "Tracking Identifier")?, tags::TEXT_VALUE)?;
    let reference = part(
        of_group("121191", "Referenced Segment")?,
        tags::REFERENCED_SOP_SEQUENCE,
    )?;
    let measured = part(of_group("118565006", "Volume")?, tags::MEASURED_VALUE_SEQUENCE)?;
    let unit = code(measured, tags::MEASUREMENT_UNITS_CODE_SEQUENCE).map(|code| code.value);
    if unit.as_deref() != Some("mm3") {
        return Err(fault(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, "is not mm3"));
    }
    let value = text(measured, tags::NUMERIC_VALUE)?;
    let volume_mm3 = value.parse().ok().filter(|value: &f64| value.is_finite());
    Ok(ReportedVolume {
        name,
        segmentation_uid: text(reference, tags::REFERENCED_SOP_INSTANCE_UID)?,
        segment: number(reference, tags::REFERENCED_SEGMENT_NUMBER)?,
        volume_mm3: volume_mm3.ok_or_else(|| fault(tags::NUMERIC_VALUE, "is no number"))?,
    })
}
