//! Every file that must be refused, with the name and the cause that the error tells.

use std::time::{Duration, Instant};

use nephrite_types::{CancelToken, Coded, ErrorCode, Limits};

use super::{file, gzip, read, read_stream, read_with};
use crate::header::{Header, Version, tests::plain};
use crate::source::Source;
use crate::{Reader, VolumeError, inspect, read_volume};

/// A good file of 24 int16.
fn good() -> Vec<u8> {
    file(&plain(Version::One, false), &[7; 48])
}

fn changed(change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut header = plain(Version::One, false);
    change(&mut header);
    file(&header, &[7; 48])
}

/// The error names the file and the cause; its code is that of a bad input.
#[track_caller]
fn check(bytes: &[u8], parts: &[&str]) {
    let error = read(bytes).expect_err("the file must be refused");
    let text = error.to_string();
    assert!(text.contains("t.nii"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(error.code(), ErrorCode::InvalidInput, "{text}");
}

#[test]
fn what_is_not_nifti_is_refused() {
    check(b"", &["ends inside the header", "found 0"]);
    check(b"\x89PNG\r\n\x1a\n", &["neither NIfTI nor NRRD nor MetaImage"]);
    check(&[0; 1000], &["neither NIfTI nor NRRD nor MetaImage"]);
    check(&gzip(&[0; 1000]), &["neither NIfTI nor NRRD nor MetaImage"]);
    check(&gzip(b""), &["ends inside the header"]);
    let mut pair = good();
    pair[344..348].copy_from_slice(b"ni1\0");
    check(&pair, &["two-file"]);
}

#[test]
fn every_cut_of_a_file_is_refused() {
    for version in [Version::One, Version::Two] {
        let whole = file(&plain(version, false), &[7; 48]);
        for n in 0..whole.len() {
            let part = if n < version.n_header_bytes() {
                "ends inside the header"
            } else {
                "ends inside the voxels"
            };
            check(&whole[..n], &[part]);
            let part = if n < version.min_vox_offset() as usize {
                "ends inside the header"
            } else {
                part
            };
            check(&gzip(&whole[..n]), &[part]);
        }
        let packed = gzip(&whole);
        for n in 1..packed.len() {
            check(&packed[..n], &[]);
        }
        assert!(read(&packed).is_ok());
    }
    // Longer than a chunk, cut in the second.
    let mut header = plain(Version::One, false);
    header.dim = [3, 1000, 1000, 1, 1, 1, 1, 1];
    check(
        &gzip(&file(&header, &vec![7; 1_500_000])),
        &["expected 2000000", "found 1500000"],
    );
    check(
        &file(&header, &vec![7; 1_500_000]),
        &["expected 2000000", "found 1500000"],
    );
}

#[test]
fn broken_gzip_is_refused() {
    let packed = gzip(&good());
    let mut wrong_crc = packed.clone();
    let n = wrong_crc.len();
    wrong_crc[n - 8] ^= 1;
    check(&wrong_crc, &["broken gzip"]);
    let mut wrong_size = packed.clone();
    wrong_size[n - 1] ^= 1;
    check(&wrong_size, &["broken gzip"]);
    let mut wrong_method = packed.clone();
    wrong_method[2] = 9;
    check(&wrong_method, &["broken gzip"]);
    // A bit flipped anywhere in the deflated part is noticed, unless it leaves the bytes as they were (a repeat of
    // equal bytes can be told in several ways).
    let whole = read(&packed).unwrap().volume;
    let flips = (10..n - 8).map(|i| {
        let mut flipped = packed.clone();
        flipped[i] ^= 0x10;
        flipped
    });
    assert!(
        flips
            .filter_map(|flipped| read(&flipped).ok())
            .all(|scan| scan.volume == whole)
    );
}

/// A member with fields in its header: `flags` of RFC 1952 (2: checksum of the header, 4: extra, 8: name, 16: comment).
fn with_fields(bytes: &[u8], flags: u8) -> Vec<u8> {
    let plain = gzip(bytes);
    let mut packed = plain[..10].to_vec();
    packed[3] = flags;
    if flags & 4 != 0 {
        packed.extend([6, 0]);
        packed.extend(b"BC\x02\0\xff\x1f");
    }
    if flags & 8 != 0 {
        packed.extend(b"scan.nii\0");
    }
    if flags & 16 != 0 {
        packed.extend(b"a comment\0");
    }
    if flags & 2 != 0 {
        packed.extend(&crc32fast::hash(&packed).to_le_bytes()[..2]);
    }
    packed.extend(&plain[10..]);
    packed
}

#[test]
fn fields_in_the_header_of_a_member_are_passed_over() {
    let whole = read(&good()).unwrap().volume;
    for flags in (0..32).filter(|flags| flags & 1 == 0) {
        let packed = with_fields(&good(), flags);
        assert_eq!(read(&packed).unwrap().volume, whole, "flags {flags}");
        // also of a later member
        let whole_file = good();
        let (first, second) = whole_file.split_at(370);
        let members = [gzip(first), with_fields(second, flags)].concat();
        assert_eq!(read(&members).unwrap().volume, whole, "flags {flags}");
        let n_header = packed.len() - gzip(&good()).len() + 10;
        for n in 1..n_header {
            check(&packed[..n], &[]);
        }
        if flags & 2 != 0 {
            let mut wrong = packed.clone();
            wrong[n_header - 1] ^= 1;
            check(&wrong, &["broken gzip"]);
        }
    }
    check(&with_fields(&good(), 32), &["broken gzip"]);
}

#[test]
fn every_member_is_checked() {
    let whole = good();
    for at in [100, 360, 380] {
        let (first, second) = whole.split_at(at);
        for broken in [0, 1] {
            let mut members = [gzip(first), gzip(second)];
            let n = members[broken].len();
            members[broken][n - 8] ^= 1;
            check(&members.concat(), &["broken gzip"]);
        }
    }
}

#[test]
fn what_follows_the_last_member_and_is_none_is_passed_over() {
    let packed = gzip(&good());
    let expected = read(&packed).unwrap().volume;
    for behind in [&[0; 70_000][..], b"garbage", &[0x1f, 0x8c], &[0x8b, 0x1f]] {
        let bytes = [&packed[..], behind].concat();
        assert_eq!(read(&bytes).unwrap().volume, expected);
    }
    // what begins like a member must be one
    for behind in [&[0x1f][..], &[0x1f, 0x8b], &[0x1f, 0x8b, 8, 0, 0]] {
        check(&[&packed[..], behind].concat(), &["broken gzip"]);
    }
}

#[test]
fn more_than_the_voxels_may_follow_them_for_a_while() {
    let longer = |n: usize| gzip(&[good(), vec![5; n]].concat());
    let expected = read(&good()).unwrap().volume;
    assert_eq!(read(&longer(1 << 20)).unwrap().volume, expected);
    assert!(matches!(
        read(&longer((1 << 20) + 1)),
        Err(VolumeError::TrailingData { .. })
    ));
}

#[test]
fn impossible_headers_are_refused() {
    check(&changed(|h| h.dim[1] = 0), &["dim[1] is 0"]);
    check(&changed(|h| h.dim[2] = -3), &["dim[2] is -3"]);
    check(&changed(|h| h.dim[0] = 0), &["dim[0] is 0"]);
    check(&changed(|h| h.dim[0] = 8), &["dim[0] is 8"]);
    check(
        &changed(|h| (h.dim[0], h.dim[4]) = (4, 2)),
        &["4 dimensions", "SimpleITKIO"],
    );
    check(&changed(|h| h.datatype = 128), &["RGB24"]);
    check(&changed(|h| h.srow[1][1] = f64::NAN), &["srow_y", "not finite"]);
    let qform = |h: &mut Header| (h.sform_code, h.qform_code) = (0, 1);
    check(
        &changed(|h| {
            qform(h);
            h.quatern_bcd[2] = f64::NAN;
        }),
        &["quatern", "not finite"],
    );
    check(&changed(|h| h.pixdim[3] = f64::NAN), &["pixdim", "not finite"]);
    check(&changed(|h| h.srow[2] = [0.0; 4]), &["sform", "singular"]);
    check(&changed(|h| h.srow[0][1] = 1.0), &["right angles"]);
    check(&changed(|h| h.vox_offset = 348.0), &["vox_offset"]);
    let mut two = plain(Version::Two, false);
    two.dim = [3, i64::MAX, i64::MAX, 2, 1, 1, 1, 1];
    check(&file(&two, &[]), &["overflow"]);
}

#[test]
fn sizes_over_the_limits_are_refused_before_memory_is_taken() {
    let mut header = plain(Version::One, false);
    header.dim = [3, 30_000, 30_000, 30_000, 1, 1, 1, 1];
    for bytes in [file(&header, &[]), gzip(&file(&header, &[]))] {
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, VolumeError::TooManyVoxels { .. }));
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
    }
    // Within the limits, but more than so small a file can hold.
    header.dim = [3, 1000, 1000, 1000, 1, 1, 1, 1];
    check(&file(&header, &[7; 100]), &["expected 2000000000", "found 100"]);
    check(&gzip(&file(&header, &[7; 100])), &["cannot hold the 2000000000"]);
}

