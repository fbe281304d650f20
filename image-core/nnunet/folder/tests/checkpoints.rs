//! Checkpoints written by PyTorch (`fixtures/make_fixtures.py`): sound, unusual, broken and malicious ones.
#![allow(clippy::unwrap_used)] // helpers of tests fail by it

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use nephrite_nnunet_folder::{
    ArchiveFault, Checkpoint, FolderError, Postprocessing, RemoveAllButLargest, StorageType, TensorFault,
};
use nephrite_types::{CancelToken, Coded, ErrorCode, Limits};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn try_open(name: &str) -> Result<Checkpoint, FolderError> {
    let file = File::open(fixture(name)).unwrap();
    Checkpoint::open(file, name, &Limits::default(), &CancelToken::new())
}

fn open(name: &str) -> Checkpoint {
    try_open(name).unwrap_or_else(|error| panic!("{error}"))
}

fn ramp(n: usize, start: f32) -> Vec<f32> {
    (0..n).map(|i| i as f32 + start).collect()
}

const NAMES: [&str; 3] = [
    "encoder.stages.0.0.convs.0.conv.weight",
    "encoder.stages.0.0.convs.0.norm.weight",
    "decoder.seg_layers.0.bias",
];

#[test]
fn every_way_of_writing_the_same_weights_reads_the_same() {
    for name in [
        "plain.pth",
        "prefixed.pth",
        "aliases_only.pth",
        "deflated.pth",
        "no_byteorder.pth",
        "no_crc.pth",
        "old_numpy.pth",
        "unknown_class.pth",
        "protocol4.pth",
    ] {
        let mut checkpoint = open(name);
        assert_eq!(checkpoint.configuration(), "3d_fullres", "{name}");
        assert_eq!(checkpoint.trainer_name(), Some("nnUNetTrainer"), "{name}");
        assert!(!checkpoint.has_batch_norm_statistics());
        assert_eq!(checkpoint.tensor_names().collect::<Vec<_>>(), NAMES, "{name}");
        let mut check = |tensor: &str, shape: &[usize], values: Vec<f32>| {
            let info = checkpoint.tensor_info(tensor).unwrap();
            assert_eq!((info.shape.as_slice(), info.dtype), (shape, StorageType::F32));
            assert_eq!(info.n_params, values.len());
            assert_eq!(
                checkpoint.read_tensor_f32(tensor).unwrap(),
                (shape.to_vec(), values),
                "{name} {tensor}"
            );
        };
        check(NAMES[0], &[2, 1, 3, 3], ramp(18, 0.0));
        check(NAMES[1], &[2], ramp(2, 100.0));
        check(NAMES[2], &[3], ramp(3, -1.0));
    }
}

#[test]
fn mirroring_axes_may_be_absent_or_none() {
    assert_eq!(open("plain.pth").mirroring_axes(), Some(&[0, 1, 2][..]));
    assert_eq!(open("prefixed.pth").mirroring_axes(), None);
    assert_eq!(open("aliases_only.pth").mirroring_axes(), None);
}

#[test]
fn mirroring_axes_may_be_of_numpy() {
    assert_eq!(open("numpy_mirroring.pth").mirroring_axes(), Some(&[2, 0][..]));
    assert_eq!(open("numpy_axes.pth").mirroring_axes(), Some(&[0, 2][..]));
}

#[test]
fn strides_offsets_and_parameters_are_honoured() {
    let mut checkpoint = open("views.pth");
    let mut check = |name: &str, shape: &[usize], values: &[f32]| {
        assert_eq!(
            checkpoint.read_tensor_f32(name).unwrap(),
            (shape.to_vec(), values.to_vec()),
            "{name}"
        );
    };
    let transposed: Vec<f32> = (0..6)
        .flat_map(|column| (0..4).map(move |row| (row * 6 + column) as f32))
        .collect();
    check("transposed", &[6, 4], &transposed);
    check(
        "columns",
        &[4, 3],
        &[1., 3., 5., 7., 9., 11., 13., 15., 17., 19., 21., 23.],
    );
    check("tail", &[6], &[18., 19., 20., 21., 22., 23.]);
    check("scalar", &[], &[15.]);
    check("expanded", &[1, 1], &[7.]);
    check("parameter", &[4, 6], &ramp(24, 0.0));
    check("empty", &[0, 3], &[]);
}

