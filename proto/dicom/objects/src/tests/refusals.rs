//! What is not written: sources without identifiers, masks that lie elsewhere, sizes over limits.

use super::samples::*;
use crate::*;

fn case() -> Case {
    let source = series([4, 5, 6]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    Case::new(source, vec![mask(&blobs([4, 5, 6], 3, 8), geometry)])
}

/// Segmentation, label map, structure set and report refuse the same.
#[track_caller]
fn refused(change: impl Fn(&mut Case), is_it: impl Fn(&ObjectError) -> bool) {
    let (_, segmentation) = case().seg(SegKind::Binary).unwrap();
    let mut case = case();
    change(&mut case);
    let means = std::collections::BTreeMap::new();
    let request = ReportRequest {
        segmentation: &segmentation,
        mean_attenuation_hu: &means,
    };
    let errors = [
        case.seg(KINDS[0]).unwrap_err(),
        case.seg(KINDS[1]).unwrap_err(),
        case.structure_set(Holes::Keyhole).unwrap_err(),
        write_report(&case.request(), &request, &mut Vec::new()).unwrap_err(),
    ];
    for error in errors {
        assert!(is_it(&error), "{error:?}");
    }
}

#[test]
fn sources_without_identifiers() {
    let uid = |expected: &'static str| move |error: &ObjectError| matches!(error, ObjectError::SourceUid { attribute, .. } if *attribute == expected);
    for empty in ["", "ANON", "1.2..3"] {
        refused(
            |case| case.source.slices[1].sop_instance_uid = empty.to_owned(),
            uid("SOPInstanceUID"),
        );
        refused(
            |case| case.source.slices[1].sop_class_uid = empty.to_owned(),
            uid("SOPClassUID"),
        );
        refused(
            |case| case.source.series_uid = empty.to_owned(),
            uid("SeriesInstanceUID"),
        );
        refused(
            |case| case.source.frame_of_reference_uid = empty.to_owned(),
            uid("FrameOfReferenceUID"),
        );
    }
    let study = dicom_dictionary_std::tags::STUDY_INSTANCE_UID;
    refused(
        |case| _ = case.source.study.remove_element(study),
        uid("StudyInstanceUID"),
    );
    refused(
        |case| {
            case.placement = Placement::OwnGrid;
            case.source.frame_of_reference_uid.clear();
        },
        uid("FrameOfReferenceUID"),
    );
}

#[test]
fn sources_that_are_no_stack() {
    let is_slices = |error: &ObjectError| matches!(error, ObjectError::Slices { .. });
    refused(|case| case.source.slices[2].columns = 7, is_slices);
    refused(|case| case.source.slices[2].spacing[0] = 0.8, is_slices);
    refused(
        |case| case.source.slices[2].row_direction = [0.0, 1.0, 0.0],
        is_slices,
    );
    refused(|case| case.source.slices[2].position[2] += 0.3, is_slices);
    refused(|case| case.source.slices[2].position[0] = f64::NAN, is_slices);
    refused(
        |case| _ = case.source.slices.remove(1),
        |error| {
            matches!(
                error,
                ObjectError::Slices { .. } | ObjectError::OffGrid { .. } | ObjectError::OutsideGrid { .. }
            )
        },
    );
    refused(
        |case| {
            let slices = case.source.slices.iter_mut();
            slices.for_each(|slice| slice.position[1] += 0.1 * slice.position[2]);
        },
        is_slices,
    );
    refused(
        |case| case.source.slices.clear(),
        |error| matches!(error, ObjectError::SliceCount { .. }),
    );
}

#[test]
fn masks_that_lie_elsewhere() {
    let moved = |shift: f64| {
        move |case: &mut Case| {
            case.source
                .slices
                .iter_mut()
                .for_each(|slice| slice.position[0] += shift);
        }
    };
    refused(moved(0.3), |error| matches!(error, ObjectError::OffGrid { .. }));
    refused(moved(0.9 * 5.0), |error| {
        matches!(error, ObjectError::OutsideGrid { .. })
    });
    let spacing = |case: &mut Case| {
        case.source
            .slices
            .iter_mut()
            .for_each(|slice| slice.spacing = [0.9, 0.7])
    };
    refused(spacing, |error| matches!(error, ObjectError::OffGrid { .. }));
}

#[test]
fn labels_that_no_object_can_hold() {
    let empty = |case: &mut Case| {
        let geometry = *case.masks[0].runs().geometry();
        case.masks = vec![mask(&Array::zeros([4, 5, 6]), geometry)];
    };
    refused(empty, |error| matches!(error, ObjectError::NothingToWrite { .. }));
    refused(
        |case| case.masks.push(case.masks[0].clone()),
        |error| matches!(error, ObjectError::NameTwice { .. }),
    );
    refused(
        |case| case.limits.max_segments = 2,
        |error| matches!(error, ObjectError::TooManySegments { limit: 2, found: 3 }),
    );
    let backslash = |case: &mut Case| {
        let geometry = *case.masks[0].runs().geometry();
        case.masks = vec![named_mask(&blobs([4, 5, 6], 1, 8), geometry, |_| {
            "a\\b".to_owned()
        })];
    };
    refused(backslash, |error| matches!(error, ObjectError::Text { .. }));
}

#[test]
fn sizes_over_limits() {
    let too_large = |result: Result<(Vec<u8>, Written), ObjectError>| {
        assert!(matches!(result, Err(ObjectError::TooLarge { .. })), "{result:?}");
    };
    let mut case = case();
    case.limits.max_frames = 3;
    too_large(case.seg(SegKind::Binary));
    case.limits = ObjectLimits::default();
    case.limits.max_pixel_bytes = 20;
    KINDS.into_iter().for_each(|kind| too_large(case.seg(kind)));
    case.limits = ObjectLimits::default();
    case.limits.max_contours = 3;
    too_large(case.structure_set(Holes::Keyhole));
    case.limits = ObjectLimits::default();
    case.limits.max_points = 10;
    too_large(case.structure_set(Holes::Xor));
}

#[test]
fn a_changed_object_does_not_pass() {
    let case = case();
    for kind in KINDS {
        let (bytes, written) = case.seg(kind).unwrap();
        verify_seg(bytes.clone(), &case.request(), &written).unwrap();
        let mut last = bytes.clone();
        let at = last.len() - 10; // in the pixels
        last[at] ^= 0x10;
        assert!(verify_seg(last, &case.request(), &written).is_err(), "{kind:?}");
        assert!(verify_seg(bytes[..bytes.len() - 40].to_vec(), &case.request(), &written).is_err());
        let mut moved = bytes;
        let text = b"1007.1";
        let at = moved.windows(6).position(|window| window == text).unwrap();
        moved[at..at + 6].copy_from_slice(b"1007.9");
        assert!(verify_seg(moved, &case.request(), &written).is_err(), "{kind:?}");
    }
    let (mut bytes, written) = case.structure_set(Holes::Keyhole).unwrap();
    let at = bytes.windows(7).position(|window| window == b"-120.95").unwrap();
    bytes[at..at + 7].copy_from_slice(b"-117.95");
    assert!(verify_structure_set(bytes, &case.request(), &written).is_err());
}
