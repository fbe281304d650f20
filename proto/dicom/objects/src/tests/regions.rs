//! Structure sets: contours go around voxels, and are filled with the same voxels again.

use dicom_dictionary_std::tags;
use nephrite_types::{Affine, Geometry};
use proptest::prelude::*;

use super::samples::*;
use crate::attributes::{item, items, number};
use crate::*;

const HOLES: [Holes; 2] = [Holes::Keyhole, Holes::Xor];

fn contours(bytes: &[u8]) -> Vec<(String, Vec<[f64; 3]>)> {
    let file = open(bytes);
    let regions = items(&file.header.object, tags::ROI_CONTOUR_SEQUENCE).iter();
    let all = regions.flat_map(|region| items(region, tags::CONTOUR_SEQUENCE));
    all.map(|contour| {
        let values = contour
            .get(tags::CONTOUR_DATA)
            .unwrap()
            .to_multi_float64()
            .unwrap();
        let (points, rest) = values.as_chunks::<3>();
        assert!(rest.is_empty());
        assert_eq!(
            points.len() as u64,
            number(contour, tags::NUMBER_OF_CONTOUR_POINTS).unwrap()
        );
        assert!(item(contour, tags::CONTOUR_IMAGE_SEQUENCE).is_some());
        (text_of(contour, tags::CONTOUR_GEOMETRIC_TYPE), points.to_vec())
    })
    .collect()
}

/// A mask of one slice, drawn.
fn drawn(picture: &[&str]) -> Case {
    let (rows, columns) = (picture.len(), picture[0].len());
    let source = series([3, rows, columns]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    let array = Array::from_shape_fn([3, rows, columns], |(z, y, x)| {
        u16::from(z == 1 && picture[y].as_bytes()[x] == b'#')
    });
    Case::new(source, vec![mask(&array, geometry)])
}

#[test]
fn a_voxel_is_a_square_half_a_voxel_around_its_center() {
    let case = drawn(&["...", ".#."]);
    let (bytes, _) = case.structure_set(Holes::Keyhole).unwrap();
    let [x, y, z] = [-120.5 + 0.9, 33.25 + 0.7, 1007.1 + 2.5];
    let square = [
        [x - 0.45, y - 0.35, z],
        [x + 0.45, y - 0.35, z],
        [x + 0.45, y + 0.35, z],
        [x - 0.45, y + 0.35, z],
    ];
    let found = contours(&bytes);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "CLOSED_PLANAR");
    for (point, expected) in found[0].1.iter().zip(square) {
        assert!(
            (0..3).all(|i| (point[i] - expected[i]).abs() < 1e-4),
            "{point:?} {expected:?}"
        );
    }
}

#[test]
fn holes_are_keyholes_or_contours_of_their_own() {
    let pictures: [&[&str]; 4] = [
        &["####", "#.##", "####"],
        &["#######", "#.#.#.#", "#######", "###.###", "#######"],
        &["#####", "#...#", "#.#.#", "#...#", "#####"],
        &["######", "#.####", "##.###", "###..#", "######"],
    ];
    for picture in pictures {
        let case = drawn(picture);
        for holes in HOLES {
            let (bytes, written) = case.structure_set(holes).unwrap();
            let kinds: std::collections::BTreeSet<String> =
                contours(&bytes).into_iter().map(|(kind, _)| kind).collect();
            let expected = if holes == Holes::Xor {
                "CLOSEDPLANAR_XOR"
            } else {
                "CLOSED_PLANAR"
            };
            assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [expected]);
            verify_structure_set(bytes, &case.request(), &written).unwrap();
        }
    }
    let (bytes, _) = drawn(pictures_with_island())
        .structure_set(Holes::Keyhole)
        .unwrap();
    assert_eq!(
        contours(&bytes).len(),
        2,
        "an island in a hole is a contour of its own"
    );
}

fn pictures_with_island() -> &'static [&'static str] {
    &["#####", "#...#", "#.#.#", "#...#", "#####"]
}