#[test]
fn every_type_becomes_f32() {
    let mut checkpoint = open("dtypes.pth");
    let names: Vec<String> = checkpoint.tensor_names().map(str::to_owned).collect();
    assert_eq!(names.len(), 10);
    for name in names {
        assert_eq!(checkpoint.tensor_info(&name).unwrap().dtype.name(), name);
        let expected = if name == "bool" {
            vec![0., 1., 1., 1.]
        } else {
            ramp(4, 0.0)
        };
        assert_eq!(checkpoint.read_tensor_f32(&name).unwrap().1, expected, "{name}");
    }
}

#[test]
fn reading_the_largest_tensor_takes_its_bytes_and_what_they_become() {
    let of = |name| open(name).largest_read_bytes();
    assert_eq!(of("plain.pth"), 18 * 4, "read to where it stays");
    assert_eq!(of("deflated.pth"), 2 * 18 * 4, "inflated, then copied");
    assert_eq!(
        of("dtypes.pth"),
        4 * 8 + 4 * 4,
        "four numbers of 8 bytes, and four f32"
    );
    assert_eq!(of("views.pth"), 24 * 4 + 24 * 4, "as stored, and in order");
}

#[test]
fn batch_norm_is_noticed() {
    assert!(open("batch_norm.pth").has_batch_norm_statistics());
}

#[test]
fn only_what_is_asked_for_is_read() {
    let mut checkpoint = open("plain.pth");
    let opened = checkpoint.bytes_read();
    let len = std::fs::metadata(fixture("plain.pth")).unwrap().len();
    assert!(opened < len + 4096, "{opened} bytes read of {len}");
    checkpoint.read_tensor_f32(NAMES[1]).unwrap();
    let header = 30;
    assert_eq!(
        checkpoint.bytes_read() - opened,
        header + 2 * 4,
        "two floats and a header"
    );
    fn needs_send<T: Send>(_: &T) {}
    needs_send(&checkpoint);
}

#[test]
fn a_pickle_that_would_run_code_is_refused_by_name_and_does_not_run() {
    let check = |name: &str, expected: &str| {
        let error = try_open(name).unwrap_err();
        assert!(matches!(&error, FolderError::ForbiddenGlobal { .. }), "{error}");
        assert_eq!(error.code(), ErrorCode::InvalidModel);
        assert!(
            error
                .to_string()
                .starts_with(&format!("{name}: the pickle would call {expected}, ")),
            "{error}"
        );
    };
    check("malicious.pth", "posix.system");
    check("malicious_eval.pth", "__builtin__.eval");
    let call = std::fs::read(fixture("postprocessing_call.pkl")).unwrap();
    let error = Postprocessing::from_pickle("p.pkl", call).unwrap_err();
    assert!(
        matches!(error, FolderError::ForbiddenGlobal { module, name, .. } if module == "posix" && name == "system")
    );
    // The commands would have made this file in the current directory.
    assert!(!Path::new("malicious-was-here").exists());
}

#[test]
fn broken_checkpoints_are_refused_with_their_cause() {
    let check = |name: &str, is_expected: fn(&FolderError) -> bool, part: &str| {
        let error = try_open(name).unwrap_err();
        let message = error.to_string();
        assert!(is_expected(&error), "{name}: {error:?}");
        assert!(
            message.starts_with(&format!("{name}: ")) && message.contains(part),
            "{message}"
        );
        assert_eq!(error.code(), ErrorCode::InvalidModel, "{message}");
    };
    use FolderError as E;
    check(
        "legacy.pth",
        |e| matches!(e, E::NotACheckpoint { .. }),
        "PyTorch before 1.6",
    );
    check("big_endian.pth", |e| matches!(e, E::ByteOrder { .. }), "\"big\"");
    check(
        "no_weights.pth",
        |e| matches!(e, E::MissingKey { .. }),
        "network_weights",
    );
    check(
        "no_configuration.pth",
        |e| matches!(e, E::MissingKey { .. }),
        "configuration",
    );
    check(
        "bad_mirroring.pth",
        |e| matches!(e, E::InvalidValue { .. }),
        "inference_allowed_mirroring_axes",
    );
    check(
        "unknown_weights.pth",
        |e| matches!(e, E::UnsupportedObject { .. }),
        "my_trainer.options.Options",
    );
    let short = |e: &E| {
        matches!(
            e,
            E::InvalidTensor {
                fault: TensorFault::ShortStorage { .. },
                ..
            }
        )
    };
    check("short_storage.pth", short, "72 bytes");
    let missing = |e: &E| {
        matches!(
            e,
            E::InvalidTensor {
                fault: TensorFault::MissingStorage { .. },
                ..
            }
        )
    };
    check("missing_storage.pth", missing, "data/0");
    let larger = |e: &E| {
        matches!(
            e,
            E::InvalidTensor {
                fault: TensorFault::LargerThanStorage { .. },
                ..
            }
        )
    };
    check(
        "larger_than_storage.pth",
        larger,
        "1000000 elements on a storage of 3",
    );
}

