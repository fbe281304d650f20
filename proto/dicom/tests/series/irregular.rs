//! Each irregularity of a series has a fault of its own, which names the files.

use dicom_core::{PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use nephrite_dicom::test_util::{Labels, TestFile, Way, decimals, single_frame, text};
use nephrite_dicom::{
    BrokenFiles, DicomError, DuplicatePixels, Duplicates, FileError, FileFault, FrameOfReference,
    SeriesFault, SeriesOptions,
};
use nephrite_types::{Coded, ErrorCode};

use crate::harness::{Folder, fault, volume};

pub(crate) fn files() -> Vec<TestFile> {
    single_frame(&volume(), Way::PLAIN, &Labels::default())
}

pub(crate) fn changed(change: impl FnOnce(&mut Vec<TestFile>)) -> SeriesFault {
    let mut files = files();
    change(&mut files);
    fault(&files, &SeriesOptions::default())
}

pub(crate) fn each(files: &mut [TestFile], change: impl Fn(usize, &mut InMemDicomObject)) {
    for (index, file) in files.iter_mut().enumerate() {
        change(index, &mut file.object);
    }
}

/// Moves an image by mm, LPS.
pub(crate) fn shift(object: &mut InMemDicomObject, by: [f64; 3]) {
    let position = object
        .element(tags::IMAGE_POSITION_PATIENT)
        .unwrap()
        .to_multi_float64()
        .unwrap();
    let moved: Vec<f64> = position.iter().zip(by).map(|(at, by)| at + by).collect();
    object.put(decimals(tags::IMAGE_POSITION_PATIENT, &moved));
}

/// mm from slice to slice along their normal, and a direction within their plane; both LPS.
pub(crate) fn directions() -> ([f64; 3], [f64; 3]) {
    let files = files();
    let at = |index: usize, tag| {
        files[index]
            .object
            .element(tag)
            .unwrap()
            .to_multi_float64()
            .unwrap()
    };
    let (first, second) = (
        at(0, tags::IMAGE_POSITION_PATIENT),
        at(1, tags::IMAGE_POSITION_PATIENT),
    );
    let along = at(0, tags::IMAGE_ORIENTATION_PATIENT);
    (
        std::array::from_fn(|i| second[i] - first[i]),
        std::array::from_fn(|i| along[3 + i]),
    )
}

#[test]
fn uneven_spacing_and_missing_slices_are_two_things() {
    let (step, _) = directions();
    let found = changed(|files| shift(&mut files[2].object, step.map(|v| v * 0.2)));
    let SeriesFault::UnevenSpacing {
        deviation,
        step: mm,
        file,
    } = &found
    else {
        panic!("{found}")
    };
    assert!(
        (deviation - 0.6).abs() < 1e-3 && (mm - 3.0).abs() < 1e-3 && file == "002.dcm",
        "{found}"
    );
    let found = changed(|files| drop(files.remove(2)));
    let SeriesFault::MissingSlice {
        missing, gap, files, ..
    } = &found
    else {
        panic!("{found}")
    };
    assert_eq!((*missing, *gap), (1, 2));
    assert_eq!(files.iter().collect::<std::collections::BTreeSet<_>>().len(), 2);
    assert!(files.contains(&"001.dcm".to_owned()) && files.contains(&"003.dcm".to_owned()));
    // Within a hundredth of a step it is rounding.
    let mut near = self::files();
    shift(&mut near[2].object, step.map(|v| v * 0.009));
    assert!(Folder::new(&near).read_only(&SeriesOptions::default()).is_ok());
    let lax = SeriesOptions {
        spacing_tolerance: 0.25,
        ..SeriesOptions::default()
    };
    let mut uneven = self::files();
    shift(&mut uneven[2].object, step.map(|v| v * 0.2));
    assert!(Folder::new(&uneven).read_only(&lax).is_ok());
}

#[test]
fn images_at_one_place_are_told_and_compared() {
    let twice = |change: fn(&mut InMemDicomObject)| {
        let mut files = files();
        let mut copy = files[1].clone();
        copy.name = "copy.dcm".to_owned();
        copy.object.put(text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4"));
        change(&mut copy.object);
        files.push(copy);
        files
    };
    let same = twice(|_| {});
    let found = fault(&same, &SeriesOptions::default());
    let SeriesFault::DuplicatePosition { n: 1, pixels, files } = &found else {
        panic!("{found}")
    };
    assert_eq!(*pixels, DuplicatePixels::Same);
    assert_eq!(files[..], ["001.dcm", "copy.dcm"]);
    let other = twice(|object| {
        object.put(InMemElement::new(
            tags::PIXEL_DATA,
            VR::OW,
            PrimitiveValue::from(vec![7u8; 48]),
        ));
    });
    let found = fault(&other, &SeriesOptions::default());
    assert!(
        matches!(
            found,
            SeriesFault::DuplicatePosition {
                pixels: DuplicatePixels::Different,
                ..
            }
        ),
        "{found}"
    );
    let identical = SeriesOptions {
        duplicates: Duplicates::Identical,
        ..SeriesOptions::default()
    };
    let read = Folder::new(&same).read_only(&identical).unwrap();
    let once = Folder::new(&self::files())
        .read_only(&SeriesOptions::default())
        .unwrap();
    assert_eq!(read.scan.volume, once.scan.volume);
    let found = fault(&other, &identical);
    assert!(
        matches!(
            found,
            SeriesFault::DuplicatePosition {
                pixels: DuplicatePixels::Different,
                ..
            }
        ),
        "{found}"
    );
    // One instance in two files.
    let found = changed(|files| {
        let mut copy = files[1].clone();
        copy.name = "copy.dcm".to_owned();
        files.push(copy);
    });
    assert!(
        matches!(&found, SeriesFault::SameInstance { files, .. } if files.len() == 2),
        "{found}"
    );
}

#[test]
fn what_is_no_volume_is_told() {
    let found = changed(|files| files.truncate(1));
    assert!(
        matches!(&found, SeriesFault::OneSlice { file } if file == "000.dcm"),
        "{found}"
    );
    let found = changed(|files| {
        let place = files[0]
            .object
            .element(tags::IMAGE_POSITION_PATIENT)
            .unwrap()
            .clone();
        each(files, |_, object| drop(object.put(place.clone())));
    });
    assert!(matches!(&found, SeriesFault::NotAVolume { n: 5, .. }), "{found}");
}

/// Numbers that arithmetic does not survive, and steps that are none.
#[test]
fn places_that_cannot_be_are_refused() {
    let (step, _) = directions();
    for by in [1e300, 1e7] {
        let found = changed(|files| shift(&mut files[2].object, step.map(|v| v * by)));
        assert!(
            matches!(
                &found,
                SeriesFault::Geometry {
                    what: "is more than a kilometer",
                    ..
                }
            ),
            "{found}"
        );
    }
    let found = changed(|files| {
        let first = files[0]
            .object
            .element(tags::IMAGE_POSITION_PATIENT)
            .unwrap()
            .clone();
        each(files, |k, object| {
            object.put(first.clone());
            shift(object, step.map(|v| v * 2e-4 * k as f64));
        });
    });
    assert!(matches!(&found, SeriesFault::NotAVolume { n: 5, .. }), "{found}");
}

#[test]
fn mixed_directions_matrices_and_pixels_are_told() {
    let found = changed(|files| {
        each(&mut files[3..], |_, object| {
            drop(object.put(decimals(
                tags::IMAGE_ORIENTATION_PATIENT,
                &[0., 1., 0., 0., 0., -1.],
            )))
        });
    });
    assert!(
        matches!(&found, SeriesFault::MixedOrientation { n: 2, .. }),
        "{found}"
    );
    let found = changed(|files| {
        files[3]
            .object
            .put(InMemElement::new(tags::ROWS, VR::US, PrimitiveValue::from(3u16)));
    });
    assert!(
        matches!(
            &found,
            SeriesFault::MixedMatrix {
                what: "rows or columns",
                ..
            }
        ),
        "{found}"
    );
    let found = changed(|files| drop(files[3].object.put(decimals(tags::PIXEL_SPACING, &[1.4, 2.5]))));
    assert!(
        matches!(
            &found,
            SeriesFault::MixedMatrix {
                what: "pixel spacing",
                ..
            }
        ),
        "{found}"
    );
    let found = changed(|files| {
        drop(
            files[3]
                .object
                .put(text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2")),
        )
    });
    assert!(
        matches!(&found, SeriesFault::SeveralStacks { n: 2, .. }),
        "{found}"
    );
}

#[test]
fn echoes_and_phases_at_the_same_places_are_stacks_with_names() {
    let (first, mut second) = (files(), files());
    for (index, file) in second.iter_mut().enumerate() {
        file.name = format!("second{index}.dcm");
        file.object
            .put(text(tags::SOP_INSTANCE_UID, VR::UI, &format!("1.2.3.{index}")));
        file.object.put(text(tags::ACQUISITION_NUMBER, VR::IS, "2"));
    }
    let folder = Folder::new(&[first, second].concat());
    let listing = folder.list(&SeriesOptions::default());
    let ids: Vec<&str> = listing
        .series
        .iter()
        .map(|series| series.summary.id.as_str())
        .collect();
    assert_eq!(ids, ["1.2.826.0.1.3680043.10.1:1", "1.2.826.0.1.3680043.10.1:2"]);
    let several = listing.select(Some("1.2.826.0.1.3680043.10.1")).unwrap_err();
    assert!(matches!(
        several,
        DicomError::Series {
            fault: SeriesFault::SeveralStacks { n: 2, .. },
            ..
        }
    ));
    assert!(folder.read(listing.select(Some(ids[1])).unwrap()).is_ok());
}

#[test]
fn what_is_no_scan_is_told() {
    let all = |tag, vr, value: &'static str| {
        move |files: &mut Vec<TestFile>| each(files, |_, object| drop(object.put(text(tag, vr, value))))
    };
    let found = changed(all(tags::MODALITY, VR::CS, "US"));
    assert!(
        matches!(&found, SeriesFault::WrongModality { modality, .. } if modality == "US"),
        "{found}"
    );
    let found = changed(all(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.7"));
    assert!(matches!(&found, SeriesFault::SecondaryCapture { .. }), "{found}");
    let found = changed(all(tags::BURNED_IN_ANNOTATION, VR::CS, "YES"));
    assert!(matches!(&found, SeriesFault::SecondaryCapture { .. }), "{found}");
    let found = changed(all(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER"));
    assert!(matches!(&found, SeriesFault::Localizer { .. }), "{found}");
    let without = |files: &mut [TestFile]| {
        each(files, |_, object| {
            assert!(object.remove_element(tags::FRAME_OF_REFERENCE_UID))
        })
    };
    let found = changed(|files| without(files));
    assert!(
        matches!(&found, SeriesFault::NoFrameOfReference { files } if files.len() == 5),
        "{found}"
    );
    let optional = SeriesOptions {
        frame_of_reference: FrameOfReference::Optional,
        ..SeriesOptions::default()
    };
    let mut files = files();
    without(&mut files);
    assert!(Folder::new(&files).read_only(&optional).is_ok());
}

#[test]
fn places_must_be_there_and_be_places() {
    for (tag, attribute) in [
        (tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient (0020,0032)"),
        (
            tags::IMAGE_ORIENTATION_PATIENT,
            "ImageOrientationPatient (0020,0037)",
        ),
        (tags::PIXEL_SPACING, "PixelSpacing (0028,0030)"),
    ] {
        let found = changed(|files| each(files, |_, object| assert!(object.remove_element(tag))));
        assert!(
            matches!(&found, SeriesFault::Geometry { attribute: a, what: "is missing", .. } if *a == attribute),
            "{found}"
        );
        let found = changed(|files| each(files, |_, object| drop(object.put(text(tag, VR::DS, "nan")))));
        assert!(
            matches!(&found, SeriesFault::File { fault: FileFault::Attribute { attribute: a, .. }, .. } if *a == attribute),
            "{found}"
        );
    }
    let skew = [1.0, 0.0, 0.0, 0.5, 0.866, 0.0];
    let found = changed(|files| {
        each(files, |_, object| {
            drop(object.put(decimals(tags::IMAGE_ORIENTATION_PATIENT, &skew)))
        })
    });
    assert!(
        matches!(
            &found,
            SeriesFault::Geometry {
                what: "is not two directions at right angles",
                ..
            }
        ),
        "{found}"
    );
    let found = changed(|files| {
        each(files, |_, object| {
            drop(object.put(decimals(tags::PIXEL_SPACING, &[0.0, 1.0])))
        })
    });
    assert!(
        matches!(
            &found,
            SeriesFault::Geometry {
                what: "is not positive",
                ..
            }
        ),
        "{found}"
    );
}

#[test]
fn a_broken_file_beside_a_series_may_be_a_slice_of_it() {
    let folder = Folder::new(&files());
    let mut broken = files()[2].bytes();
    broken.truncate(400);
    folder.dir.write("broken.dcm", &broken).unwrap();
    folder.dir.write("notes.txt", "no DICOM file").unwrap();
    let refused = folder.read_only(&SeriesOptions::default()).unwrap_err();
    let DicomError::Series {
        fault: SeriesFault::BrokenFiles { files },
        ..
    } = &refused
    else {
        panic!("{refused}")
    };
    assert!(
        files.len() == 1 && files[0].starts_with("broken.dcm: "),
        "{files:?}"
    );
    let ignore = SeriesOptions {
        broken_files: BrokenFiles::Ignore,
        ..SeriesOptions::default()
    };
    assert!(folder.read_only(&ignore).is_ok());
    // What was no image is none when it is broken.
    let mut segmentation = self::files().remove(0);
    segmentation
        .object
        .put(text(tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.66.4"));
    let mut bytes = segmentation.bytes();
    bytes.truncate(500);
    folder.dir.write("broken.dcm", &bytes).unwrap();
    assert!(folder.read_only(&SeriesOptions::default()).is_ok());
    // A slice that lost its pixels is broken, too.
    let mut without = self::files();
    without[0].object.remove_element(tags::PIXEL_DATA);
    let found = fault(&without, &SeriesOptions::default());
    assert!(matches!(&found, SeriesFault::BrokenFiles { .. }), "{found}");
}

#[test]
fn a_file_that_changes_between_listing_and_reading_is_noticed() {
    let folder = Folder::new(&files());
    let listing = folder.list(&SeriesOptions::default());
    let series = listing.select(None).unwrap();
    folder.dir.write("002.dcm", self::files()[2].bytes()).unwrap();
    let refused = folder.read(series).unwrap_err();
    assert!(
        matches!(&refused, DicomError::File(FileError::Changed { name }) if name == "002.dcm"),
        "{refused}"
    );
    assert_eq!(refused.code(), ErrorCode::Environment);
    folder.dir.remove_file("002.dcm").unwrap();
    assert!(matches!(
        folder.read(series).unwrap_err(),
        DicomError::File(FileError::Read { .. })
    ));
}
