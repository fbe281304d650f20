//! The bytes of one value as a value of its representation.

use dicom_core::{DataElementHeader, Length, PrimitiveValue, Tag, VR};
use dicom_encoding::decode::basic::{BigEndianBasicDecoder, LittleEndianBasicDecoder};
use dicom_encoding::decode::explicit_le::ExplicitVRLittleEndianDecoder;
use dicom_encoding::text::SpecificCharacterSet;
use dicom_parser::stateful::decode::{StatefulDecode, StatefulDecoder};

const CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// Text of which there may be several, with `\` between them.
pub(super) fn is_multi_text(vr: VR) -> bool {
    use VR::*;
    matches!(vr, AE | AS | CS | DA | DS | DT | IS | LO | PN | SH | TM | UC | UI)
}

/// The value; its bytes, where they are no text of the character set that the file names.
pub(super) fn primitive(
    tag: Tag,
    vr: VR,
    bytes: &[u8],
    big_endian: bool,
    charset: SpecificCharacterSet,
) -> PrimitiveValue {
    let header = DataElementHeader::new(tag, vr, Length(bytes.len() as u32));
    // The decoder of headers is not asked: the walk has read this one.
    let unused = ExplicitVRLittleEndianDecoder::default();
    let value = if big_endian {
        StatefulDecoder::new(bytes, unused, BigEndianBasicDecoder, charset).read_value_preserved(&header)
    } else {
        StatefulDecoder::new(bytes, unused, LittleEndianBasicDecoder, charset).read_value_preserved(&header)
    };
    value.unwrap_or_else(|_| PrimitiveValue::from(bytes))
}

/// The character set that this element names, if it is the one that names it. One that is not known reads as the default.
pub(super) fn character_set(tag: Tag, value: &PrimitiveValue) -> Option<SpecificCharacterSet> {
    if tag != CHARACTER_SET {
        return None;
    }
    let named = value.to_multi_str();
    let known = named
        .iter()
        .find_map(|code| SpecificCharacterSet::from_code(code.trim()));
    Some(known.unwrap_or_default())
}
