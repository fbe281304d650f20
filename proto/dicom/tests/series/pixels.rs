//! Pixels that are not what the header says, or do not become intensities.

use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use nephrite_dicom::test_util::{Labels, TestFile, Way, decimals, enhanced, text};
use nephrite_dicom::{DicomError, FileError, FileFault, SeriesFault, SeriesOptions};

use crate::harness::{Folder, fault, volume};
use crate::irregular::{changed, each, files};

#[test]
fn pixels_must_be_what_the_header_says() {
    let mut short = files();
    short[3].object.put(InMemElement::new(
        tags::PIXEL_DATA,
        VR::OW,
        PrimitiveValue::from(vec![0u8; 46]),
    ));
    let refused = Folder::new(&short)
        .read_only(&SeriesOptions::default())
        .unwrap_err();
    let DicomError::File(FileError::Content { name, fault }) = &refused else {
        panic!("{refused}")
    };
    assert_eq!(
        (name.as_str(), fault),
        (
            "003.dcm",
            &FileFault::ShortPixels {
                found: 46,
                expected: 48
            }
        )
    );
    // More is padding.
    let mut padded = files();
    let mut bytes = padded[3]
        .object
        .element(tags::PIXEL_DATA)
        .unwrap()
        .to_bytes()
        .unwrap()
        .into_owned();
    bytes.extend([9; 20]);
    padded[3].object.put(InMemElement::new(
        tags::PIXEL_DATA,
        VR::OW,
        PrimitiveValue::from(bytes),
    ));
    let read = |files: &[TestFile]| {
        Folder::new(files)
            .read_only(&SeriesOptions::default())
            .unwrap()
            .scan
            .volume
    };
    assert_eq!(read(&padded), read(&files()));
    let number = |tag: Tag, value: u16| InMemElement::new(tag, VR::US, PrimitiveValue::from(value));
    for (tag, value) in [
        (tags::BITS_ALLOCATED, 32),
        (tags::BITS_STORED, 17),
        (tags::HIGH_BIT, 16),
        (tags::SAMPLES_PER_PIXEL, 3),
        (tags::PIXEL_REPRESENTATION, 2),
    ] {
        let found = changed(|files| each(files, |_, object| drop(object.put(number(tag, value)))));
        assert!(
            matches!(
                &found,
                SeriesFault::File {
                    fault: FileFault::Attribute { .. },
                    ..
                }
            ),
            "{tag} {found}"
        );
    }
    let found = changed(|files| {
        each(files, |_, object| {
            drop(object.put(text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB")))
        })
    });
    assert!(
        matches!(
            &found,
            SeriesFault::File {
                fault: FileFault::Attribute { .. },
                ..
            }
        ),
        "{found}"
    );
}

#[test]
fn syntaxes_that_are_not_decoded_are_refused_by_name() {
    for (uid, says) in [
        ("1.2.840.10008.1.2.4.80", "JPEG-LS lossless"),
        ("1.2.840.10008.1.2.4.51", "JPEG extended"),
        ("1.2.840.113619.5.2", "GE private"),
        ("1.2.3", "not known"),
    ] {
        let mut files = files();
        for file in &mut files {
            file.syntax = uid.to_owned();
        }
        let found = fault(&files, &SeriesOptions::default());
        let SeriesFault::File {
            fault: FileFault::UnsupportedSyntax { name, .. },
            ..
        } = &found
        else {
            panic!("{found}")
        };
        assert!(name.contains(says), "{name}");
    }
}

#[test]
fn rescale_must_be_there_in_ct_and_be_a_factor() {
    let is_bad = |found: SeriesFault, says: &str| {
        assert!(
            matches!(&found, SeriesFault::BadRescale { what, files } if *what == says && files == &["002.dcm"]),
            "{found}"
        );
    };
    is_bad(
        changed(|files| assert!(files[2].object.remove_element(tags::RESCALE_SLOPE))),
        "are missing in a CT",
    );
    is_bad(
        changed(|files| drop(files[2].object.put(decimals(tags::RESCALE_SLOPE, &[0.0])))),
        "have slope 0",
    );
    let found = changed(|files| drop(files[2].object.put(text(tags::RESCALE_SLOPE, VR::DS, "one"))));
    assert!(
        matches!(
            &found,
            SeriesFault::File {
                fault: FileFault::Attribute { .. },
                ..
            }
        ),
        "{found}"
    );
    let found = changed(|files| drop(files[2].object.put(text(tags::RESCALE_SLOPE, VR::DS, "inf"))));
    assert!(
        matches!(
            &found,
            SeriesFault::File {
                fault: FileFault::Attribute { .. },
                ..
            }
        ),
        "{found}"
    );
    let found = changed(|files| {
        let lut = dicom_core::value::DataSetSequence::new(
            vec![InMemDicomObject::new_empty()],
            dicom_core::Length::UNDEFINED,
        );
        files[2]
            .object
            .put(InMemElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, lut));
    });
    assert!(
        matches!(&found, SeriesFault::ModalityLut { files } if files == &["002.dcm"]),
        "{found}"
    );
}

#[test]
fn an_enhanced_file_with_fewer_groups_than_frames_is_refused() {
    let mut file = enhanced(&volume(), Way::PLAIN, &Labels::default());
    file.object.put(text(tags::NUMBER_OF_FRAMES, VR::IS, "9"));
    let found = fault_of(&[file]);
    assert!(found.contains("PerFrameFunctionalGroupsSequence"), "{found}");
}

fn fault_of(files: &[TestFile]) -> String {
    Folder::new(files)
        .read_only(&SeriesOptions::default())
        .unwrap_err()
        .to_string()
}
