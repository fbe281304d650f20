//! Segmentations of masks in every orientation: each voxel lies where it lay.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use proptest::prelude::*;

use super::samples::*;
use crate::attributes::{item, items, number, numbers_opt};
use crate::*;

/// Reads voxels of a binary segmentation one by one from its attributes, with nothing of the reader: centers in mm, LPS, by
/// segment.
fn centers_by_hand(bytes: &[u8]) -> Vec<(u64, [f64; 3])> {
    let file = open(bytes);
    let object = &file.header.object;
    let shared = item(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).unwrap();
    let of = |object: &InMemDicomObject, sequence| item(object, sequence).unwrap().clone();
    let measures = of(shared, tags::PIXEL_MEASURES_SEQUENCE);
    let [row_mm, column_mm] = numbers_opt(&measures, tags::PIXEL_SPACING).unwrap().unwrap();
    let orientation = of(shared, tags::PLANE_ORIENTATION_SEQUENCE);
    let iop: [f64; 6] = numbers_opt(&orientation, tags::IMAGE_ORIENTATION_PATIENT)
        .unwrap()
        .unwrap();
    let (rows, columns) = (
        number(object, tags::ROWS).unwrap(),
        number(object, tags::COLUMNS).unwrap(),
    );
    let pixels = file.native_pixels().unwrap();
    let mut centers = Vec::new();
    for (k, group) in items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)
        .iter()
        .enumerate()
    {
        let position = of(group, tags::PLANE_POSITION_SEQUENCE);
        let ipp: [f64; 3] = numbers_opt(&position, tags::IMAGE_POSITION_PATIENT)
            .unwrap()
            .unwrap();
        let segment = of(group, tags::SEGMENT_IDENTIFICATION_SEQUENCE);
        let segment = number(&segment, tags::REFERENCED_SEGMENT_NUMBER).unwrap();
        for row in 0..rows {
            for column in 0..columns {
                let bit = k as u64 * rows * columns + row * columns + column;
                if pixels[(bit / 8) as usize] >> (bit % 8) & 1 == 1 {
                    let (r, c) = (row as f64 * row_mm, column as f64 * column_mm);
                    centers.push((segment, [0, 1, 2].map(|i| ipp[i] + iop[i] * c + iop[i + 3] * r)));
                }
            }
        }
    }
    centers
}

#[test]
fn every_voxel_lies_where_it_lay_by_the_attributes_alone() {
    for source in [series([5, 4, 7]), oblique_series([5, 4, 7])] {
        for (axes, flipped) in orientations() {
            let geometry = grid(&source, axes, flipped);
            let array = blobs(geometry.shape.zyx(), 3, 7);
            let case = Case::new(source.clone(), vec![mask(&array, geometry)]);
            let (bytes, _) = case.seg(SegKind::Binary).unwrap();
            let sort = |mut centers: Vec<(u64, [i64; 3])>| {
                centers.sort_unstable();
                centers
            };
            // To a thousandth of a millimeter.
            let rounded = |v: [f64; 3]| v.map(|mm| (mm * 1000.0).round() as i64);
            let found = centers_by_hand(&bytes)
                .into_iter()
                .map(|(segment, v)| (segment, rounded(v)));
            let labeled = array.indexed_iter().filter(|(_, label)| **label != 0);
            let expected = labeled.map(|((z, y, x), label)| {
                let [r, a, s] = geometry.affine.world_from_voxel([x as f64, y as f64, z as f64]);
                (u64::from(*label), rounded([-r, -a, s]))
            });
            let (found, expected) = (sort(found.collect()), sort(expected.collect()));
            assert_eq!(found.len(), expected.len());
            let near = |a: &(u64, [i64; 3]), b: &(u64, [i64; 3])| {
                a.0 == b.0 && (0..3).all(|i| (a.1[i] - b.1[i]).abs() <= 1)
            };
            // Rounding may change the order of neighbors; each has one within a micrometer.
            let missing = expected.iter().find(|v| !found.iter().any(|w| near(v, w)));
            assert_eq!(missing, None, "{axes:?} {flipped:?}");
        }
    }
}

#[test]
fn masks_come_back_in_all_orientations_and_kinds() {
    for source in [series([6, 5, 9]), oblique_series([6, 5, 9])] {
        for (axes, flipped) in orientations() {
            let geometry = grid(&source, axes, flipped);
            let original = mask(&blobs(geometry.shape.zyx(), 4, 3), geometry);
            let case = Case::new(source.clone(), vec![original.clone()]);
            for kind in KINDS {
                let (bytes, written) = case.seg(kind).unwrap();
                let read = read_seg(
                    &open(&bytes),
                    onto(&geometry),
                    ReadOptions::default(),
                    &case.limits,
                )
                .unwrap();
                assert_eq!(read.masks.len(), 1);
                assert_eq!(
                    read.masks[0].runs().runs(),
                    original.runs().runs(),
                    "{kind:?} {axes:?} {flipped:?}"
                );
                assert_eq!(read.masks[0].runs().row_starts(), original.runs().row_starts());
                assert_eq!(read.masks[0].labels(), original.labels());
                let verified = verify_seg(bytes, &case.request(), &written).unwrap();
                assert_eq!(verified.len(), written.numbers.len());
            }
        }
    }
}

