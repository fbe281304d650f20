//! Functional groups: what all frames of a segmentation share, and what each has of its own.

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;

use super::frames::FrameOf;
use crate::code::Code;
use crate::item::Item;
use crate::modules::reference;
use crate::request::Segment;
use crate::stack::Stack;

/// Shared Functional Groups. Source: PS3.3 A.51.5, C.7.6.16.2.1 and .4.
pub(crate) fn shared(stack: &Stack) -> Item {
    let [row_mm, column_mm, frame_mm] = stack.spacing;
    let measures = Item::new()
        .decimals(tags::PIXEL_SPACING, [row_mm, column_mm])
        .decimals(tags::SLICE_THICKNESS, [frame_mm])
        .decimals(tags::SPACING_BETWEEN_SLICES, [frame_mm]);
    let directions = stack.row_direction.into_iter().chain(stack.column_direction);
    let orientation = Item::new().decimals(tags::IMAGE_ORIENTATION_PATIENT, directions);
    Item::new()
        .sequence(tags::PIXEL_MEASURES_SEQUENCE, [measures])
        .sequence(tags::PLANE_ORIENTATION_SEQUENCE, [orientation])
}

/// Per-Frame Functional Groups. Source: PS3.3 A.51.5, C.7.6.16.2, C.8.20.3.1.
pub(crate) fn per_frame<'a>(
    stack: &'a Stack,
    frames: &'a [FrameOf],
    segments: &'a [Segment],
) -> impl Iterator<Item = Item> + 'a {
    let used: std::collections::BTreeSet<usize> = frames.iter().map(|frame| frame.frame).collect();
    let ranks: BTreeMap<usize, u32> = used.into_iter().zip(1..).collect();
    frames.iter().map(move |frame| {
        let place = &stack.frames[frame.frame];
        let number = frame.segment.map(|idx| segments[idx].number);
        let dimensions = number.map(u32::from).into_iter().chain([ranks[&frame.frame]]);
        let content = Item::new().u32s(tags::DIMENSION_INDEX_VALUES, dimensions);
        let position = Item::new().decimals(tags::IMAGE_POSITION_PATIENT, place.position);
        Item::new()
            .sequence(tags::FRAME_CONTENT_SEQUENCE, [content])
            .sequence(tags::PLANE_POSITION_SEQUENCE, [position])
            .when(place.image.as_ref(), |item, image| {
                item.sequence(tags::DERIVATION_IMAGE_SEQUENCE, [derivation(image)])
            })
            .when(number, |item, number| {
                let segment = Item::new().u16s(tags::REFERENCED_SEGMENT_NUMBER, [number]);
                item.sequence(tags::SEGMENT_IDENTIFICATION_SEQUENCE, [segment])
            })
    })
}

/// Of which image a frame was made.
fn derivation((class, instance, frame): &(String, String, Option<u32>)) -> Item {
    let image = source_image((class, instance))
        .when(*frame, |item, frame| {
            item.text(tags::REFERENCED_FRAME_NUMBER, frame.to_string())
        })
        .text(tags::SPATIAL_LOCATIONS_PRESERVED, "YES");
    Item::new()
        .code(
            tags::DERIVATION_CODE_SEQUENCE,
            &Code::known("DCM", "113076", "Segmentation"),
        )
        .sequence(tags::SOURCE_IMAGE_SEQUENCE, [image])
}

/// An image that voxels were made of.
pub(crate) fn source_image(instance: (&str, &str)) -> Item {
    let purpose = Code::known("DCM", "121322", "Source image for image processing operation");
    reference(instance).code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, &purpose)
}

/// Which attributes the dimension indices count. Source: PS3.3 C.7.6.17.
pub(crate) fn dimensions(item: Item, uid: &str, has_segments: bool) -> Item {
    let index = |pointer, group, label: &str| {
        Item::new()
            .text(tags::DIMENSION_ORGANIZATION_UID, uid)
            .tag(tags::DIMENSION_INDEX_POINTER, pointer)
            .tag(tags::FUNCTIONAL_GROUP_POINTER, group)
            .text(tags::DIMENSION_DESCRIPTION_LABEL, label)
    };
    let segment = has_segments.then(|| {
        index(
            tags::REFERENCED_SEGMENT_NUMBER,
            tags::SEGMENT_IDENTIFICATION_SEQUENCE,
            "Segment Number",
        )
    });
    let position = index(
        tags::IMAGE_POSITION_PATIENT,
        tags::PLANE_POSITION_SEQUENCE,
        "Image Position Patient",
    );
    item.sequence(
        tags::DIMENSION_ORGANIZATION_SEQUENCE,
        [Item::new().text(tags::DIMENSION_ORGANIZATION_UID, uid)],
    )
    .sequence(
        tags::DIMENSION_INDEX_SEQUENCE,
        segment.into_iter().chain([position]),
    )
}
