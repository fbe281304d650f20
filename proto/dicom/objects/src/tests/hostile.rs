//! Objects from outside that were made to do harm: refused by name, whatever is changed; nothing panics, nothing grows.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, DicomValue, Length, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use nephrite_dicom::DicomObject;

use super::samples::*;
use crate::*;

fn case() -> Case {
    let source = series([4, 5, 6]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    Case::new(source, vec![mask(&blobs([4, 5, 6], 3, 8), geometry)])
}

fn read(file: &DicomObject, case: &Case) -> Result<SegmentationIn, ObjectError> {
    read_seg(file, None, ReadOptions::default(), &case.limits)
}

fn put(file: &mut DicomObject, tag: Tag, vr: VR, value: PrimitiveValue) {
    file.header.object.put(DataElement::new(tag, vr, value));
}

/// Changes the items of a sequence of the object.
fn change_items(file: &mut DicomObject, tag: Tag, change: impl FnOnce(&mut Vec<InMemDicomObject>)) {
    let mut items = crate::attributes::items(&file.header.object, tag).to_vec();
    change(&mut items);
    let sequence = DicomValue::from(DataSetSequence::new(items, Length::UNDEFINED));
    file.header.object.put(DataElement::new(tag, VR::SQ, sequence));
}

/// What is refused, with a word that the message must have.
#[track_caller]
fn refused(kind: SegKind, change: impl FnOnce(&mut DicomObject), word: &str) {
    let case = case();
    let mut file = open(&case.seg(kind).unwrap().0);
    assert!(read(&file, &case).is_ok());
    change(&mut file);
    let error = read(&file, &case).unwrap_err();
    assert!(error.to_string().contains(word), "{error}, expected {word:?}");
}

#[test]
fn segmentations_that_contradict_themselves_are_refused_by_name() {
    let [binary, native, rle] = KINDS;
    let text = |tag, vr, text: &'static str| {
        move |file: &mut DicomObject| put(file, tag, vr, PrimitiveValue::from(text))
    };
    let number = |tag, n: u16| move |file: &mut DicomObject| put(file, tag, VR::US, PrimitiveValue::from(n));
    refused(
        binary,
        text(tags::SEGMENTATION_TYPE, VR::CS, "FRACTIONAL"),
        "FRACTIONAL",
    );
    refused(
        binary,
        text(tags::SEGMENTATION_TYPE, VR::CS, "LABELMAP"),
        "SegmentationType",
    );
    refused(
        binary,
        text(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.2"),
        "SOPClassUID",
    );
    refused(
        binary,
        text(tags::NUMBER_OF_FRAMES, VR::IS, "2147483647"),
        "frames of the segmentation",
    );
    refused(
        binary,
        text(tags::NUMBER_OF_FRAMES, VR::IS, "-1"),
        "NumberOfFrames",
    );
    refused(
        binary,
        text(tags::NUMBER_OF_FRAMES, VR::IS, "2"),
        "PerFrameFunctionalGroupsSequence",
    );
    for kind in [binary, native] {
        refused(kind, number(tags::ROWS, 65_535), "PixelData");
        refused(kind, number(tags::ROWS, 0), "Rows");
        refused(kind, number(tags::BITS_ALLOCATED, 32), "BitsAllocated");
        refused(kind, number(tags::SAMPLES_PER_PIXEL, 3), "SamplesPerPixel");
    }
    refused(rle, number(tags::ROWS, 6), "another size");
    refused(
        rle,
        |file| {
            number(tags::ROWS, 20_000)(file);
            number(tags::COLUMNS, 20_000)(file);
        },
        "another size",
    );
    refused(
        native,
        |file| change_items(file, tags::SEGMENT_SEQUENCE, |items| _ = items.pop()),
        "which is no segment",
    );
    refused(
        binary,
        |file| change_items(file, tags::SEGMENT_SEQUENCE, |items| _ = items.pop()),
        "which is no segment",
    );
    let twice = |file: &mut DicomObject| {
        change_items(file, tags::SEGMENT_SEQUENCE, |items| items.push(items[0].clone()))
    };
    refused(binary, twice, "there twice");
}

#[test]
fn frames_without_a_place_are_refused() {
    let groups = tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE;
    let binary = SegKind::Binary;
    let without = |tag: Tag| {
        move |file: &mut DicomObject| change_items(file, groups, |items| _ = items[1].remove_element(tag))
    };
    refused(
        binary,
        without(tags::PLANE_POSITION_SEQUENCE),
        "ImagePositionPatient",
    );
    refused(
        binary,
        without(tags::SEGMENT_IDENTIFICATION_SEQUENCE),
        "SegmentIdentificationSequence",
    );
    refused(
        binary,
        |file| change_items(file, groups, |items| _ = items.pop()),
        "PerFrameFunctionalGroups",
    );
    let moved = |position: &'static str| {
        move |file: &mut DicomObject| {
            change_items(file, groups, |items| {
                let item = InMemDicomObject::from_element_iter([DataElement::new(
                    tags::IMAGE_POSITION_PATIENT,
                    VR::DS,
                    PrimitiveValue::Strs(position.split('\\').map(str::to_owned).collect()),
                )]);
                let sequence = DicomValue::from(DataSetSequence::new(vec![item], Length::UNDEFINED));
                items[1].put(DataElement::new(tags::PLANE_POSITION_SEQUENCE, VR::SQ, sequence));
            });
        }
    };
    refused(binary, moved("-120.5\\33.25\\1008.2"), "multiples of one step");
    refused(binary, moved("-120.5\\33.25\\1e30"), "multiples of one step");
    refused(binary, moved("-100\\33.25\\1007.1"), "straight above each other");
    refused(binary, moved("nan\\0\\0"), "ImagePositionPatient");
    refused(binary, moved("1\\2"), "has 2 values");
    let twice = |file: &mut DicomObject| change_items(file, groups, |items| items[1] = items[0].clone());
    refused(binary, twice, "where another of its segment lies");
    refused(KINDS[1], twice, "where another of its segment lies");
    let shared = tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE;
    refused(
        binary,
        |file| change_items(file, shared, Vec::clear),
        "ImageOrientationPatient",
    );
}