/// Compresses `n` zeros about a thousandfold.
fn bomb(n: usize) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&good()).unwrap();
    for _ in 0..n >> 20 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_gzip_bomb_is_refused_at_once() {
    let bytes = bomb(512 << 20);
    assert!(bytes.len() > 500_000 && bytes.len() < 600_000, "{}", bytes.len());
    let start = Instant::now();
    let error = read(&bytes).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(matches!(error, VolumeError::TrailingData { .. }), "{error}");
    // The same as a second member, and as millions of empty ones.
    let mut members = gzip(&good());
    members.extend(bomb(64 << 20));
    assert!(matches!(read(&members), Err(VolumeError::TrailingData { .. })));
    let mut empty = gzip(&good());
    (0..100_000).for_each(|_| empty.extend(gzip(b"")));
    assert!(matches!(read(&empty), Err(VolumeError::Gzip { .. })));
    // A header far into the stream.
    let mut header = plain(Version::Two, false);
    header.vox_offset = 1e9;
    assert!(matches!(
        read(&gzip(&file(&header, &[]))),
        Err(VolumeError::HeaderField { .. })
    ));
}

#[test]
fn what_is_no_file_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let folder = || std::fs::File::open(temp.path()).unwrap();
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let error = read_volume(folder(), "scans", Reader::SimpleItk, &limits, &cancel).unwrap_err();
    assert!(matches!(&error, VolumeError::NotAFile { name } if name == "scans"));
    assert!(matches!(
        inspect(folder(), "scans", &limits),
        Err(VolumeError::NotAFile { .. })
    ));
}

