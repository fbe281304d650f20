//! Pixels of the samples of pydicom, pydicom-data and pynetdicom are those that pydicom and GDCM decode, or are refused by name.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::path::Path;

use nephrite_dicom::test_util::samples_folder;
use nephrite_dicom::{DicomLimits, FileError, FileFault, Frames, open_object};
use sha2::{Digest, Sha256};

const PHOTOMETRIC: &str = "PhotometricInterpretation (0028,0004)";
const BITS: &str = "BitsAllocated (0028,0100)";
const COLOR: &str = "colors of a palette";

/// What is refused, though pydicom gives pixels: the end of its name, a part of the message, and why.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "J2K_pixelrep_mismatch.dcm",
        "signed pixels",
        "pydicom corrects the sign in silence",
    ),
    ("jpeg_ls_lossless.dcm", "JPEG-LS lossless", "its decoder is C++"),
    (
        "JPEGLSNearLossless_08.dcm",
        "JPEG-LS near-lossless",
        "its decoder is C++",
    ),
    (
        "JPEGLSNearLossless_16.dcm",
        "JPEG-LS near-lossless",
        "its decoder is C++",
    ),
    (
        "JPGExtended.dcm",
        "JPEG extended",
        "12 bits; not decoded by jpeg-decoder",
    ),
    ("OBXXXX1A.dcm", PHOTOMETRIC, COLOR),
    ("OBXXXX1A_2frame.dcm", PHOTOMETRIC, COLOR),
    ("OBXXXX1A_expb.dcm", PHOTOMETRIC, COLOR),
    ("OBXXXX1A_expb_2frame.dcm", PHOTOMETRIC, COLOR),
    ("OBXXXX1A_rle.dcm", PHOTOMETRIC, COLOR),
    ("OBXXXX1A_rle_2frame.dcm", PHOTOMETRIC, COLOR),
    ("gdcm-US-ALOKA-16.dcm", PHOTOMETRIC, COLOR),
    ("gdcm-US-ALOKA-16_big.dcm", PHOTOMETRIC, COLOR),
    ("examples_palette.dcm", PHOTOMETRIC, COLOR),
    ("liver.dcm", BITS, "a segmentation of one bit"),
    ("liver_expb.dcm", BITS, "a segmentation of one bit"),
    ("liver_1frame.dcm", BITS, "a segmentation of one bit"),
    ("liver_expb_1frame.dcm", BITS, "a segmentation of one bit"),
    ("rtdose.dcm", BITS, "a dose of 32 bits"),
    ("rtdose_1frame.dcm", BITS, "a dose of 32 bits"),
    ("rtdose_expb.dcm", BITS, "a dose of 32 bits"),
    ("rtdose_expb_1frame.dcm", BITS, "a dose of 32 bits"),
    ("rtdose_rle.dcm", BITS, "a dose of 32 bits"),
    ("rtdose_rle_1frame.dcm", BITS, "a dose of 32 bits"),
];

/// What is read, though pydicom gives no pixels.
const READ: &[(&str, &str)] = &[(
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "the end mark is cut off, and no frame",
)];

/// SHA-256 of all pixels as `samples/reference.py` makes it.
fn digest(path: &Path) -> Result<String, FileFault> {
    let file = std::fs::File::open(path).unwrap();
    let opened = open_object(&file, "f", &DicomLimits::default());
    let object = opened.map_err(|error| match error {
        FileError::Content { fault, .. } => fault,
        other => panic!("{other}"),
    })?;
    let frames = Frames::of(&object)?;
    let mut digest = Sha256::new();
    for frame in 1..=frames.format().frames {
        for value in frames.decode(frame)? {
            digest.update(value.to_le_bytes());
        }
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[test]
fn pixels_are_those_of_pydicom_and_gdcm() {
    let Some(folder) = samples_folder() else { return };
    let reference = include_str!("samples/pixels.json");
    let reference: BTreeMap<String, Option<String>> = serde_json::from_str(reference).unwrap();
    let (mut same, mut wrong) = (0, Vec::new());
    for (name, expected) in &reference {
        let found = digest(&folder.join(name));
        let refused = REFUSED.iter().find(|(file, ..)| name.ends_with(file));
        match (found, expected, refused) {
            (Ok(found), Some(expected), None) if found == *expected => same += 1,
            (Err(fault), Some(_), Some((_, says, _))) if fault.to_string().contains(says) => {}
            (Err(_), None, None) => {}
            (Ok(_), None, None) if READ.iter().any(|(file, _)| name.ends_with(file)) => {}
            (found, ..) => wrong.push(format!("{name}: {found:?}, expected {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(same >= 45, "only {same} files were compared");
}