#[test]
fn reading_stops_when_it_is_asked_to() {
    let cancel = CancelToken::new();
    let file = File::open(fixture("plain.pth")).unwrap();
    let mut checkpoint = Checkpoint::open(file, "plain.pth", &Limits::default(), &cancel).unwrap();
    cancel.cancel();
    let error = checkpoint.read_tensor_f32(NAMES[0]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled, "{error}");
    let late = CancelToken::new().with_deadline(std::time::Instant::now());
    for name in ["plain.pth", "deflated.pth"] {
        let file = File::open(fixture(name)).unwrap();
        let error = Checkpoint::open(file, name, &Limits::default(), &late).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DeadlineExceeded, "{error}");
    }
    let cancel = CancelToken::new();
    let file = File::open(fixture("deflated.pth")).unwrap();
    let mut deflated = Checkpoint::open(file, "deflated.pth", &Limits::default(), &cancel).unwrap();
    cancel.cancel();
    let error = deflated.read_tensor_f32(NAMES[0]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled, "not called damaged: {error}");
}

#[test]
fn a_missing_tensor_is_named() {
    let error = open("plain.pth").read_tensor_f32("encoder.nothing").unwrap_err();
    assert_eq!(error.to_string(), "plain.pth: tensor encoder.nothing is missing");
}

fn from_bytes<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Checkpoint<Cursor<&'a [u8]>>, FolderError> {
    Checkpoint::from_reader(Cursor::new(bytes), "c.pth", limits)
}

#[test]
fn every_truncation_is_refused() {
    let bytes = std::fs::read(fixture("plain.pth")).unwrap();
    for len in 0..bytes.len() {
        let error = from_bytes(&bytes[..len], &Limits::default()).unwrap_err();
        assert!(
            matches!(
                error,
                FolderError::NotACheckpoint { .. } | FolderError::Archive { .. }
            ),
            "{len}: {error}"
        );
    }
}

#[test]
fn a_damaged_tensor_is_refused_when_it_is_read() {
    let mut bytes = std::fs::read(fixture("plain.pth")).unwrap();
    let value = 17f32.to_le_bytes(); // the last of the first tensor
    let at = bytes.windows(4).position(|window| window == value).unwrap();
    bytes[at] ^= 1;
    let error = from_bytes(&bytes, &Limits::default())
        .unwrap()
        .read_tensor_f32(NAMES[0])
        .unwrap_err();
    assert!(
        matches!(
            error,
            FolderError::Archive {
                fault: ArchiveFault::Damaged { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn limits_are_checked_first() {
    let bytes = std::fs::read(fixture("plain.pth")).unwrap();
    let check = |limits: Limits, what: &str| {
        let error = from_bytes(&bytes, &limits).unwrap_err();
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
        assert!(error.to_string().contains(what), "{error}");
    };
    check(
        Limits {
            max_checkpoint_bytes: 1000,
            ..Limits::default()
        },
        "the file takes",
    );
    check(
        Limits {
            max_pickle_bytes: 100,
            ..Limits::default()
        },
        "its pickle takes",
    );
    // A deflated file may be small and its tensors large.
    let deflated = std::fs::read(fixture("deflated.pth")).unwrap();
    let limits = Limits {
        max_checkpoint_bytes: deflated.len() as u64,
        ..Limits::default()
    };
    assert!(from_bytes(&deflated, &limits).is_ok());
}

#[test]
fn files_of_other_kinds_are_told_apart() {
    let mut tar = vec![0u8; 512];
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, expected) in [
        (&b""[..], "is empty"),
        (b"\x80\x02}.", "is a bare pickle"),
        (&tar, "is a tar archive"),
        (b"<html>", "is not a zip archive"),
    ] {
        let error = from_bytes(bytes, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn postprocessing_of_numpy_scalars_is_read() {
    let bytes = std::fs::read(fixture("postprocessing.pkl")).unwrap();
    let step = |labels: &[u16]| RemoveAllButLargest {
        labels: labels.to_vec(),
        background: 0,
    };
    assert_eq!(
        Postprocessing::from_pickle("p.pkl", bytes).unwrap().steps,
        [step(&[1, 2, 3]), step(&[3])]
    );
    let bytes = std::fs::read(fixture("postprocessing_malicious.pkl")).unwrap();
    let error = Postprocessing::from_pickle("p.pkl", bytes).unwrap_err();
    assert!(error.to_string().contains("os.system"), "{error}");
}
