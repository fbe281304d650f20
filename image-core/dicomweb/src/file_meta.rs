//! The file meta information of a DICOM file (PS3.10, 7.1): which instance it holds, and how that is coded.

use crate::uid::Uid;

/// Bytes at the beginning of a file that are looked at: preamble, `DICM`, and group 0002.
pub(crate) const MAX_META: usize = 64 << 10;
/// Elements of the group.
const MAX_ELEMENTS: usize = 64;
const PREAMBLE: usize = 128;
const MAGIC: &[u8] = b"DICM";

/// What the file meta information says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileMeta {
    /// (0002,0002) MediaStorageSOPClassUID
    pub(crate) class: Uid,
    /// (0002,0003) MediaStorageSOPInstanceUID
    pub(crate) instance: Uid,
    /// (0002,0010) TransferSyntaxUID
    pub(crate) transfer_syntax: Uid,
}

/// Reads the beginning of a file, at least its first [`MAX_META`] bytes if it has as many.
///
/// # Errors
/// What is wrong.
pub(crate) fn file_meta(bytes: &[u8]) -> Result<FileMeta, &'static str> {
    if !is_dicom(bytes) {
        return Err("no DICOM file: DICM is missing after the preamble");
    }
    let mut rest = &bytes[PREAMBLE + MAGIC.len()..];
    let (mut class, mut instance, mut transfer_syntax) = (None, None, None);
    for _ in 0..MAX_ELEMENTS {
        let Some((tag, value, after)) = element(rest) else {
            break;
        };
        rest = after;
        match tag {
            0x0002_0002 => class = class.or(Some(value)),
            0x0002_0003 => instance = instance.or(Some(value)),
            0x0002_0010 => transfer_syntax = transfer_syntax.or(Some(value)),
            _ => {}
        }
    }
    let uid = |value: Option<&[u8]>, otherwise| {
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        let text = text.map(|text| text.trim_end_matches(['\0', ' ']));
        text.and_then(|text| text.parse::<Uid>().ok()).ok_or(otherwise)
    };
    Ok(FileMeta {
        class: uid(class, "no usable MediaStorageSOPClassUID (0002,0002)")?,
        instance: uid(instance, "no usable MediaStorageSOPInstanceUID (0002,0003)")?,
        transfer_syntax: uid(transfer_syntax, "no usable TransferSyntaxUID (0002,0010)")?,
    })
}

/// True of the beginning of a DICOM file.
pub(crate) fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(PREAMBLE..PREAMBLE + MAGIC.len()) == Some(MAGIC)
}

/// The next element of group 0002, always explicit little endian: tag, value, and what follows. `None` at its end, and where it
/// is cut off or is none.
fn element(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(6)?;
    let (group, element) = (
        u16::from_le_bytes([head[0], head[1]]),
        u16::from_le_bytes([head[2], head[3]]),
    );
    if group != 2 {
        return None;
    }
    let (length, rest) = match &head[4..6] {
        b"OB" | b"OW" | b"UN" | b"UT" | b"SQ" => {
            let (length, rest) = rest.split_at_checked(6)?;
            (
                u32::from_le_bytes([length[2], length[3], length[4], length[5]]),
                rest,
            )
        }
        _ => {
            let (length, rest) = rest.split_at_checked(2)?;
            (u32::from(u16::from_le_bytes([length[0], length[1]])), rest)
        }
    };
    let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((u32::from(group) << 16 | u32::from(element), value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn short(element: u16, vr: &[u8], value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        [
            &[2, 0],
            &element.to_le_bytes()[..],
            vr,
            &length.to_le_bytes(),
            value,
        ]
        .concat()
    }

    fn file(elements: &[Vec<u8>]) -> Vec<u8> {
        [
            &[0; PREAMBLE][..],
            MAGIC,
            &elements.concat(),
            &[8, 0, 0x18, 0, b'U', b'I', 2, 0, b'9', 0],
        ]
        .concat()
    }

    fn usual() -> Vec<Vec<u8>> {
        let version = [&[2, 0, 1, 0][..], b"OB\0\0", &2_u32.to_le_bytes(), &[0, 1]].concat();
        vec![
            version,
            short(2, b"UI", b"1.2\0"),
            short(3, b"UI", b"1.23"),
            short(0x10, b"UI", b"1.2.840.10008.1.2 "),
        ]
    }

    #[test]
    fn what_a_file_holds_is_read() {
        let meta = file_meta(&file(&usual())).unwrap();
        let [class, instance, syntax] =
            [meta.class, meta.instance, meta.transfer_syntax].map(|uid| uid.to_string());
        assert_eq!(
            [&*class, &*instance, &*syntax],
            ["1.2", "1.23", "1.2.840.10008.1.2"]
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        assert!(file_meta(b"").unwrap_err().contains("DICM"));
        assert!(file_meta(&[0; 200]).unwrap_err().contains("DICM"));
        for (n, expected) in [(1, "0002,0002"), (2, "0002,0003"), (3, "0002,0010")] {
            let mut elements = usual();
            elements.remove(n);
            assert!(file_meta(&file(&elements)).unwrap_err().contains(expected));
            let mut elements = usual();
            elements[n] = short([0, 2, 3, 0x10][n], b"UI", b"../../etc");
            assert!(file_meta(&file(&elements)).unwrap_err().contains(expected));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = file_meta(&file(&[bytes]));
        }
    }
}