#[test]
fn fractional_segmentations_are_read_above_a_threshold_only() {
    let case = case();
    // A label map whose values 0 to 3 stand for shares.
    let mut file = open(&case.seg(KINDS[1]).unwrap().0);
    let class = dicom_dictionary_std::uids::SEGMENTATION_STORAGE;
    put(
        &mut file,
        tags::SOP_CLASS_UID,
        VR::UI,
        PrimitiveValue::from(class),
    );
    put(
        &mut file,
        tags::SEGMENTATION_TYPE,
        VR::CS,
        PrimitiveValue::from("FRACTIONAL"),
    );
    put(
        &mut file,
        tags::MAXIMUM_FRACTIONAL_VALUE,
        VR::US,
        PrimitiveValue::from(3u16),
    );
    change_items(&mut file, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, |items| {
        for item in items {
            let number = DataElement::new(
                tags::REFERENCED_SEGMENT_NUMBER,
                VR::US,
                PrimitiveValue::from(2u16),
            );
            let segment = vec![InMemDicomObject::from_element_iter([number])];
            let sequence = DicomValue::from(DataSetSequence::new(segment, Length::UNDEFINED));
            item.put(DataElement::new(
                tags::SEGMENT_IDENTIFICATION_SEQUENCE,
                VR::SQ,
                sequence,
            ));
        }
    });
    assert!(matches!(read(&file, &case), Err(ObjectError::Fractional { .. })));
    let expected = |least: u16| -> u64 {
        let counts = case.masks[0].summaries().iter().filter(|(id, _)| **id >= least);
        counts.map(|(_, summary)| summary.voxels).sum()
    };
    for (share, least) in [(0.5, 2), (0.0, 1), (1.0, 3), (0.67, 3)] {
        let options = ReadOptions {
            fractional_threshold: Some(share),
        };
        let found = read_seg(&file, None, options, &case.limits).unwrap();
        assert_eq!(found.masks[0].summaries()[&2].voxels, expected(least), "{share}");
    }
}

#[test]
fn structure_sets_over_limits_are_refused() {
    let mut case = case();
    let file = open(&case.structure_set(Holes::Keyhole).unwrap().0);
    let read = |case: &Case| {
        let options = StructureSetOptions::default();
        read_structure_set(&file, Slices::Series(&case.source), None, options, &case.limits)
    };
    assert!(read(&case).is_ok());
    for change in [
        (|limits: &mut ObjectLimits| limits.max_points = 20) as fn(&mut ObjectLimits),
        |limits| limits.max_contours = 2,
        |limits| limits.max_segments = 2,
        |limits| limits.mask.max_mask_runs = 5,
    ] {
        change(&mut case.limits);
        assert!(matches!(read(&case), Err(ObjectError::TooLarge { .. })));
        case.limits = ObjectLimits::default();
    }
}

/// Small objects with one to three changed bytes: refused or read, without a panic. `NEPHRITE_HOSTILE_FILES` says how many.
#[test]
fn changed_bytes_do_no_harm() {
    let named = std::env::var("NEPHRITE_HOSTILE_FILES")
        .ok()
        .map(|n| n.parse().expect("a number"));
    let n: u32 = named.unwrap_or(2_000);
    let mut state = 0x2545_f491_u32;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    for idx in 0..n {
        let mut data = vec![(idx % 5) as u8, 1 + (idx / 5 % 3) as u8];
        (0..18).for_each(|_| data.extend(next()));
        crate::fuzzing::read_changed(&data);
    }
}
