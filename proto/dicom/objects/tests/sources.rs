//! Series from files, single-frame and enhanced, in all 48 ways: their masks become objects that lie where the volume lay.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;
use nephrite_dicom::test_util::{Labels as SeriesLabels, Way, enhanced, single_frame, write};
use nephrite_dicom::{DicomLimits, SeriesOptions, list, open_bytes};
use nephrite_dicom_objects::*;
use nephrite_mask_codec::{LabelTable, Mask, RunMask};
use nephrite_types::{
    Affine, CancelToken, Geometry, IntensityScale, Labels, Limits, Shape3, Spacing, Volume, Voxels,
};

/// An oblique volume whose voxels all differ.
fn volume() -> Volume {
    let shape = [5, 6, 7];
    let rows = [
        [0.64, 0.54, 0.0, -11.5],
        [-0.48, 0.72, 0.0, 20.25],
        [0.0, 0.0, 1.5, 300.5],
    ];
    let values = |(z, y, x): (usize, usize, usize)| ((z * 6 + y) * 7 + x) as i16;
    Volume {
        voxels: Voxels::I16(ndarray::Array3::from_shape_fn(shape, values)),
        scale: IntensityScale::IDENTITY,
        geometry: Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing: Spacing::new([1.5, 0.9, 0.8]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        },
    }
}

/// Which voxels of the volume have a label.
fn label([z, y, x]: [usize; 3]) -> u16 {
    if z == 2 && y == 1 && x == 5 {
        return 2;
    }
    u16::from(z < 3 && y > 2 && x != 1 && (x + y) % 4 != 0)
}

fn check(volume: &Volume, folder: &std::path::Path, is_enhanced: bool, way: Way) {
    let dir = cap_std::fs::Dir::open_ambient_dir(folder, cap_std::ambient_authority()).unwrap();
    let labels = SeriesLabels::default();
    match is_enhanced {
        true => write(&dir, &[enhanced(volume, way, &labels)]),
        false => write(&dir, &single_frame(volume, way, &labels)),
    }
    let (limits, cancel) = (DicomLimits::default(), CancelToken::new());
    let listing = list(&dir, "scan", &limits, &SeriesOptions::default(), &cancel).unwrap();
    let series = listing.select(None).unwrap();
    let geometry = series.geometry().unwrap();
    // The label of each voxel of the array, by the place that it has in the volume.
    let index = |world: [f64; 3]| {
        let all = (0..5).flat_map(|z| (0..6).flat_map(move |y| (0..7).map(move |x| [z, y, x])));
        let place = |[z, y, x]: [usize; 3]| {
            volume
                .geometry
                .affine
                .world_from_voxel([x, y, z].map(|i| i as f64))
        };
        let off = |at: [usize; 3]| {
            (0..3)
                .map(|i| (place(at)[i] - world[i]).abs())
                .fold(0.0, f64::max)
        };
        let at = all.clone().find(|at| off(*at) < 0.01);
        at.expect("the array has the voxels of the volume")
    };
    let array = ndarray::Array3::from_shape_fn(geometry.shape.zyx(), |(z, y, x)| {
        label(index(
            geometry.affine.world_from_voxel([x as f64, y as f64, z as f64]),
        ))
    });
    let runs = RunMask::from_labels(&Labels::U16(array), &geometry, &Limits::default()).unwrap();
    let masks = [Mask::new(runs, LabelTable::numbered([1, 2])).unwrap()];
    let source = SourceSeries::of(series).unwrap();
    let (codes, object_limits, equipment) = (BTreeMap::new(), ObjectLimits::default(), Equipment::nephrite());
    let algorithm = Algorithm {
        name: "a".to_owned(),
        version: "1".to_owned(),
    };
    let request = ObjectRequest {
        source: &source,
        masks: &masks,
        codes: &codes,
        placement: Placement::OnSource,
        case: [1; 32],
        role: "r",
        series_number: 5,
        description: "d",
        algorithm: &algorithm,
        equipment: &equipment,
        limits: &object_limits,
    };
    let mut bytes = Vec::new();
    let written = write_seg(&request, SegKind::Binary, &mut bytes).unwrap();
    let verified = verify_seg(bytes.clone(), &request, &written).unwrap();
    // One voxel alone: its center is that of the volume's voxel.
    let expected = volume.geometry.affine.world_from_voxel([5.0, 1.0, 2.0]);
    assert_eq!(verified[1].voxels, 1);
    assert!(
        (0..3).all(|i| (verified[1].centroid_mm[i] - expected[i]).abs() < 1e-3),
        "{way:?}"
    );
    let file = open_bytes(bytes, "seg", &limits).unwrap();
    check_references(&file.header.object, &source, is_enhanced);

    let mut bytes = Vec::new();
    let written = write_structure_set(&request, Holes::Keyhole, &mut bytes).unwrap();
    let verified = verify_structure_set(bytes, &request, &written).unwrap();
    assert!(
        (0..3).all(|i| (verified[1].centroid_mm[i] - expected[i]).abs() < 1e-3),
        "{way:?}"
    );
}

/// Each frame refers to the image, and of an enhanced image to the frame, that lies where it lies.
fn check_references(object: &dicom_object::InMemDicomObject, source: &SourceSeries, is_enhanced: bool) {
    let items = |object: &dicom_object::InMemDicomObject, tag| {
        object
            .get(tag)
            .and_then(|element| element.items())
            .unwrap()
            .to_vec()
    };
    for group in items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE) {
        let position = items(&group, tags::PLANE_POSITION_SEQUENCE);
        let position = position[0]
            .get(tags::IMAGE_POSITION_PATIENT)
            .unwrap()
            .to_multi_float64()
            .unwrap();
        let image = items(
            &items(&group, tags::DERIVATION_IMAGE_SEQUENCE)[0],
            tags::SOURCE_IMAGE_SEQUENCE,
        );
        let text = |tag| {
            image[0]
                .get(tag)
                .map(|element| element.to_str().unwrap().trim_end_matches('\0').to_owned())
        };
        let frame = text(tags::REFERENCED_FRAME_NUMBER).map(|frame| frame.trim().parse().unwrap());
        let instance = text(tags::REFERENCED_SOP_INSTANCE_UID).unwrap();
        let named = source
            .slices
            .iter()
            .find(|slice| slice.sop_instance_uid == instance && slice.frame == frame);
        let named = named.expect("a slice of the series is referred to");
        assert_eq!(frame.is_some(), is_enhanced);
        assert!((0..3).all(|i| (named.position[i] - position[i]).abs() < 1e-6));
    }
}

#[test]
fn masks_of_listed_series_become_objects_in_all_ways() {
    let volume = volume();
    for way in Way::all() {
        for is_enhanced in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            check(&volume, folder.path(), is_enhanced, way);
        }
    }
}
