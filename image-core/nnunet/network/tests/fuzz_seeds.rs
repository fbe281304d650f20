//! Replays the seeds of the fuzz targets.
#![allow(clippy::unwrap_used)] // helpers of tests fail by it

use std::path::Path;

use nephrite_nnunet_network::fuzzing;

fn replay(target: &str, at_least: usize, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        files.len() >= at_least,
        "{} has {} seeds",
        folder.display(),
        files.len()
    );
    for file in files {
        run(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn onnx_seeds() {
    replay("onnx", 60, fuzzing::onnx);
}

#[test]
fn architecture_seeds() {
    replay("architecture", 15, fuzzing::architecture);
}