#[test]
fn a_grid_of_its_own_keeps_places_without_source_images() {
    let source = series([6, 5, 9]);
    for (axes, flipped) in orientations() {
        let geometry = grid(&oblique_series([4, 6, 5]), axes, flipped);
        let original = mask(&blobs(geometry.shape.zyx(), 3, 5), geometry);
        let mut case = Case::new(source.clone(), vec![original.clone()]);
        assert!(matches!(
            case.seg(SegKind::Binary),
            Err(ObjectError::OffGrid { .. })
        ));
        case.placement = Placement::OwnGrid;
        for kind in KINDS {
            let (bytes, written) = case.seg(kind).unwrap();
            let file = open(&bytes);
            let groups = items(&file.header.object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
            assert!(
                groups
                    .iter()
                    .all(|group| item(group, tags::DERIVATION_IMAGE_SEQUENCE).is_none())
            );
            let read = read_seg(&file, onto(&geometry), ReadOptions::default(), &case.limits).unwrap();
            assert_eq!(
                read.masks[0].runs().runs(),
                original.runs().runs(),
                "{kind:?} {axes:?} {flipped:?}"
            );
            verify_seg(bytes, &case.request(), &written).unwrap();
        }
    }
}

#[test]
fn labels_that_overlap_become_masks_of_their_own() {
    let source = series([4, 6, 7]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    let first = mask(&blobs([4, 6, 7], 2, 1), geometry);
    let second = named_mask(&blobs([4, 6, 7], 3, 9), geometry, |id| format!("other_{id}"));
    let case = Case::new(source, vec![first.clone(), second]);
    let (bytes, written) = case.seg(SegKind::Binary).unwrap();
    let read = read_seg(
        &open(&bytes),
        onto(&geometry),
        ReadOptions::default(),
        &case.limits,
    )
    .unwrap();
    assert!(read.masks.len() >= 2);
    verify_seg(bytes, &case.request(), &written).unwrap();
    for compression in [LabelmapCompression::Native, LabelmapCompression::Rle] {
        let refused = case.seg(SegKind::Labelmap(compression)).unwrap_err();
        assert!(matches!(refused, ObjectError::Overlap { .. }), "{refused}");
    }
}

#[test]
fn a_grid_of_another_frame_of_reference_is_refused() {
    let source = series([4, 6, 7]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    let case = Case::new(source, vec![mask(&blobs([4, 6, 7], 2, 1), geometry)]);
    let file = open(&case.seg(SegKind::Binary).unwrap().0);
    let other = Onto {
        geometry: &geometry,
        frame_of_reference_uid: Some("1.2.3.4.8"),
    };
    let refused = read_seg(&file, Some(other), ReadOptions::default(), &case.limits).unwrap_err();
    assert!(
        refused.to_string().starts_with("FrameOfReferenceUID"),
        "{refused}"
    );
    let unknown = Onto {
        frame_of_reference_uid: None,
        ..other
    };
    let read = read_seg(&file, Some(unknown), ReadOptions::default(), &case.limits).unwrap();
    assert_eq!(read.masks[0].runs(), case.masks[0].runs());
}

/// As far off as a series may be that is read: its masks are written, and pass.
#[test]
fn slightly_irregular_series_have_objects() {
    let source = series([9, 6, 7]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    let mut case = Case::new(source, vec![mask(&blobs([9, 6, 7], 2, 1), geometry)]);
    for slice in &mut case.source.slices {
        let k = ((slice.position[2] - 1007.1) / 2.5).round();
        slice.position[0] += 0.07 * k / 8.0; // a tenth of a voxel from first to last
        slice.position[2] += if k as usize % 2 == 1 { 0.02 } else { 0.0 };
    }
    for kind in KINDS {
        let (bytes, written) = case.seg(kind).unwrap();
        verify_seg(bytes, &case.request(), &written).unwrap();
    }
    for holes in [Holes::Keyhole, Holes::Xor] {
        let (bytes, written) = case.structure_set(holes).unwrap();
        verify_structure_set(bytes, &case.request(), &written).unwrap();
    }
}

#[test]
fn four_hundred_labels_fit_every_kind() {
    let source = series([5, 16, 20]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    let array = Array::from_shape_fn([5, 16, 20], |(z, y, x)| (((z * 16 + y) * 20 + x) / 4 + 1) as u16);
    let case = Case::new(source, vec![mask(&array, geometry)]);
    for kind in KINDS {
        let (bytes, written) = case.seg(kind).unwrap();
        assert_eq!(written.numbers.len(), 400);
        assert_eq!(verify_seg(bytes, &case.request(), &written).unwrap().len(), 400);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Any mask in any orientation; frames of any number of voxels, so that bits begin anywhere.
    #[test]
    fn any_mask_comes_back(
        shape in prop::array::uniform3(1usize..9),
        voxels in prop::collection::vec(0u16..5, 512),
        orientation in 0usize..48,
        kind in 0usize..3,
    ) {
        let (axes, flipped) = orientations().nth(orientation).unwrap();
        let mut of_stack = [0; 3];
        axes.iter().enumerate().for_each(|(axis, to)| of_stack[*to] = shape[axis]);
        let source = oblique_series(of_stack);
        let geometry = grid(&source, axes, flipped);
        let n = shape.iter().product();
        let array = Array::from_shape_vec(shape, voxels[..n].to_vec()).unwrap();
        let original = mask(&array, geometry);
        let case = Case::new(source, vec![original.clone()]);
        match case.seg(KINDS[kind]) {
            Err(ObjectError::NothingToWrite { .. }) => prop_assert!(original.runs().is_empty()),
            Err(error) => prop_assert!(false, "{}", error),
            Ok((bytes, written)) => {
                let verified = verify_seg(bytes.clone(), &case.request(), &written).unwrap();
                let voxels: u64 = verified.iter().map(|label| label.voxels).sum();
                prop_assert_eq!(voxels, array.iter().filter(|v| **v != 0).count() as u64);
                prop_assert_eq!(case.seg(KINDS[kind]).unwrap().0, bytes);
            }
        }
    }
}
