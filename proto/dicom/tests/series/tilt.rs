//! Slices that are shifted against each other: told, or straightened.

use dicom_core::{PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;
use nephrite_dicom::test_util::decimals;
use nephrite_dicom::{DicomError, SeriesFault, SeriesOptions, Tilt};

use crate::harness::{Folder, fault};
use crate::irregular::{changed, directions, each, files, shift};

#[test]
fn a_tilted_gantry_is_told_with_its_angle() {
    let (_, down) = directions();
    let found = changed(|files| {
        each(files, |k, object| {
            shift(object, down.map(|v| v * 0.75 * k as f64))
        })
    });
    let SeriesFault::GantryTilt {
        degrees,
        shift,
        files,
    } = &found
    else {
        panic!("{found}")
    };
    assert!((degrees - 0.25f64.atan().to_degrees()).abs() < 0.01, "{degrees}");
    assert!((shift - 3.0).abs() < 1e-3, "{shift}");
    assert_eq!(
        files
            .iter()
            .map(String::as_str)
            .collect::<std::collections::BTreeSet<_>>(),
        ["000.dcm", "004.dcm"].into()
    );
}

/// Intensities that are linear in the world stay so: linear interpolation along the shift is exact.
#[test]
fn a_tilted_gantry_is_straightened_where_that_is_asked_for() {
    let (_, down) = directions();
    let options = SeriesOptions {
        tilt: Tilt::Resample,
        ..SeriesOptions::default()
    };
    for by in [0.75, -0.4, 1.5] {
        let mut files = files();
        each(&mut files, |k, object| {
            shift(object, down.map(|v| v * by * k as f64));
            let at = |tag| object.element(tag).unwrap().to_multi_float64().unwrap();
            let (position, axes) = (
                at(tags::IMAGE_POSITION_PATIENT),
                at(tags::IMAGE_ORIENTATION_PATIENT),
            );
            let mut pixels = Vec::new();
            for row in 0..6 {
                for column in 0..4 {
                    let lps: Vec<f64> = (0..3)
                        .map(|i| {
                            position[i]
                                + axes[i] * 2.5 * f64::from(column)
                                + axes[3 + i] * 1.5 * f64::from(row)
                        })
                        .collect();
                    pixels.extend((linear([-lps[0], -lps[1], lps[2]]).round() as i16).to_le_bytes());
                }
            }
            object.put(InMemElement::new(
                tags::PIXEL_DATA,
                VR::OW,
                PrimitiveValue::from(pixels),
            ));
            object.put(decimals(tags::RESCALE_INTERCEPT, &[0.0]));
        });
        let folder = Folder::new(&files);
        let listing = folder.list(&options);
        let series = listing.select(None).unwrap();
        assert!(series.is_resampled().unwrap());
        assert!(matches!(
            series.axes(),
            Err(DicomError::Series {
                fault: SeriesFault::Resampled,
                ..
            })
        ));
        let volume = folder.read(series).unwrap().scan.volume;
        let rows = volume.geometry.affine.rows();
        let column = |c: usize| [rows[0][c], rows[1][c], rows[2][c]];
        let dot = |a: [f64; 3], b: [f64; 3]| (0..3).map(|i| a[i] * b[i]).sum::<f64>();
        assert!(dot(column(2), column(1)).abs() < 1e-4, "slices are straight");
        let intensities = volume.to_intensities();
        let (mut measured, mut outside) = (0, 0);
        for ((z, y, x), &value) in intensities.indexed_iter() {
            if value == -1024.0 {
                outside += 1;
                continue;
            }
            let world = volume
                .geometry
                .affine
                .world_from_voxel([x as f64, y as f64, z as f64]);
            assert!(
                (f64::from(value) - linear(world)).abs() < 0.75,
                "{value} {}",
                linear(world)
            );
            measured += 1;
        }
        // 5 slices of 6 rows and 4 columns, of which interpolation loses one row at most.
        assert!(
            (5 * 5 * 4..=5 * 6 * 4).contains(&measured) && outside > 0,
            "{measured} {outside}"
        );
    }
}

/// A shift along rows is no tilt of a gantry.
#[test]
fn only_shifts_along_columns_are_straightened() {
    let along = self::files()[0]
        .object
        .element(tags::IMAGE_ORIENTATION_PATIENT)
        .unwrap()
        .to_multi_float64()
        .unwrap();
    let mut files = files();
    each(&mut files, |k, object| {
        shift(object, [along[0], along[1], along[2]].map(|v| v * k as f64))
    });
    let options = SeriesOptions {
        tilt: Tilt::Resample,
        ..SeriesOptions::default()
    };
    assert!(matches!(fault(&files, &options), SeriesFault::GantryTilt { .. }));
}

#[test]
fn one_slice_beside_the_line_is_told() {
    let (_, down) = directions();
    let found = changed(|files| shift(&mut files[2].object, down));
    assert!(
        matches!(&found, SeriesFault::Misaligned { file, .. } if file == "002.dcm"),
        "{found}"
    );
}

fn linear([x, y, z]: [f64; 3]) -> f64 {
    11.0 * x - 7.0 * y + 5.0 * z
}
