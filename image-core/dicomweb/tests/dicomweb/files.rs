//! Small DICOM files.

/// Explicit little endian.
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
/// CT Image Storage.
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

fn element(group: u16, number: u16, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut padded = value.to_vec();
    if padded.len() % 2 == 1 {
        padded.push(if vr == b"UI" || vr == b"OB" { 0 } else { b' ' });
    }
    let length = if vr == b"OB" {
        [&[0, 0][..], &u32::try_from(padded.len()).unwrap().to_le_bytes()].concat()
    } else {
        u16::try_from(padded.len()).unwrap().to_le_bytes().to_vec()
    };
    [
        &group.to_le_bytes()[..],
        &number.to_le_bytes(),
        vr,
        &length,
        &padded,
    ]
    .concat()
}

/// An instance whose file meta information names `meta_uid`, with `n_bytes` of pixels.
pub(crate) fn named(meta_uid: &str, study: &str, series: &str, uid: &str, n_bytes: usize) -> Vec<u8> {
    let meta = [
        element(2, 1, b"OB", &[0, 1]),
        element(2, 2, b"UI", CT.as_bytes()),
        element(2, 3, b"UI", meta_uid.as_bytes()),
        element(2, 0x10, b"UI", EXPLICIT.as_bytes()),
    ]
    .concat();
    let length = u32::try_from(meta.len()).unwrap().to_le_bytes();
    [
        vec![0; 128],
        b"DICM".to_vec(),
        element(2, 0, b"UL", &length),
        meta,
        element(8, 0x16, b"UI", CT.as_bytes()),
        element(8, 0x18, b"UI", uid.as_bytes()),
        element(8, 0x60, b"CS", b"CT"),
        element(0x10, 0x10, b"PN", b"SECRET^NAME"),
        element(0x10, 0x20, b"LO", b"SECRET-ID"),
        element(0x20, 0xd, b"UI", study.as_bytes()),
        element(0x20, 0xe, b"UI", series.as_bytes()),
        element(0x7fe0, 0x10, b"OB", &vec![7; n_bytes]),
    ]
    .concat()
}

/// An instance.
pub(crate) fn instance(study: &str, series: &str, uid: &str) -> Vec<u8> {
    named(uid, study, series, uid, 64)
}

/// An instance of JPEG 2000, or what looks like one from outside: an empty offset table and one fragment.
pub(crate) fn compressed(study: &str, series: &str, uid: &str) -> Vec<u8> {
    let plain = named(uid, study, series, uid, 0);
    let pixels = plain.len() - 12;
    let item = |value: &[u8]| {
        let length = u32::try_from(value.len()).unwrap().to_le_bytes();
        [&[0xfe, 0xff, 0, 0xe0][..], &length, value].concat()
    };
    let jpeg_2000 = "1.2.840.10008.1.2.4.90";
    let head = with_syntax(&plain[..pixels], jpeg_2000);
    [
        head,
        vec![0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff],
        item(&[]),
        item(&[0xff, 0x4f, 0xff, 0x51, 1, 2, 3, 4]),
        vec![0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
    ]
    .concat()
}

/// The same file, with another transfer syntax in its header.
fn with_syntax(file: &[u8], syntax: &str) -> Vec<u8> {
    let old = element(2, 0x10, b"UI", EXPLICIT.as_bytes());
    let new = element(2, 0x10, b"UI", syntax.as_bytes());
    let at = file.windows(old.len()).position(|window| window == old).unwrap();
    let mut changed = [&file[..at], &new, &file[at + old.len()..]].concat();
    let length = 128 + 4 + 8; // of the group, behind its tag
    let group = u32::from_le_bytes(changed[length..length + 4].try_into().unwrap());
    let grown = u32::try_from(new.len() - old.len()).unwrap();
    changed[length..length + 4].copy_from_slice(&(group + grown).to_le_bytes());
    changed
}
