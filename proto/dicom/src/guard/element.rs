//! Tag, value representation and length of one element.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::syntax::Encoding;

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ElementHead {
    pub(crate) tag: Tag,
    /// `UN` where the dictionary does not know it.
    pub(crate) vr: VR,
    /// `None`: undefined.
    pub(crate) length: Option<u32>,
    /// Where the value begins.
    pub(crate) value: usize,
}

/// Reads the head at `pos`; `None` if the bytes end inside it.
pub(crate) fn read_head(
    bytes: &[u8],
    pos: usize,
    encoding: Encoding,
) -> Result<Option<ElementHead>, &'static str> {
    let at = |offset: usize, n: usize| bytes.get(pos.checked_add(offset)?..pos.checked_add(offset + n)?);
    let u16_of = |b: &[u8]| match encoding.big_endian {
        true => u16::from_be_bytes([b[0], b[1]]),
        false => u16::from_le_bytes([b[0], b[1]]),
    };
    let u32_of = |b: &[u8]| match encoding.big_endian {
        true => u32::from_be_bytes([b[0], b[1], b[2], b[3]]),
        false => u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
    };
    let Some(head) = at(0, 8) else { return Ok(None) };
    let tag = Tag(u16_of(&head[..2]), u16_of(&head[2..4]));
    let is_item = tag.0 == 0xfffe;
    let (vr, length, value) = if is_item || !encoding.explicit {
        let vr = if is_item { VR::UN } else { vr_of(tag) };
        (vr, u32_of(&head[4..8]), pos + 8)
    } else {
        let vr = [head[4], head[5]];
        let is_vr = vr.iter().all(u8::is_ascii_uppercase) || matches!(&vr, b"??" | b"  " | b"\0\0");
        if !is_vr {
            return Err("no value representation where one must be");
        }
        let vr = VR::from_binary(vr).unwrap_or(VR::UN);
        if has_short_length(vr) {
            (vr, u32::from(u16_of(&head[6..8])), pos + 8)
        } else {
            let Some(long) = at(8, 4) else { return Ok(None) };
            (vr, u32_of(long), pos + 12)
        }
    };
    let length = (length != u32::MAX).then_some(length);
    if length.is_none() && !is_item && has_short_length(vr) && encoding.explicit {
        return Err("a value of undefined length that is no sequence");
    }
    Ok(Some(ElementHead {
        tag,
        vr,
        length,
        value,
    }))
}

/// Length in two bytes (PS3.5 7.1.2).
fn has_short_length(vr: VR) -> bool {
    use VR::*;
    matches!(
        vr,
        AE | AS
            | AT
            | CS
            | DA
            | DS
            | DT
            | FL
            | FD
            | IS
            | LO
            | LT
            | PN
            | SH
            | SL
            | SS
            | ST
            | TM
            | UI
            | UL
            | US
    )
}

/// As the dictionary has it.
fn vr_of(tag: Tag) -> VR {
    if tag == Tag(0x7fe0, 0x0010) {
        return VR::OW;
    }
    StandardDataDictionary
        .by_tag(tag)
        .map_or(VR::UN, |entry| entry.vr().relaxed())
}