#[test]
fn diagonal_contacts_are_two_contours() {
    for picture in [["#.", ".#"], [".#", "#."]] {
        let case = drawn(&picture);
        let (bytes, written) = case.structure_set(Holes::Keyhole).unwrap();
        assert_eq!(contours(&bytes).len(), 2);
        verify_structure_set(bytes, &case.request(), &written).unwrap();
    }
}

#[test]
fn masks_come_back_in_all_orientations() {
    for source in [series([4, 9, 8]), oblique_series([4, 9, 8])] {
        for (axes, flipped) in orientations() {
            let geometry = grid(&source, axes, flipped);
            let original = mask(&blobs(geometry.shape.zyx(), 3, 11), geometry);
            let case = Case::new(source.clone(), vec![original.clone()]);
            for holes in HOLES {
                let (bytes, written) = case.structure_set(holes).unwrap();
                let options = StructureSetOptions::default();
                let read = read_structure_set(
                    &open(&bytes),
                    Slices::Series(&source),
                    Some(&geometry),
                    options,
                    &case.limits,
                )
                .unwrap();
                assert_eq!(
                    read.masks[0].runs().runs(),
                    original.runs().runs(),
                    "{holes:?} {axes:?} {flipped:?}"
                );
                // On the grid alone, contours say across which of its axes their slices lie.
                let slices = Slices::Grid(&geometry);
                let alone = read_structure_set(&open(&bytes), slices, Some(&geometry), options, &case.limits)
                    .unwrap();
                assert_eq!(
                    alone.masks[0].runs(),
                    original.runs(),
                    "{holes:?} {axes:?} {flipped:?}"
                );
                verify_structure_set(bytes, &case.request(), &written).unwrap();
            }
        }
    }
}

#[test]
fn a_grid_of_other_slices_is_refused() {
    let source = series([4, 9, 8]);
    let geometry = grid(&source, [0, 1, 2], [false; 3]);
    let case = Case::new(source, vec![mask(&blobs([4, 9, 8], 3, 11), geometry)]);
    let (bytes, _) = case.structure_set(Holes::Keyhole).unwrap();
    let read = |geometry: &Geometry, limits: &ObjectLimits| {
        let options = StructureSetOptions::default();
        read_structure_set(
            &open(&bytes),
            Slices::Grid(geometry),
            Some(geometry),
            options,
            limits,
        )
    };
    assert!(read(&geometry, &case.limits).is_ok());
    // Half a slice away, and turned by a few degrees about x.
    let normal = [0, 1, 2].map(|r| geometry.affine.rows()[r][2]);
    let mut rows = geometry.affine.rows();
    (0..3).for_each(|r| rows[r][3] += normal[r] / 2.0);
    let (sin, cos) = 0.1f64.sin_cos();
    let plain = geometry.affine.rows();
    let turned = [
        plain[0],
        std::array::from_fn(|c| cos * plain[1][c] - sin * plain[2][c]),
        std::array::from_fn(|c| sin * plain[1][c] + cos * plain[2][c]),
        plain[3],
    ];
    for rows in [rows, turned] {
        let elsewhere = Geometry {
            affine: Affine::new([rows[0], rows[1], rows[2]]).unwrap(),
            ..geometry
        };
        let refused = read(&elsewhere, &case.limits).unwrap_err();
        assert!(refused.to_string().contains("lies on no slice"), "{refused}");
    }
    let few = ObjectLimits {
        max_slices: 3,
        ..case.limits.clone()
    };
    let refused = read(&geometry, &few).unwrap_err();
    assert!(
        matches!(refused, ObjectError::TooLarge { limit: 3, .. }),
        "{refused}"
    );
}

