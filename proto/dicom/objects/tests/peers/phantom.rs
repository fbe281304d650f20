//! A CT series and its labels, made of formulas.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

/// Slices, rows, columns; rows times columns is no multiple of eight.
pub(crate) const SHAPE: [usize; 3] = [30, 61, 75];
/// One CT image of a series; values are Hounsfield units.
pub(crate) fn write_image(
    folder: &Path,
    k: usize,
    plane: [f64; 6],
    spacing: [f64; 2],
    value: impl Fn(usize, usize) -> i16,
) {
    let [a, b, c, d, e, f] = plane;
    let normal = [b * f - c * e, c * d - a * f, a * e - b * d];
    let [_, rows, columns] = SHAPE;
    let mut object = InMemDicomObject::new_empty();
    let mut text =
        |tag: Tag, vr: VR, text: &str| object.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
    let instance = format!("1.2.826.0.1.3680043.8.498.1.{}", k + 1);
    let position =
        [0, 1, 2].map(|i| format!("{:.4}", [-31.5, -24.25, 810.5][i] + 2.5 * k as f64 * normal[i]));
    for (tag, vr, value) in [
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100"),
        (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        (tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
        (tags::SOP_INSTANCE_UID, VR::UI, &instance),
        (tags::STUDY_DATE, VR::DA, "20250304"),
        (tags::SERIES_DATE, VR::DA, "20250304"),
        (tags::STUDY_TIME, VR::TM, "101112"),
        (tags::SERIES_TIME, VR::TM, "101212"),
        (tags::ACCESSION_NUMBER, VR::SH, "A17"),
        (tags::MODALITY, VR::CS, "CT"),
        (tags::MANUFACTURER, VR::LO, "phantom"),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Größe^Anna"),
        (tags::PATIENT_NAME, VR::PN, "Müller^Jörg"),
        (tags::PATIENT_ID, VR::LO, "P17"),
        (tags::PATIENT_BIRTH_DATE, VR::DA, "19600102"),
        (tags::PATIENT_SEX, VR::CS, "O"),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.826.0.1.3680043.8.498.2"),
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.826.0.1.3680043.8.498.3"),
        (
            tags::FRAME_OF_REFERENCE_UID,
            VR::UI,
            "1.2.826.0.1.3680043.8.498.4",
        ),
        (tags::POSITION_REFERENCE_INDICATOR, VR::LO, ""),
        (tags::STUDY_ID, VR::SH, "S17"),
        (tags::SERIES_NUMBER, VR::IS, "2"),
        (tags::INSTANCE_NUMBER, VR::IS, &(k + 1).to_string()),
        (tags::ACQUISITION_NUMBER, VR::IS, "1"),
        (tags::KVP, VR::DS, "120"),
        (tags::SLICE_THICKNESS, VR::DS, "2.5"),
        (tags::IMAGE_POSITION_PATIENT, VR::DS, &position.join("\\")),
        (
            tags::IMAGE_ORIENTATION_PATIENT,
            VR::DS,
            &plane.map(|v| v.to_string()).join("\\"),
        ),
        (
            tags::PIXEL_SPACING,
            VR::DS,
            &spacing.map(|mm| mm.to_string()).join("\\"),
        ),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        (tags::RESCALE_INTERCEPT, VR::DS, "0"),
        (tags::RESCALE_SLOPE, VR::DS, "1"),
        (tags::RESCALE_TYPE, VR::LO, "HU"),
    ] {
        text(tag, vr, value);
    }
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows as u16),
        (tags::COLUMNS, columns as u16),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 16),
        (tags::HIGH_BIT, 15),
        (tags::PIXEL_REPRESENTATION, 1),
    ] {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }
    let pixels = (0..rows * columns).map(|at| value(at / columns, at % columns) as u16);
    object.put(DataElement::new(
        tags::PIXEL_DATA,
        VR::OW,
        PrimitiveValue::U16(pixels.collect()),
    ));
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(uids::CT_IMAGE_STORAGE)
        .media_storage_sop_instance_uid(instance);
    let file = object.with_meta(meta).unwrap();
    file.write_to_file(folder.join(format!("{k:03}.dcm"))).unwrap();
}

/// Labels by slice, row, column: a ball with a hole, a box, diagonal contacts, one slice only, one that is absent.
pub(crate) fn label(k: usize, row: usize, column: usize) -> u16 {
    let distance = |center: [f64; 3], radius: [f64; 3]| -> f64 {
        let at = [k as f64, row as f64, column as f64];
        (0..3).map(|i| ((at[i] - center[i]) / radius[i]).powi(2)).sum()
    };
    if distance([12.0, 22.0, 25.0], [9.0, 16.0, 17.0]) < 1.0 {
        return if distance([13.0, 20.0, 27.0], [4.0, 6.0, 5.0]) < 1.0 {
            0
        } else {
            1
        };
    }
    if (18..26).contains(&k) && (40..58).contains(&row) && (50..72).contains(&column) {
        let is_off = (row / 3 + column / 3) % 4 == 3; // squares that touch at corners
        return if is_off { 0 } else { 2 };
    }
    if k == 3 && (45..55).contains(&row) && (5..20).contains(&column) {
        return 3;
    }
    0
}
