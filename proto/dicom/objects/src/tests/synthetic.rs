//! Synthetic series, as a listing finds them and a scan is read from them.

use nephrite_dicom::{DicomLimits, Listing, SeriesOptions, check_phase, list, read};
use nephrite_types::{
    Affine, CancelToken, Coded, ErrorCode, Geometry, IntensityScale, Limits, Phase, Shape3, Spacing, Volume,
    Voxels,
};
use nephrite_volume::Reader;

use crate::*;

/// Four slices of 5 rows and 6 columns, as scanners store them: to the left, to the back, up.
fn volume() -> Volume {
    let rows = [
        [-0.75, 0.0, 0.0, 21.5],
        [0.0, -1.25, 0.0, -7.0],
        [0.0, 0.0, 3.0, 100.0],
    ];
    let shape = [4, 5, 6];
    Volume {
        voxels: Voxels::I16(ndarray::Array3::from_shape_fn(shape, |(z, y, x)| {
            (100 * z + 10 * y + x) as i16 - 200
        })),
        scale: IntensityScale::IDENTITY,
        geometry: Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing: Spacing::new([3.0, 1.25, 0.75]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        },
    }
}

fn study(key: u8) -> SyntheticStudy {
    SyntheticStudy {
        key: [key; 32],
        patient_name: "Phantom^Seven".to_owned(),
        patient_id: "phantom-7".to_owned(),
        description: "Synthetic".to_owned(),
        date: "20260102".to_owned(),
        manufacturer: "nephrite phantom".to_owned(),
    }
}

fn image(series: SyntheticSeries<'_>, z: usize) -> Result<Vec<u8>, ObjectError> {
    let mut bytes = Vec::new();
    series.write_image(z, &mut bytes)?;
    Ok(bytes)
}

fn of<'a>(study: &'a SyntheticStudy, volume: &'a Volume, phase: Phase) -> SyntheticSeries<'a> {
    SyntheticSeries {
        study,
        volume,
        phase,
        number: 3,
    }
}

struct Folder {
    _temp: tempfile::TempDir,
    dir: cap_std::fs::Dir,
}

impl Folder {
    /// All images of a series for each of these phases.
    fn new(study: &SyntheticStudy, volume: &Volume, phases: &[Phase]) -> Folder {
        let temp = tempfile::tempdir().unwrap();
        let dir = cap_std::fs::Dir::open_ambient_dir(temp.path(), cap_std::ambient_authority()).unwrap();
        for &phase in phases {
            let series = of(study, volume, phase);
            for z in 0..series.n_images() {
                dir.write(format!("{phase}{z}.dcm"), image(series, z).unwrap())
                    .unwrap();
            }
        }
        Folder { _temp: temp, dir }
    }

    fn list(&self) -> Listing {
        let (limits, options) = (DicomLimits::default(), SeriesOptions::default());
        list(&self.dir, "folder", &limits, &options, &CancelToken::new()).unwrap()
    }
}

#[test]
fn a_series_is_read_as_the_volume_with_its_rows_from_the_last_to_the_first() {
    let (study, volume) = (study(1), volume());
    let folder = Folder::new(&study, &volume, &[Phase::Arterial]);
    let listing = folder.list();
    let series = listing
        .select(Some(&of(&study, &volume, Phase::Arterial).uid()))
        .unwrap();
    let found = read(
        &folder.dir,
        series,
        Reader::SimpleItk,
        &Limits::default(),
        &DicomLimits::default(),
        &CancelToken::new(),
    )
    .unwrap()
    .scan
    .volume;
    let Voxels::I16(voxels) = &volume.voxels else {
        unreachable!()
    };
    let mut expected = voxels.clone();
    expected.invert_axis(ndarray::Axis(1));
    assert_eq!(
        found.voxels,
        Voxels::I16(expected.as_standard_layout().into_owned())
    );
    assert_eq!(found.scale, IntensityScale::IDENTITY);
    // the last row is where the array begins
    let place = |geometry: &Geometry, voxel| geometry.affine.world_from_voxel(voxel);
    let (there, here) = (
        place(&found.geometry, [2.0, 0.0, 3.0]),
        place(&volume.geometry, [2.0, 4.0, 3.0]),
    );
    assert!(
        there.iter().zip(here).all(|(a, b)| (a - b).abs() < 1e-6),
        "{there:?} {here:?}"
    );
}

