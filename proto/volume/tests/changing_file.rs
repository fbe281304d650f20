//! A file that somebody writes to while it is read.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ndarray::Array3;
use nephrite_types::{Affine, CancelToken, Coded, ErrorCode, Geometry, Labels, Limits, Shape3, Spacing};
use nephrite_volume::{
    Reader, SourceGeometry, VolumeError, hash_file, read_volume, read_volume_hashed, write_label_map,
};

/// Large enough that reading it takes several grains of the clock of a file system.
fn large(folder: &Path, name: &str) -> PathBuf {
    let shape = Shape3::new([100, 800, 800]).unwrap();
    let spacing = Spacing::new([1.0; 3]).unwrap();
    let geometry = Geometry {
        shape,
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let labels = Labels::U8(Array3::from_shape_fn(shape.zyx(), |(z, y, x)| {
        ((z * 7 + y * 3 + x) % 251) as u8
    }));
    let dir = Dir::open_ambient_dir(folder, ambient_authority()).unwrap();
    write_label_map(&dir, name, &labels, &SourceGeometry::from_geometry(&geometry)).unwrap();
    folder.join(name)
}

/// Reads while another thread writes the last byte again and again, the same as it was.
fn while_written<T>(path: &Path, read: impl FnOnce(File) -> Result<T, VolumeError>) -> Option<VolumeError> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let stop = &stop;
        scope.spawn(move || {
            let mut file = File::options().write(true).open(path).unwrap();
            let last = *std::fs::read(path).unwrap().last().unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.seek(SeekFrom::End(-1)).unwrap();
                file.write_all(&[last]).unwrap();
                let _ = begun.send(());
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
        });
        has_begun.recv().unwrap();
        let outcome = read(File::open(path).unwrap());
        stop.store(true, Ordering::Relaxed);
        outcome.err()
    })
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error_that_says_so() {
    let temp = tempfile::tempdir().unwrap();
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    for name in ["scan.nii", "scan.nii.gz"] {
        let path = large(temp.path(), name);
        let errors = [
            while_written(&path, |file| {
                read_volume(file, name, Reader::SimpleItk, &limits, &cancel)
            }),
            while_written(&path, |file| {
                read_volume_hashed(file, name, Reader::Nibabel, &limits, &cancel)
            }),
        ];
        for error in errors {
            let error = error.unwrap_or_else(|| panic!("{name} was read"));
            assert!(
                matches!(&error, VolumeError::Changed { name: file } if file == name),
                "{error}"
            );
            assert_eq!(error.code(), ErrorCode::Environment);
            assert_eq!(error.to_string(), format!("{name} changed while it was read"));
        }
        read_volume(
            File::open(&path).unwrap(),
            name,
            Reader::SimpleItk,
            &limits,
            &cancel,
        )
        .unwrap();
    }
    let path = temp.path().join("scan.nii");
    let error = while_written(&path, |file| hash_file(file, "scan.nii", &cancel));
    assert!(matches!(error, Some(VolumeError::Changed { .. })), "{error:?}");
    hash_file(File::open(&path).unwrap(), "scan.nii", &cancel).unwrap();
}

/// What is cut short because it is still being written is not blamed on the scan.
#[test]
fn a_broken_file_that_changes_is_called_changing_and_not_broken() {
    let temp = tempfile::tempdir().unwrap();
    let path = large(temp.path(), "scan.nii.gz");
    let length = std::fs::metadata(&path).unwrap().len();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length / 2)
        .unwrap();
    let read = |file| {
        read_volume(
            file,
            "scan.nii.gz",
            Reader::SimpleItk,
            &Limits::default(),
            &CancelToken::new(),
        )
    };
    let error = while_written(&path, read).unwrap();
    assert!(matches!(error, VolumeError::Changed { .. }), "{error}");
    let error = read(File::open(&path).unwrap()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput, "{error}");
}
