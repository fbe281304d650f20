//! Headers of NRRD and MetaImage that somebody changed: refused or read, never beyond the limits, never a panic.

use super::read;
use crate::VolumeError;
use crate::fuzzing::read_raw;
use crate::header_lines::MAX_TEXT_HEADER_BYTES;

/// Changes per file.
const N_CHANGES: usize = 3000;

/// What takes the place of a part, or comes before it.
const PARTS: [&[u8]; 22] = [
    b"-1",
    b"0",
    b"1",
    b"3",
    b"16",
    b"65536",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"nan",
    b"inf",
    b"1e308",
    b"1e-320",
    b"none",
    b"(",
    b")",
    b"\n",
    b"\n\n",
    b"\r\n",
    b":=",
    b"= ",
    b"\xff\xfe",
];

/// Numbers that follow from one another.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn changed(file: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len());
        let end = bytes.len().min(at + 1 + numbers.below(12));
        match numbers.below(6) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..end, PARTS[numbers.below(PARTS.len())].iter().copied())),
            3 => drop(bytes.splice(at..at, PARTS[numbers.below(PARTS.len())].iter().copied())),
            4 => {
                let part = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                drop(bytes.splice(to..to, part));
            }
            _ => bytes.truncate(at + 1),
        }
        if bytes.is_empty() {
            bytes.push(b'N');
        }
    }
    bytes
}

const NRRD: &[u8] = b"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 3 2 2\n\
    space directions: (2,0,0) (0,3,0) (0,0,4)\nkinds: domain domain domain\nendian: little\nencoding: raw\nbyte skip: -1\n\
    space origin: (5,6,7)\nSegment0_LabelValue:=1\nSegment0_Name:=a\n\n";
const META: &[u8] = b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n\
    CompressedData = True\nCompressedDataSize = 000000000000000000SIZE\nTransformMatrix = 0 1 0 1 0 0 0 0 1\nOffset = 5 6 7\n\
    ElementSpacing = 2 3 4\nDimSize = 3 2 2\nElementType = MET_SHORT\nElementDataFile = LOCAL\n";

fn files() -> Vec<Vec<u8>> {
    let voxels = [1u8; 24];
    let text = |bytes: &[u8], from: &str, to: &str| {
        String::from_utf8(bytes.to_vec())
            .unwrap()
            .replace(from, to)
            .into_bytes()
    };
    let zlib = crate::tests::zlib(&voxels);
    let raw = text(META, "CompressedData = True", "CompressedData = False");
    vec![
        [NRRD, &voxels].concat(),
        [
            &text(NRRD, "raw\nbyte skip: -1", "gzip")[..],
            &crate::tests::gzip(&voxels),
        ]
        .concat(),
        [&text(META, "SIZE", &format!("{:04}", zlib.len()))[..], &zlib].concat(),
        [&text(&raw, "SIZE", "0000")[..], &voxels].concat(),
    ]
}

#[test]
fn changed_headers_are_read_or_refused() {
    for (i, file) in files().iter().enumerate() {
        read(file).unwrap();
        let mut numbers = Numbers(i as u64);
        let mut n_refused = 0;
        for _ in 0..N_CHANGES {
            let bytes = changed(file, &mut numbers);
            // shapes agree, with every reader and as a label map
            read_raw(&bytes);
            n_refused += usize::from(read(&bytes).is_err());
        }
        assert!(
            (N_CHANGES / 10..N_CHANGES).contains(&n_refused),
            "{n_refused} of file {i}"
        );
    }
}

#[test]
fn every_cut_is_refused() {
    for file in files() {
        for n in 0..file.len() {
            assert!(read(&file[..n]).is_err(), "{n} of {} bytes", file.len());
        }
    }
}

#[test]
fn headers_without_an_end_are_refused() {
    for (start, line) in [
        ("NRRD0004\n", "# a\n"),
        ("NDims = 3\n", "Comment = a\n"),
        ("NRRD0004\n", "a"),
    ] {
        let mut bytes = start.as_bytes().to_vec();
        while bytes.len() as u64 <= 2 * MAX_TEXT_HEADER_BYTES {
            bytes.extend_from_slice(line.as_bytes());
        }
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, VolumeError::HeaderTooLong { .. }), "{error}");
    }
}

#[test]
fn voxels_in_another_file_and_files_compressed_as_a_whole_are_refused_by_name() {
    let detached = String::from_utf8(NRRD.to_vec())
        .unwrap()
        .replace("byte skip: -1", "data file: ../secret.raw");
    let error = read(detached.as_bytes()).unwrap_err();
    assert!(
        matches!(&error, VolumeError::Detached { data_file, .. } if data_file == "../secret.raw"),
        "{error}"
    );
    for name in ["a.raw", "LIST", "a.%03d.raw 1 9 1"] {
        let detached = String::from_utf8(META.to_vec()).unwrap().replace("LOCAL", name);
        let error = read(detached.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, VolumeError::Detached { data_file, .. } if data_file == name),
            "{error}"
        );
    }
    for file in files() {
        let error = read(&crate::tests::gzip(&file)).unwrap_err();
        assert!(matches!(error, VolumeError::CompressedAsAWhole { .. }), "{error}");
    }
}

/// A few bytes that promise much: refused before memory is asked for.
#[test]
fn promises_are_compared_with_the_file_and_the_limits() {
    let file = |from: &str, to: &str| {
        let [raw, gzip, zlib, _] = &files()[..] else {
            panic!()
        };
        let swap = |bytes: &[u8]| {
            let text: String = bytes.iter().map(|b| char::from(*b)).collect();
            text.replace(from, to)
                .chars()
                .map(|c| c as u8)
                .collect::<Vec<u8>>()
        };
        [swap(raw), swap(gzip), swap(zlib)]
    };
    for bytes in file("3 2 2\n", "1000 1000 900\n") {
        let error = read(&bytes).unwrap_err();
        let expected = matches!(
            error,
            VolumeError::ImpossibleCompression { .. } | VolumeError::TruncatedPayload { .. }
        );
        assert!(expected, "{error}");
    }
    for bytes in file("3 2 2\n", "2000000 2000000 2000000\n") {
        let error = read(&bytes).unwrap_err();
        assert!(
            matches!(
                error,
                VolumeError::TooManyVoxels { .. } | VolumeError::DimensionsOverflow { .. }
            ),
            "{error}"
        );
    }
}
