//! The file header: which transfer syntax a file is in, and where its data set begins.

use super::syntax::TransferSyntax;
use crate::file_error::FileFault;

const PREAMBLE_BYTES: usize = 128;
const MARK: &[u8] = b"DICM";
const TRANSFER_SYNTAX: u16 = 0x0010;
const MEDIA_STORAGE_SOP_CLASS: u16 = 0x0002;
const MEDIA_STORAGE_SOP_INSTANCE: u16 = 0x0003;

/// What the header of a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileMeta {
    pub(crate) syntax: TransferSyntax,
    /// MediaStorageSOPClassUID, empty if absent.
    pub(crate) sop_class: String,
    /// MediaStorageSOPInstanceUID, empty if absent.
    pub(crate) sop_instance: String,
    /// Where the data set begins.
    pub(crate) end: usize,
}

/// Reads the file header from the first bytes of a file. Preamble, header, or both may be missing, as after some exports.
///
/// The length that the group names is not used, since it is often wrong: the header ends where its group does.
pub(crate) fn read_meta(bytes: &[u8]) -> Result<FileMeta, FileFault> {
    let has_mark = bytes.get(PREAMBLE_BYTES..PREAMBLE_BYTES + MARK.len()) == Some(MARK);
    let mut pos = match bytes {
        _ if has_mark => PREAMBLE_BYTES + MARK.len(),
        _ if bytes.starts_with(MARK) => MARK.len(),
        _ if looks_like_dataset(bytes) => 0,
        _ => return Err(FileFault::NotDicom),
    };
    let (mut uid, mut sop_class, mut sop_instance) = (None, String::new(), String::new());
    while let Some(&[2, 0, e0, e1]) = bytes.get(pos..pos + 4) {
        let (value, next) = meta_value(bytes, pos)?;
        match u16::from_le_bytes([e0, e1]) {
            TRANSFER_SYNTAX => uid = Some(uid_text(value)),
            MEDIA_STORAGE_SOP_CLASS => sop_class = uid_text(value),
            MEDIA_STORAGE_SOP_INSTANCE => sop_instance = uid_text(value),
            _ => {}
        }
        pos = next;
    }
    let syntax = match uid {
        Some(uid) => TransferSyntax::from_uid(&uid),
        None => TransferSyntax::guess(&bytes[pos.min(bytes.len())..]),
    };
    Ok(FileMeta {
        syntax,
        sop_class,
        sop_instance,
        end: pos,
    })
}

/// Group 2 or 8 at the very start, with an element that such files begin with.
fn looks_like_dataset(bytes: &[u8]) -> bool {
    match bytes.get(..8) {
        Some(&[2, 0, 0 | 1, 0, b'U' | b'O', b'L' | b'B', ..]) => true,
        Some(&[8, 0, e0, 0, a, b, ..]) => {
            e0 <= 0x18 && ((a.is_ascii_uppercase() && b.is_ascii_uppercase()) || (a < 128 && b == 0))
        }
        _ => false,
    }
}

/// The value of an element in explicit little endian, and where the next one begins.
fn meta_value(bytes: &[u8], pos: usize) -> Result<(&[u8], usize), FileFault> {
    let truncated = || FileFault::Truncated {
        tag: "of the file header".to_owned(),
        offset: pos as u64,
    };
    let head = bytes.get(pos + 4..pos + 8).ok_or_else(truncated)?;
    let is_long = matches!(
        &head[..2],
        b"OB" | b"OW" | b"UN" | b"UT" | b"SQ" | b"OF" | b"UC" | b"UR"
    );
    let (start, len) = if is_long {
        let len = bytes.get(pos + 8..pos + 12).ok_or_else(truncated)?;
        (
            pos + 12,
            u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize,
        )
    } else {
        (pos + 8, usize::from(u16::from_le_bytes([head[2], head[3]])))
    };
    let end = start.checked_add(len).ok_or_else(truncated)?;
    Ok((bytes.get(start..end).ok_or_else(truncated)?, end))
}

fn uid_text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim_matches(['\0', ' ']).chars().take(64).collect()
}
