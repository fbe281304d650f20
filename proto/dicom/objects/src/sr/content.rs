//! Content items of a structured report. Source: PS3.3 C.17.3.

use dicom_dictionary_std::tags;

use crate::code::Code;
use crate::decimal::decimal;
use crate::item::Item;

fn item(relationship: &str, kind: &str, concept: &Code) -> Item {
    Item::new()
        .text(tags::RELATIONSHIP_TYPE, relationship)
        .text(tags::VALUE_TYPE, kind)
        .code(tags::CONCEPT_NAME_CODE_SEQUENCE, concept)
}

pub(crate) fn code(relationship: &str, concept: &Code, value: &Code) -> Item {
    item(relationship, "CODE", concept).code(tags::CONCEPT_CODE_SEQUENCE, value)
}

pub(crate) fn text(relationship: &str, concept: &Code, value: &str) -> Item {
    item(relationship, "TEXT", concept).text(tags::TEXT_VALUE, value)
}

pub(crate) fn uid(relationship: &str, concept: &Code, value: &str) -> Item {
    item(relationship, "UIDREF", concept).text(tags::UID, value)
}

pub(crate) fn container(relationship: &str, concept: &Code, content: Vec<Item>) -> Item {
    item(relationship, "CONTAINER", concept)
        .text(tags::CONTINUITY_OF_CONTENT, "SEPARATE")
        .sequence(tags::CONTENT_SEQUENCE, content)
}

/// A number with its unit, also as a double, since a decimal string has 16 characters at most.
pub(crate) fn number(relationship: &str, concept: &Code, value: f64, unit: &Code) -> Item {
    let measured = Item::new()
        .text(tags::NUMERIC_VALUE, decimal(value))
        .double(tags::FLOATING_POINT_VALUE, value)
        .code(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, unit);
    item(relationship, "NUM", concept).sequence(tags::MEASURED_VALUE_SEQUENCE, [measured])
}

/// A segment of a segmentation.
pub(crate) fn segment(relationship: &str, concept: &Code, class: &str, instance: &str, number: u16) -> Item {
    let reference =
        crate::modules::reference((class, instance)).u16s(tags::REFERENCED_SEGMENT_NUMBER, [number]);
    item(relationship, "IMAGE", concept).sequence(tags::REFERENCED_SOP_SEQUENCE, [reference])
}
