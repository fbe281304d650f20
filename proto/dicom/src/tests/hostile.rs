//! Files that want memory, time, or depth: each is refused by its own fault.

use dicom_core::Tag;

use crate::{DicomLimits, FileError, FileFault, open_bytes};

/// A file in a transfer syntax with this data set.
pub(super) fn file(syntax: &str, dataset: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    let mut uid = syntax.as_bytes().to_vec();
    if uid.len() % 2 == 1 {
        uid.push(0);
    }
    bytes.extend([2, 0, 0x10, 0, b'U', b'I', uid.len() as u8, 0]);
    bytes.extend(uid);
    bytes.extend(dataset);
    bytes
}

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

fn fault(bytes: Vec<u8>, limits: &DicomLimits) -> FileFault {
    match open_bytes(bytes, "f", limits).unwrap_err() {
        FileError::Content { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

/// A sequence of undefined length, and an item of undefined length.
const OPEN: [u8; 20] = [
    8, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 255, 255, 255, 255, 0xfe, 0xff, 0, 0xe0, 255, 255, 255, 255,
];
const OPEN_IMPLICIT: [u8; 16] = [
    8, 0, 0x40, 0x11, 255, 255, 255, 255, 0xfe, 0xff, 0, 0xe0, 255, 255, 255, 255,
];
const OPEN_UNKNOWN: [u8; 20] = [
    9, 0, 0x40, 0x11, b'U', b'N', 0, 0, 255, 255, 255, 255, 0xfe, 0xff, 0, 0xe0, 255, 255, 255, 255,
];

#[test]
fn sequences_a_million_deep_are_refused_at_the_seventeenth() {
    let limits = DicomLimits::default();
    for (syntax, open) in [(EXPLICIT, &OPEN[..]), (IMPLICIT, &OPEN_IMPLICIT[..])] {
        let deep = file(syntax, &open.repeat(1_000_000));
        assert_eq!(fault(deep, &limits), FileFault::TooDeep { limit: 16 });
    }
    // What is unknown and of undefined length goes on in implicit little endian.
    let unknown = [&OPEN_UNKNOWN[..], &OPEN_IMPLICIT.repeat(100)].concat();
    assert_eq!(
        fault(file(EXPLICIT, &unknown), &limits),
        FileFault::TooDeep { limit: 16 }
    );
}

#[test]
fn lengths_that_are_not_there_are_refused_without_memory() {
    let huge = [8, 0, 0x60, 0, b'U', b'N', 0, 0, 0xfe, 255, 255, 255, 1];
    let found = fault(file(EXPLICIT, &huge), &DicomLimits::default());
    assert!(matches!(found, FileFault::Truncated { .. }), "{found}");
    let inside = [
        &OPEN[..12],
        &[0xfe, 0xff, 0, 0xe0, 8, 0, 0, 0],
        &[8, 0, 0x60, 0, b'C', b'S', 9, 0, 1, 2],
    ]
    .concat();
    let found = fault(file(EXPLICIT, &inside), &DicomLimits::default());
    assert!(matches!(found, FileFault::Malformed { .. }), "{found}");
}

#[test]
fn elements_values_and_inflated_bytes_are_counted() {
    let limits = DicomLimits {
        max_elements: 1000,
        max_text_values: 1000,
        max_inflated_bytes: 1 << 20,
        ..DicomLimits::default()
    };
    let empty = [8, 0, 0x60, 0, b'C', b'S', 0, 0];
    assert_eq!(
        fault(file(EXPLICIT, &empty.repeat(1001)), &limits),
        FileFault::TooManyElements { limit: 1000 }
    );
    let mut values = vec![8, 0, 0x60, 0, b'C', b'S', 0xe8, 3];
    values.extend([b'\\'; 1000]);
    assert_eq!(
        fault(file(EXPLICIT, &values), &limits),
        FileFault::TooManyValues { limit: 1000 }
    );
    let bomb = crate::tests::deflate(&vec![0; 3 << 20]);
    assert_eq!(
        fault(file(DEFLATED, &bomb), &limits),
        FileFault::InflatesTooMuch { limit: 1 << 20 }
    );
    assert_eq!(
        fault(file(DEFLATED, &[0xff; 30]), &limits),
        FileFault::BrokenDeflate
    );
}

#[test]
fn a_data_set_reads_alike_in_every_encoding() {
    let explicit = [
        &[0x10, 0, 0x10, 0, b'P', b'N', 4, 0][..],
        b"A^B ",
        &OPEN,
        &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0],
        &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
    ]
    .concat();
    let implicit = [
        &[0x10, 0, 0x10, 0, 4, 0, 0, 0][..],
        b"A^B ",
        &OPEN_IMPLICIT,
        &[
            0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0,
        ],
    ]
    .concat();
    let files = [
        file(EXPLICIT, &explicit),
        file(IMPLICIT, &implicit),
        file(DEFLATED, &crate::tests::deflate(&explicit)),
        explicit[..].to_vec(),
    ];
    for bytes in &files[..3] {
        let object = open_bytes(bytes.clone(), "f", &DicomLimits::default())
            .unwrap()
            .header
            .object;
        assert_eq!(object.element(Tag(0x10, 0x10)).unwrap().to_str().unwrap(), "A^B");
        assert_eq!(object.element(Tag(8, 0x1140)).unwrap().items().unwrap().len(), 1);
    }
    // Without a file header, only what begins as data sets do.
    assert_eq!(
        fault(files[3].clone(), &DicomLimits::default()),
        FileFault::NotDicom
    );
}