#[test]
fn a_cancelled_read_stops() {
    let cancel = CancelToken::new();
    cancel.cancel();
    let bytes = good();
    let error = read_stream(
        bytes.as_slice(),
        400,
        "t.nii",
        Reader::Nibabel,
        &Limits::default(),
        &cancel,
    )
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled);
}

#[test]
fn a_read_is_cancelled_on_its_way() {
    /// Cancels when it has given half of its bytes.
    struct Cancelling<'a> {
        bytes: &'a [u8],
        half: usize,
        cancel: &'a CancelToken,
    }
    impl Source for Cancelling<'_> {}
    impl std::io::Read for Cancelling<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.bytes.len() < self.half {
                self.cancel.cancel();
            }
            self.bytes.read(buffer)
        }
    }
    let mut header = plain(Version::One, false);
    header.dim = [3, 1000, 1000, 8, 1, 1, 1, 1];
    let noise = std::iter::successors(Some(1u32), |v| {
        Some(v.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    });
    let noise: Vec<u8> = noise.map(|v| (v >> 24) as u8).take(16_000_000).collect();
    let whole = file(&header, &noise);
    for bytes in [gzip(&whole), whole] {
        let cancel = CancelToken::new();
        let (size, half) = (bytes.len(), bytes.len() / 2);
        let mut file = Cancelling {
            bytes: &bytes,
            half,
            cancel: &cancel,
        };
        let limits = Limits::default();
        let reader = Reader::Nibabel;
        let error = read_stream(&mut file, size as u64, "t.nii", reader, &limits, &cancel).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Cancelled);
        assert!(
            file.bytes.len() > size / 4,
            "it read on: {} are left",
            file.bytes.len()
        );
    }
}

#[test]
fn a_failing_disk_is_no_broken_file() {
    struct Failing;
    impl Source for Failing {}
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk on fire"))
        }
    }
    let error = read_stream(
        Failing,
        400,
        "t.nii",
        Reader::Nibabel,
        &Limits::default(),
        &CancelToken::new(),
    )
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Environment);
    assert!(error.to_string().contains("disk on fire"));
}

#[test]
fn every_reader_refuses_the_same_broken_files() {
    for reader in Reader::ALL {
        assert!(read_with(&good(), reader).is_ok());
        assert!(read_with(&good()[..380], reader).is_err());
        assert!(read_with(&changed(|h| h.srow[0][3] = f64::NAN), reader).is_err());
    }
}
