//! The segments of a segmentation: what each of them is.

use dicom_dictionary_std::tags;

use crate::ObjectWarning;
use crate::code::Code;
use crate::color::lab_of;
use crate::item::{Item, code_item};
use crate::modules::tracking_uid;
use crate::request::{Algorithm, ObjectRequest, Segment};
use crate::text::cut;

/// The item of a label. Source: PS3.3 C.8.20.4, C.8.20.2.
pub(crate) fn segment_item(
    request: &ObjectRequest<'_>,
    segment: &Segment,
    warnings: &mut Vec<ObjectWarning>,
) -> Item {
    let algorithm = request.algorithm;
    let name = cut(&segment.name, "SegmentLabel", false, warnings);
    let tracking_id = name.clone();
    let codes = &segment.codes;
    let property_type = code_item(&codes.property_type).when(codes.modifier.as_ref(), |item, modifier| {
        item.code(tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE, modifier)
    });
    Item::new()
        .sequence(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, [property_type])
        .u16s(tags::SEGMENT_NUMBER, [segment.number])
        .text(tags::SEGMENT_LABEL, name)
        .code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, &codes.category)
        .text(tags::SEGMENT_ALGORITHM_TYPE, "AUTOMATIC")
        .text(tags::SEGMENT_ALGORITHM_NAME, algorithm.name.as_str())
        .sequence(
            tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE,
            [algorithm_item(algorithm)],
        )
        .u16s(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE, lab_of(segment.number))
        .text(tags::TRACKING_ID, tracking_id)
        .text(tags::TRACKING_UID, tracking_uid(request, segment))
}

/// Segment 0 of a label map, which no label has. Source: PS3.3 C.8.20.2 (label maps).
pub(crate) fn background_item(algorithm: &Algorithm) -> Item {
    let background = Code::known("DCM", "125040", "Background");
    Item::new()
        .u16s(tags::SEGMENT_NUMBER, [0])
        .text(tags::SEGMENT_LABEL, "Background")
        .code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, &background)
        .code(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, &background)
        .text(tags::SEGMENT_ALGORITHM_TYPE, "AUTOMATIC")
        .text(tags::SEGMENT_ALGORITHM_NAME, algorithm.name.as_str())
        .sequence(
            tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE,
            [algorithm_item(algorithm)],
        )
}

/// Algorithm Identification Macro. Source: PS3.3 10.16.
fn algorithm_item(algorithm: &Algorithm) -> Item {
    let family = Code::known("DCM", "123110", "Artificial Intelligence");
    Item::new()
        .code(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, &family)
        .text(tags::ALGORITHM_NAME, algorithm.name.as_str())
        .text(tags::ALGORITHM_VERSION, algorithm.version.as_str())
}
