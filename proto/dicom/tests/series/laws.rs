//! What holds for every grid, and stacks within one enhanced file.

use dicom_core::{PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use nephrite_dicom::test_util::{Labels, Way, enhanced, joined, second_stack, single_frame, text};
use nephrite_dicom::{DicomLimits, SeriesOptions, read};
use nephrite_types::{Affine, CancelToken, Coded, ErrorCode, Geometry, Limits, Spacing};
use nephrite_volume::Reader;
use proptest::prelude::*;

use crate::harness::{Folder, assert_same_world, volume};

/// Columns of the rotation by a quaternion.
fn rotation([a, b, c, d]: [f64; 4]) -> [[f64; 3]; 3] {
    let n = (a * a + b * b + c * c + d * d).sqrt();
    let [a, b, c, d] = [a / n, b / n, c / n, d / n];
    [
        [
            a * a + b * b - c * c - d * d,
            2.0 * (b * c + a * d),
            2.0 * (b * d - a * c),
        ],
        [
            2.0 * (b * c - a * d),
            a * a + c * c - b * b - d * d,
            2.0 * (c * d + a * b),
        ],
        [
            2.0 * (b * d + a * c),
            2.0 * (c * d - a * b),
            a * a + d * d - b * b - c * c,
        ],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_grid_in_any_way_comes_back(
        quaternion in prop::array::uniform4(-1.0f64..1.0),
        spacing in prop::array::uniform3(0.3f64..6.0),
        origin in prop::array::uniform3(-500.0f64..500.0),
        way in prop::sample::select(Way::all()),
        is_enhanced in any::<bool>(),
    ) {
        prop_assume!(quaternion.iter().map(|v| v * v).sum::<f64>() > 0.1);
        let columns = rotation(quaternion);
        let rows = std::array::from_fn(|r| {
            let step = |c: usize| columns[c][r] * spacing[2 - c];
            [step(0), step(1), step(2), origin[r]]
        });
        let mut written = volume();
        written.geometry = Geometry {
            spacing: Spacing::new(spacing).unwrap(),
            affine: Affine::new(rows).unwrap(),
            ..written.geometry
        };
        let files = if is_enhanced {
            vec![enhanced(&written, way, &Labels::default())]
        } else {
            single_frame(&written, way, &Labels::default())
        };
        let found = Folder::new(&files).read_only(&SeriesOptions::default()).unwrap();
        assert_same_world(&found.scan.volume, &written);
    }
}

/// All frames of a file twice, the second time with another value of an attribute of their content.
fn doubled(change: impl Fn(&mut InMemDicomObject)) -> Folder {
    let file = enhanced(&volume(), Way::PLAIN, &Labels::default());
    Folder::new(&[joined(file.clone(), &file, change)])
}

#[test]
fn stacks_and_time_points_of_one_enhanced_file_are_told_apart() {
    let time = |content: &mut InMemDicomObject| {
        let second = PrimitiveValue::from(2u32);
        content.put(InMemElement::new(tags::TEMPORAL_POSITION_INDEX, VR::UL, second));
    };
    for folder in [doubled(second_stack), doubled(time)] {
        let listing = folder.list(&SeriesOptions::default());
        assert_eq!(listing.series.len(), 2);
        assert!(listing.select(None).is_err());
        for series in &listing.series {
            let read = folder
                .read(listing.select(Some(&series.summary.id)).unwrap())
                .unwrap();
            assert_same_world(&read.scan.volume, &volume());
        }
    }
}

#[test]
fn reading_stops_when_it_is_told_to() {
    let folder = Folder::new(&single_frame(&volume(), Way::PLAIN, &Labels::default()));
    let listing = folder.list(&SeriesOptions::default());
    let (cancel, limits, dicom) = (CancelToken::new(), Limits::default(), DicomLimits::default());
    cancel.cancel();
    let series = listing.select(None).unwrap();
    let stopped = read(&folder.dir, series, Reader::SimpleItk, &limits, &dicom, &cancel).unwrap_err();
    assert_eq!(stopped.code(), ErrorCode::Cancelled);
    let few = Limits {
        max_voxels: 100,
        ..limits
    };
    let refused = read(
        &folder.dir,
        series,
        Reader::SimpleItk,
        &few,
        &dicom,
        &CancelToken::new(),
    )
    .unwrap_err();
    assert_eq!(refused.code(), ErrorCode::LimitExceeded);
}

#[test]
fn jumps_of_instance_numbers_are_noted() {
    let mut files = single_frame(&volume(), Way::PLAIN, &Labels::default());
    let notes = |files: &[_]| {
        let listing = Folder::new(files).list(&SeriesOptions::default());
        listing.series[0].summary.notes.clone()
    };
    assert_eq!(notes(&files), Vec::<String>::new());
    files.remove(0);
    files[0].object.put(text(tags::INSTANCE_NUMBER, VR::IS, "1"));
    let found = notes(&files);
    assert!(found.len() == 1 && found[0].contains("from 1 to 5"), "{found:?}");
}
