//! A data set as a DICOM file; large pixel data follow it frame by frame.

use std::io::Write;

use dicom_dictionary_std::uids;
use dicom_encoding::encode::EncoderFor;
use dicom_encoding::encode::explicit_le::ExplicitVRLittleEndianEncoder;
use dicom_encoding::encode::implicit_le::ImplicitVRLittleEndianEncoder;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

use crate::ObjectError;
use crate::uid::derived;

/// Written into files as ImplementationVersionName, 16 characters at most.
const VERSION_NAME: &str = "NEPHRITE_0_1";

/// Writes preamble, file meta information and data set: little endian, with explicit types unless the syntax is the one without.
pub(crate) fn write_file(
    out: &mut impl Write,
    object: &InMemDicomObject,
    sop_class_uid: &str,
    sop_instance_uid: &str,
    transfer_syntax: &str,
) -> Result<(), ObjectError> {
    let encode = |error: &dyn std::error::Error| {
        let reason = nephrite_types::with_causes(error.to_string(), error.source());
        ObjectError::Encode { reason }
    };
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(sop_class_uid)
        .media_storage_sop_instance_uid(sop_instance_uid)
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid(derived(&[0; 32], &["implementation"]))
        .implementation_version_name(VERSION_NAME)
        .build()
        .map_err(|error| encode(&error))?;
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    meta.write(&mut bytes).map_err(|error| encode(&error))?;
    let written = match transfer_syntax {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => object.write_dataset(
            &mut bytes,
            EncoderFor::new(ImplicitVRLittleEndianEncoder::default()),
        ),
        _ => object.write_dataset(
            &mut bytes,
            EncoderFor::new(ExplicitVRLittleEndianEncoder::default()),
        ),
    };
    written.map_err(|error| encode(&error))?;
    Ok(out.write_all(&bytes)?)
}

/// Header of pixel data of known length, explicit little endian, type OB or OW. Source: PS3.5 7.1.2.
pub(crate) fn pixel_data_header(vr: &[u8; 2], length: u32) -> [u8; 12] {
    let mut header = [0xe0, 0x7f, 0x10, 0x00, vr[0], vr[1], 0, 0, 0, 0, 0, 0];
    header[8..].copy_from_slice(&length.to_le_bytes());
    header
}

/// Header of a fragment of encapsulated pixel data, or of the offset table. Source: PS3.5 A.4.
pub(crate) fn fragment_header(length: u32) -> [u8; 8] {
    let mut header = [0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&length.to_le_bytes());
    header
}

/// Ends encapsulated pixel data.
pub(crate) const SEQUENCE_END: [u8; 8] = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
/// Length of encapsulated pixel data.
pub(crate) const UNDEFINED_LENGTH: u32 = u32::MAX;