#[test]
fn on_a_grid_alone_all_regions_are_of_one_frame_of_reference() {
    let case = drawn(&["#.", "#."]);
    let second = named_mask(
        &blobs(case.masks[0].runs().shape(), 1, 3),
        *case.masks[0].runs().geometry(),
        |_| "other".to_owned(),
    );
    let geometry = *case.masks[0].runs().geometry();
    let case = Case::new(case.source.clone(), vec![case.masks[0].clone(), second]);
    let (mut bytes, _) = case.structure_set(Holes::Keyhole).unwrap();
    let read = |bytes: &[u8]| {
        let options = StructureSetOptions::default();
        read_structure_set(&open(bytes), Slices::Grid(&geometry), None, options, &case.limits)
    };
    assert_eq!(read(&bytes).unwrap().regions.len(), 2);
    let uid = b"1.2.3.4.7";
    let at = bytes
        .windows(uid.len())
        .rposition(|window| window == uid)
        .unwrap();
    let last_region = {
        let tag = [0x06, 0x30, 0x24, 0x00]; // ReferencedFrameOfReferenceUID
        bytes.windows(4).rposition(|window| window == tag).unwrap()
    };
    assert_eq!(at, last_region + 8);
    bytes[at + uid.len() - 1] = b'8';
    let refused = read(&bytes).unwrap_err();
    assert!(
        refused.to_string().starts_with("ReferencedFrameOfReferenceUID"),
        "{refused}"
    );
}

#[test]
fn what_contours_mean_is_asked_where_it_cannot_be_told() {
    let case = drawn(&["#####", "#...#", "#...#", "#####"]);
    let (mut bytes, _) = case.structure_set(Holes::Xor).unwrap();
    // Other programs write holes as plain contours.
    let (from, to) = (b"CLOSEDPLANAR_XOR", b"CLOSED_PLANAR   ");
    while let Some(at) = bytes.windows(16).position(|window| window == from) {
        bytes[at..at + 16].copy_from_slice(to);
    }
    let read = |nested| {
        let options = StructureSetOptions { nested };
        read_structure_set(
            &open(&bytes),
            Slices::Series(&case.source),
            None,
            options,
            &case.limits,
        )
    };
    let refused = read(Nested::Refuse).unwrap_err();
    assert!(refused.to_string().contains("overlap in one slice"), "{refused}");
    let voxels = |nested| read(nested).unwrap().masks[0].summaries()[&1].voxels;
    assert_eq!((voxels(Nested::Union), voxels(Nested::Xor)), (20, 14));
}

#[test]
fn contours_off_the_slices_and_of_other_patients_are_refused() {
    let case = drawn(&["##", "##"]);
    let (bytes, _) = case.structure_set(Holes::Keyhole).unwrap();
    let read = |source: &SourceSeries| {
        read_structure_set(
            &open(&bytes),
            Slices::Series(source),
            None,
            StructureSetOptions::default(),
            &case.limits,
        )
    };
    assert!(read(&case.source).is_ok());
    let mut moved = case.source.clone();
    moved.slices.iter_mut().for_each(|slice| slice.position[2] += 1.0);
    let refused = read(&moved).unwrap_err();
    assert!(refused.to_string().contains("lies on no slice"), "{refused}");
    for far in [1e7, 1e308] {
        let mut moved = case.source.clone();
        moved.slices.iter_mut().for_each(|slice| slice.position[0] = far);
        assert!(read(&moved).is_err());
    }
    let mut other = case.source.clone();
    other.frame_of_reference_uid = "1.2.3.4.8".to_owned();
    let refused = read(&other).unwrap_err();
    assert!(
        refused.to_string().starts_with("ReferencedFrameOfReferenceUID"),
        "{refused}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Noise has every kind of hole, island, and contact.
    #[test]
    fn any_mask_comes_back(
        shape in (1usize..3, 1usize..16, 1usize..16),
        voxels in prop::collection::vec(0u16..3, 480),
        is_xor in any::<bool>(),
    ) {
        let shape = [shape.0, shape.1, shape.2];
        let source = oblique_series(shape);
        let geometry = grid(&source, [0, 1, 2], [false; 3]);
        let array = Array::from_shape_vec(shape, voxels[..shape.iter().product()].to_vec()).unwrap();
        prop_assume!(array.iter().any(|v| *v != 0));
        let case = Case::new(source, vec![mask(&array, geometry)]);
        let holes = HOLES[usize::from(is_xor)];
        let (bytes, written) = case.structure_set(holes).unwrap();
        verify_structure_set(bytes.clone(), &case.request(), &written).unwrap();
        prop_assert_eq!(case.structure_set(holes).unwrap().0, bytes);
    }
}
