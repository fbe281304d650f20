//! What happens when the disk is full, shown with a limit on the size of files: the system refuses the write in the same
//! way. The limit holds for the whole process, hence a test program of its own with one test.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ndarray::Array3;
use nephrite_types::{Affine, Coded, ErrorCode, Geometry, Labels, Shape3, Spacing};
use nephrite_volume::{SourceGeometry, VolumeError, write_atomically, write_label_map};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_full_disk_leaves_no_partial_file() -> Result<(), Box<dyn std::error::Error>> {
    let temp = tempfile::tempdir()?;
    let dir = Dir::open_ambient_dir(temp.path(), ambient_authority())?;
    // With a handler the signal does not end the process, and the write fails.
    let signalled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::clone(&signalled))?;
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(100_000),
            maximum,
        },
    )?;

    let shape = Shape3::new([20, 100, 200])?;
    let spacing = Spacing::new([1.0; 3])?;
    let geometry = Geometry {
        shape,
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let source = SourceGeometry::from_geometry(&geometry);
    let mut state = 1u32;
    let noise = Array3::from_shape_simple_fn(shape.zyx(), || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 24) as u8
    });
    let labels = Labels::U8(noise);
    for (name, full) in [
        ("mask.nii", "mask.nii"),
        ("mask.nii.gz", "mask.nii.gz"),
        ("mask.nhdr", "mask.raw.gz"),
        ("mask.mhd", "mask.zraw"),
    ] {
        let error = write_label_map(&dir, name, &labels, &source).expect_err("the file is too large");
        assert!(
            matches!(&error, VolumeError::DiskFull { name: file, .. } if file == full),
            "{error}"
        );
        assert_eq!(error.code(), ErrorCode::Environment);
    }
    // Held back in the buffer, and found only when it is written out at the end.
    let error = write_atomically(&dir, "a.json", |out| {
        (0..3).try_for_each(|_| out.write_all(&[0; 40_000]))
    });
    assert!(matches!(error, Err(VolumeError::DiskFull { .. })));
    assert!(signalled.load(Ordering::Relaxed), "the limit was never reached");
    assert_eq!(std::fs::read_dir(temp.path())?.count(), 0);

    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    write_label_map(&dir, "mask.nii.gz", &labels, &source)?;
    Ok(())
}
