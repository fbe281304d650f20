//! Messages that lie. Each is refused with the error that says how.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::io::{Read as _, Write as _};

use nephrite_mask_codec::{
    CodecError, EncodedMask, LabelEntry, LabelStatus, LabelTable, Mask, MaskError, Run, RunMaskBuilder,
};
use nephrite_types::{Affine, Coded, ErrorCode, Geometry, Limits, Shape3, Spacing};

/// Two planes of 3 by 10, labels 1 and 2; the box is 2×2×6.
fn good() -> EncodedMask {
    let spacing = Spacing::new([1.0; 3]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([2, 3, 10]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let mut rows = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
    let run = |start, end, label| Run { start, end, label };
    let drawn: [&[Run]; 6] = [
        &[run(1, 4, 1), run(5, 7, 2)],
        &[run(2, 4, 1)],
        &[],
        &[run(1, 5, 1)],
        &[run(3, 4, 2)],
        &[],
    ];
    for row in drawn {
        rows.push_row(row.iter().copied()).unwrap();
    }
    let entry = |id, name: &str| LabelEntry {
        id,
        name: name.to_owned(),
        status: LabelStatus::Present,
    };
    let table = LabelTable::new(vec![entry(1, "kidney"), entry(2, "cyst")]).unwrap();
    EncodedMask::encode(&Mask::new(rows.finish().unwrap(), table).unwrap()).unwrap()
}

/// The message after `change` of its inflated payload, with a checksum that fits.
fn with_payload(change: impl Fn(&mut Vec<u8>)) -> EncodedMask {
    let mut encoded = good();
    let mut raw = Vec::new();
    flate2::read::DeflateDecoder::new(&encoded.payload[..])
        .read_to_end(&mut raw)
        .unwrap();
    change(&mut raw);
    encoded.checksum = crc32fast::hash(&raw);
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    deflate.write_all(&raw).unwrap();
    encoded.payload = deflate.finish().unwrap();
    encoded
}

#[track_caller]
fn check(encoded: &EncodedMask, expected: impl Fn(&CodecError) -> bool) {
    let error = encoded.decode(&Limits::default()).unwrap_err();
    assert!(expected(&error), "{error:?}");
    assert!(!error.to_string().is_empty());
}

/// Bytes of the payload of [`good`]: 2 counts, cut flags, new flags, labels of new boundaries, moves.
const COUNTS: usize = 0;
const NEW: usize = 9;
const LABELS: usize = 11;

#[test]
fn the_layout_that_these_tests_spoil_is_the_one_there_is() {
    let encoded = with_payload(|raw| {
        let counts = (raw[COUNTS], raw[COUNTS + 4]);
        assert_eq!(counts, (6, 4), "boundaries of the planes");
        assert_eq!(
            raw[NEW] >> 2,
            0b11_1111,
            "all boundaries of the first plane are new"
        );
        assert_eq!(
            raw[LABELS..LABELS + 6],
            [1, 0, 2, 0, 1, 0],
            "labels of the first plane"
        );
    });
    assert_eq!(
        encoded.decode(&Limits::default()),
        good().decode(&Limits::default())
    );
}

#[test]
fn a_payload_that_inflates_past_its_runs_is_refused() {
    check(&with_payload(|raw| raw.extend([0; 100_000])), |error| {
        matches!(error, CodecError::InflatesPast { .. })
    });
    check(&with_payload(|raw| raw.push(0)), |error| {
        matches!(error, CodecError::PayloadSize { .. })
    });
    // A bomb: 64 MiB of zeros in 64 kB.
    check(
        &with_payload(|raw| raw.resize(64 << 20, 0)),
        |error| matches!(error, CodecError::InflatesPast { limit } if *limit < 1000),
    );
}

#[test]
fn a_payload_that_is_cut_off_is_refused() {
    for length in 0..good().payload.len() {
        let mut encoded = good();
        encoded.payload.truncate(length);
        check(&encoded, |error| matches!(error, CodecError::Deflate));
    }
    for missing in 1..10 {
        check(&with_payload(|raw| raw.truncate(raw.len() - missing)), |error| {
            matches!(error, CodecError::PayloadSize { .. })
        });
    }
    check(&with_payload(Vec::clear), |error| {
        matches!(error, CodecError::PayloadSize { .. })
    });
}

#[test]
fn totals_that_do_not_fit_are_refused() {
    let mut few = good();
    few.n_runs -= 1;
    check(&few, |error| {
        matches!(
            error,
            CodecError::RunTotal {
                expected: 9,
                found: 10
            }
        )
    });
    let mut many = good();
    many.n_runs += 1;
    check(&many, |error| {
        matches!(
            error,
            CodecError::RunTotal {
                expected: 11,
                found: 10
            }
        )
    });
    let mut huge = good();
    huge.n_runs = u64::MAX;
    check(&huge, |error| error.code() == ErrorCode::LimitExceeded);
    // A run that ends past its plane, and one that begins ahead of the last.
    check(&with_payload(|raw| *raw.last_mut().unwrap() = 200), |error| {
        matches!(error, CodecError::RunStart { plane: 1, .. })
    });
    check(&with_payload(|raw| *raw.last_mut().unwrap() = 201), |error| {
        matches!(error, CodecError::RunStart { plane: 1, .. })
    });
    check(&with_payload(|raw| raw[NEW] ^= 0x80), |error| {
        matches!(error, CodecError::PayloadSize { .. })
    });
    check(
        &with_payload(|raw| {
            let n = raw[COUNTS];
            raw[COUNTS] = n - 1;
            raw[COUNTS + 4] += 1;
        }),
        |error| matches!(error, CodecError::Kept { .. } | CodecError::PayloadSize { .. }),
    );
}

#[test]
fn labels_that_no_table_names_or_that_it_counts_wrongly_are_refused() {
    check(&with_payload(|raw| raw[LABELS] = 9), |error| {
        matches!(error, CodecError::Mask(MaskError::UnknownLabel { id: 9 }))
    });
    let mut unnamed = good();
    unnamed.labels.remove(0);
    check(&unnamed, |error| {
        matches!(error, CodecError::Mask(MaskError::UnknownLabel { id: 1 }))
    });
    let mut miscounted = good();
    miscounted.labels[1].voxels += 1;
    check(&miscounted, |error| {
        matches!(
            error,
            CodecError::VoxelCount {
                id: 2,
                stated: 4,
                found: 3
            }
        )
    });
    let mut elsewhere = good();
    elsewhere.labels[1].bounding_box = None;
    check(
        &elsewhere,
        |error| matches!(error, CodecError::StatedBox { what } if what == "cyst"),
    );
    let mut twice = good();
    twice.labels[1].id = 1;
    check(&twice, |error| {
        matches!(error, CodecError::Mask(MaskError::LabelTable { .. }))
    });
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut encoded = good();
    encoded.checksum ^= 1;
    check(&encoded, |error| matches!(error, CodecError::Checksum { .. }));
}

#[test]
fn boxes_and_widths_that_cannot_be_are_refused() {
    let mut outside = good();
    outside.bounding_box.as_mut().unwrap().end[2] = 11;
    check(&outside, |error| matches!(error, CodecError::Box { .. }));
    let mut empty = good();
    empty.bounding_box.as_mut().unwrap().end[0] = 0;
    check(&empty, |error| matches!(error, CodecError::Box { .. }));
    let mut none = good();
    none.bounding_box = None;
    check(&none, |error| matches!(error, CodecError::PayloadSize { .. }));
    for label_bytes in [0, 3, 255] {
        let mut width = good();
        width.label_bytes = label_bytes;
        check(&width, |error| matches!(error, CodecError::LabelBytes { .. }));
    }
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        good().decode(&limits).unwrap_err()
    };
    for error in [
        with(|limits| limits.max_mask_rows = 5),
        with(|limits| limits.max_mask_runs = 4),
        with(|limits| limits.max_voxels = 59),
    ] {
        assert_eq!(error.code(), ErrorCode::LimitExceeded, "{error}");
    }
    // A tiny message about a mask of 2^60 voxels.
    let mut huge = good();
    huge.geometry.shape = Shape3::new([1 << 20, 1 << 20, 1 << 20]).unwrap();
    let error = huge.decode(&Limits::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded, "{error}");
}

/// One run over all rows of a plane, as a foreign encoder may write it.
#[test]
fn a_run_over_the_end_of_a_row_is_split() {
    let spacing = Spacing::new([1.0; 3]).unwrap();
    let shape = Shape3::new([1, 3, 4]).unwrap();
    let mut encoded = good();
    encoded.geometry = Geometry {
        shape,
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let bounds = nephrite_types::BoundingBox::full([1, 3, 4]);
    encoded.bounding_box = Some(bounds);
    encoded.labels.truncate(1);
    encoded.labels[0].voxels = 9;
    encoded.labels[0].bounding_box = Some(bounds);
    encoded.n_runs = 2;
    // 2 boundaries; both new; labels 1 and 0; positions 2 and 11, the second 9 past the first.
    let raw = [2, 0, 0, 0, 0b1100_0000, 1, 0, 4, 18];
    encoded.checksum = crc32fast::hash(&raw);
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    deflate.write_all(&raw).unwrap();
    encoded.payload = deflate.finish().unwrap();
    let run = |start, end| Run { start, end, label: 1 };
    let mask = encoded.decode(&Limits::default()).unwrap();
    assert_eq!(mask.runs().runs(), [run(2, 4), run(0, 4), run(0, 3)]);
    assert_eq!(encoded.max_runs(), 2 + 3);
}
