//! Archives written byte by byte, with every lie that a zip can tell.

use std::io::{Cursor, Write};

use super::*;

/// A member as the test writes it; what is `None` is written truthfully.
#[derive(Default, Clone)]
struct Spec {
    name: &'static str,
    data: Vec<u8>,
    /// Uncompressed; makes the member a deflated one.
    deflate: bool,
    size: Option<u32>,
    compressed: Option<u32>,
    offset: Option<u32>,
    crc: Option<u32>,
    flags: u16,
    zip64: bool,
}

fn spec(name: &'static str, data: &[u8]) -> Spec {
    Spec {
        name,
        data: data.to_vec(),
        ..Spec::default()
    }
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zip(specs: &[Spec]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for spec in specs {
        let stored = if spec.deflate {
            deflate(&spec.data)
        } else {
            spec.data.clone()
        };
        let offset = spec.offset.unwrap_or(file.len() as u32);
        let size = spec.size.unwrap_or(spec.data.len() as u32);
        let compressed = spec.compressed.unwrap_or(stored.len() as u32);
        let crc = spec.crc.unwrap_or_else(|| crc32fast::hash(&spec.data));
        let method: u16 = if spec.deflate { 8 } else { 0 };
        let mut fields = Vec::new(); // version, flags, method, time, date, checksum
        for value in [20u16, spec.flags, method, 0, 0] {
            fields.extend(value.to_le_bytes());
        }
        fields.extend(crc.to_le_bytes());
        let name_len = (spec.name.len() as u16).to_le_bytes();

        file.extend(b"PK\x03\x04");
        file.extend(&fields);
        file.extend([0; 8]); // sizes: only the directory's count
        file.extend(name_len);
        file.extend(4u16.to_le_bytes()); // an extra field of its own, as torch pads with
        file.extend(spec.name.as_bytes());
        file.extend(b"FB\0\0");
        file.extend(&stored);

        let mut extra = Vec::new();
        let narrow = |value: u32, extra: &mut Vec<u8>| match spec.zip64 {
            true => {
                extra.extend(u64::from(value).to_le_bytes());
                u32::MAX
            }
            false => value,
        };
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&fields);
        let size = narrow(size, &mut extra);
        let compressed = narrow(compressed, &mut extra);
        let offset = narrow(offset, &mut extra);
        directory.extend(compressed.to_le_bytes());
        directory.extend(size.to_le_bytes());
        directory.extend(name_len);
        let extra_len = if spec.zip64 { extra.len() as u16 + 4 } else { 0 };
        directory.extend(extra_len.to_le_bytes());
        directory.extend([0; 10]); // comment, disk, attributes
        directory.extend(offset.to_le_bytes());
        directory.extend(spec.name.as_bytes());
        if spec.zip64 {
            directory.extend(ZIP64_EXTRA.to_le_bytes());
            directory.extend((extra.len() as u16).to_le_bytes());
            directory.extend(extra);
        }
    }
    let offset = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((specs.len() as u16).to_le_bytes());
    file.extend((specs.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(offset.to_le_bytes());
    file.extend([0; 2]);
    file
}

fn open(bytes: Vec<u8>) -> Result<Archive<Cursor<Vec<u8>>>, ArchiveFault> {
    Archive::open(Cursor::new(bytes))
}

#[track_caller]
fn check_refused(bytes: Vec<u8>, is_expected: fn(&ArchiveFault) -> bool) {
    match open(bytes) {
        Err(fault) if is_expected(&fault) => {}
        Err(fault) => panic!("{fault:?}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn values_are_read_like_the_bytes_that_hold_them() {
    let values: Vec<f32> = (0..1000).map(|i| i as f32 * 0.5 - 3.0).collect();
    let plain = spec("a", bytemuck::cast_slice(&values));
    let deflated = Spec {
        name: "b",
        deflate: true,
        ..plain.clone()
    };
    let damaged = Spec {
        name: "c",
        crc: Some(1),
        ..plain.clone()
    };
    let mut archive = open(zip(&[plain, deflated, damaged])).unwrap();
    for name in ["a", "b"] {
        assert_eq!(archive.read_as::<f32>(name, 0..4000).unwrap(), values, "{name}");
        assert_eq!(
            archive.read_as::<f32>(name, 40..80).unwrap(),
            values[10..20],
            "{name}"
        );
        assert!(matches!(
            archive.read_as::<f32>(name, 0..4004),
            Err(ArchiveFault::Damaged { .. })
        ));
    }
    // the checksum is that of the whole member
    assert_eq!(archive.read_as::<f32>("c", 0..8).unwrap(), values[..2]);
    assert!(matches!(
        archive.read_as::<f32>("c", 0..4000),
        Err(ArchiveFault::Damaged { .. })
    ));
}

#[test]
fn stored_deflated_and_zip64_members_are_read() {
    let text = b"0123456789".repeat(100);
    let plain = spec("r/a", &text);
    let deflated = Spec {
        name: "r/b",
        deflate: true,
        ..plain.clone()
    };
    let wide = Spec {
        name: "r/c",
        zip64: true,
        ..plain.clone()
    };
    let mut archive = open(zip(&[plain, deflated, wide])).unwrap();
    assert_eq!(archive.names().collect::<Vec<_>>(), ["r/a", "r/b", "r/c"]);
    for name in ["r/a", "r/b", "r/c"] {
        assert_eq!(archive.size(name), Some(1000));
        assert_eq!(archive.read(name, 0..1000).unwrap(), text, "{name}");
        assert_eq!(archive.read(name, 5..12).unwrap(), text[5..12], "{name}");
        assert_eq!(archive.read(name, 990..1000).unwrap(), text[990..], "{name}");
        assert_eq!(archive.read(name, 7..7).unwrap(), b"", "{name}");
        assert!(archive.read(name, 0..1001).is_err(), "{name}");
    }
    assert!(matches!(
        archive.read("r/d", 0..0),
        Err(ArchiveFault::Missing { .. })
    ));
}

#[test]
fn a_comment_that_holds_an_end_record_does_not_mislead() {
    let mut bytes = zip(&[spec("r/a", b"x")]);
    let fake = zip(&[]);
    let at = bytes.len() - 2;
    bytes[at..].copy_from_slice(&(fake.len() as u16 + 1).to_le_bytes());
    bytes.extend(&fake);
    bytes.push(b'!');
    assert_eq!(open(bytes).unwrap().names().collect::<Vec<_>>(), ["r/a"]);
}

#[test]
fn overlapping_and_repeated_members_are_refused() {
    let (a, b) = (spec("r/a", b"0123456789"), spec("r/b", b"9876543210"));
    check_refused(
        zip(&[
            a.clone(),
            Spec {
                offset: Some(0),
                ..b.clone()
            },
        ]),
        |f| matches!(f, ArchiveFault::Overlap { .. }),
    );
    check_refused(
        zip(&[
            a.clone(),
            Spec {
                offset: Some(20),
                ..b.clone()
            },
        ]),
        |f| matches!(f, ArchiveFault::Overlap { .. }),
    );
    check_refused(
        zip(&[
            a.clone(),
            Spec {
                offset: Some(u32::MAX - 1),
                ..b
            },
        ]),
        |f| matches!(f, ArchiveFault::Overlap { .. }),
    );
    check_refused(zip(&[a.clone(), a.clone()]), |f| {
        matches!(f, ArchiveFault::Duplicate { .. })
    });
    // A local header whose own extra field pushes the data into the next member.
    let mut bytes = zip(&[a]);
    bytes[28..30].copy_from_slice(&u16::MAX.to_le_bytes());
    let fault = open(bytes).unwrap().read("r/a", 0..10).unwrap_err();
    assert!(matches!(fault, ArchiveFault::Overlap { .. }), "{fault:?}");
}

#[test]
fn claimed_sizes_are_not_believed() {
    let data = vec![7u8; 100_000];
    let stored = spec("r/a", &data);
    let deflated = Spec {
        deflate: true,
        ..stored.clone()
    };
    // Larger than the file.
    check_refused(
        zip(&[Spec {
            size: Some(1 << 30),
            compressed: Some(1 << 30),
            ..stored.clone()
        }]),
        |f| matches!(f, ArchiveFault::Overlap { .. }),
    );
    check_refused(
        zip(&[Spec {
            size: Some(1 << 30),
            ..stored.clone()
        }]),
        |f| matches!(f, ArchiveFault::Sizes { .. }),
    );
    // A bomb beyond what deflate can do, and one that inflates to more or less than it says.
    check_refused(
        zip(&[Spec {
            size: Some(1 << 30),
            ..deflated.clone()
        }]),
        |f| matches!(f, ArchiveFault::Sizes { .. }),
    );
    for claimed in [10, 100_001] {
        let mut archive = open(zip(&[Spec {
            size: Some(claimed),
            ..deflated.clone()
        }]))
        .unwrap();
        let fault = archive.read("r/a", 0..u64::from(claimed)).unwrap_err();
        assert!(
            matches!(fault, ArchiveFault::Damaged { .. }),
            "{claimed}: {fault:?}"
        );
    }
}

#[test]
fn damage_is_noticed() {
    let wrong = Spec {
        crc: Some(1),
        ..spec("r/a", b"data")
    };
    let mut archive = open(zip(&[wrong])).unwrap();
    assert!(matches!(
        archive.read("r/a", 0..4),
        Err(ArchiveFault::Damaged { .. })
    ));
    let none = Spec {
        crc: Some(0),
        ..spec("r/a", b"data")
    };
    assert_eq!(
        open(zip(&[none])).unwrap().read("r/a", 0..4).unwrap(),
        b"data",
        "torch can leave the checksum out"
    );
    let mut bytes = zip(&[spec("r/a", b"data")]);
    bytes[0] = b'X';
    let fault = open(bytes).unwrap().read("r/a", 0..4).unwrap_err();
    assert!(matches!(fault, ArchiveFault::Malformed { .. }), "{fault:?}");
}

#[test]
fn broken_directories_are_refused() {
    let good = zip(&[spec("r/a", b"data")]);
    let end = good.len() - END_LEN as usize;
    let check = |at: usize, bytes: &[u8], is_expected: fn(&ArchiveFault) -> bool| {
        let mut broken = good.clone();
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        check_refused(broken, is_expected);
    };
    check(end, b"X", |f| matches!(f, ArchiveFault::NoEndRecord));
    check(end + 10, &[9, 0], |f| matches!(f, ArchiveFault::Malformed { .. })); // more members than there are
    check(end + 12, &[0xFF, 0xFF, 0xFF, 0x7F], |f| {
        matches!(f, ArchiveFault::TooMany { .. })
    });
    check(end + 16, &[0xFF, 0xFF, 0xFF, 0x7F], |f| {
        matches!(f, ArchiveFault::OutsideFile { .. })
    });
    check(end + 16, &[0xFF; 4], |f| {
        matches!(f, ArchiveFault::Malformed { .. })
    }); // ZIP64 without its locator
    let long_name = [0xFF, 0xFF];
    let directory = u32_at(&good, end + 16) as usize;
    check(directory + 28, &long_name, |f| {
        matches!(f, ArchiveFault::TooMany { .. })
    });
    check(directory + 8, &[1, 0], |f| {
        matches!(f, ArchiveFault::Method { .. })
    }); // encrypted
    check(directory + 10, &[12, 0], |f| {
        matches!(f, ArchiveFault::Method { .. })
    }); // bzip2
    check(directory + ENTRY_LEN, &[0xFF], |f| {
        matches!(f, ArchiveFault::Malformed { .. })
    }); // name is not UTF-8
    check_refused(Vec::new(), |f| matches!(f, ArchiveFault::NoEndRecord));
}

#[test]
fn a_zip64_end_record_is_bounded_too() {
    // A well-formed ZIP64 tail around an empty directory, then with a claim changed.
    let tail = |n_members: u64, len: u64, offset: u64, record: u64| {
        let mut bytes = END64_SIGNATURE.to_vec();
        bytes.extend([0; 28]);
        for value in [n_members, len, offset] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(LOCATOR64_SIGNATURE);
        bytes.extend([0; 4]);
        bytes.extend(record.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(END_SIGNATURE);
        bytes.extend([0; 4]);
        bytes.extend([0xFF; 12]);
        bytes.extend([0; 2]);
        bytes
    };
    assert_eq!(open(tail(0, 0, 0, 0)).unwrap().names().count(), 0);
    check_refused(tail(u64::MAX, 0, 0, 0), |f| {
        matches!(f, ArchiveFault::TooMany { .. })
    });
    check_refused(tail(0, u64::MAX, 0, 0), |f| {
        matches!(f, ArchiveFault::TooMany { .. })
    });
    check_refused(tail(0, 0, u64::MAX, 0), |f| {
        matches!(f, ArchiveFault::OutsideFile { .. })
    });
    check_refused(tail(0, 8, u64::MAX - 3, 0), |f| {
        matches!(f, ArchiveFault::OutsideFile { .. })
    });
    check_refused(tail(0, 0, 0, u64::MAX), |f| {
        matches!(f, ArchiveFault::OutsideFile { .. })
    });
    check_refused(tail(0, 0, 0, 1), |f| matches!(f, ArchiveFault::Malformed { .. }));
}