#[test]
fn series_of_a_study_share_it_and_tell_their_phases() {
    let (study, volume) = (study(1), volume());
    let folder = Folder::new(&study, &volume, &Phase::ALL);
    let listing = folder.list();
    assert_eq!(listing.series.len(), Phase::ALL.len());
    let first = &listing.series[0].study;
    for phase in Phase::ALL {
        let series = listing.select(Some(&of(&study, &volume, phase).uid())).unwrap();
        assert_eq!(series.study.study_uid, study.uid());
        assert_eq!(series.study.frame_of_reference_uid, first.frame_of_reference_uid);
        for stated in Phase::ALL {
            assert_eq!(
                check_phase(stated, &series.summary.phase).is_ok(),
                stated == phase,
                "{stated} {phase}"
            );
        }
        let seconds = [None, Some(30), Some(70), Some(600)];
        let position = Phase::ALL.iter().position(|&other| other == phase).unwrap();
        assert_eq!(
            series.summary.phase.seconds_after_start, seconds[position],
            "{phase}"
        );
        // what objects of it refer to
        assert_eq!(SourceSeries::of(series).unwrap().slices.len(), 4);
    }
}

#[test]
fn identifiers_follow_from_the_key_and_bytes_from_the_series() {
    let (volume, first, other) = (volume(), study(1), study(2));
    let series = of(&first, &volume, Phase::Delayed);
    assert_eq!(image(series, 2).unwrap(), image(series, 2).unwrap());
    let uids = [
        first.uid(),
        other.uid(),
        series.uid(),
        of(&other, &volume, Phase::Delayed).uid(),
        of(&first, &volume, Phase::Arterial).uid(),
    ];
    for (idx, uid) in uids.iter().enumerate() {
        assert!(is_uid(uid) && !uids[..idx].contains(uid), "{uid}");
    }
}

#[test]
fn what_is_no_series_of_hounsfield_units_is_refused() {
    let (study, volume) = (study(1), volume());
    let refused = |study: &SyntheticStudy, volume: &Volume, z: usize| {
        image(of(study, volume, Phase::Delayed), z).unwrap_err()
    };
    let scaled = Volume {
        scale: IntensityScale {
            slope: 1.0,
            inter: -1024.0,
        },
        ..volume.clone()
    };
    let error = refused(&study, &scaled, 0);
    assert!(
        matches!(error, ObjectError::NoHounsfieldUnits { found: "int16" }),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    let floats = Volume {
        voxels: Voxels::F32(ndarray::Array3::zeros([4, 5, 6])),
        ..volume.clone()
    };
    assert!(matches!(
        refused(&study, &floats, 0),
        ObjectError::NoHounsfieldUnits { found: "float32" }
    ));
    let rows = [
        [-0.75, 0.0, 0.3, 0.0],
        [0.0, -1.25, 0.0, 0.0],
        [0.0, 0.0, 3.0, 0.0],
    ];
    let mut sheared = volume.clone();
    sheared.geometry.affine = Affine::new(rows).unwrap();
    assert!(matches!(
        refused(&study, &sheared, 0),
        ObjectError::Sheared { .. }
    ));
    assert!(matches!(
        refused(&study, &volume, 4),
        ObjectError::TooLarge {
            limit: 3,
            found: 4,
            ..
        }
    ));
    let named = |name: &str| SyntheticStudy {
        patient_name: name.to_owned(),
        ..study.clone()
    };
    for name in ["Größe", "a\\b", ""] {
        assert!(
            matches!(refused(&named(name), &volume, 0), ObjectError::Text { .. }),
            "{name:?}"
        );
    }
}
