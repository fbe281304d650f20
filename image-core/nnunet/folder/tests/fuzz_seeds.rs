//! Replays the seeds of the fuzz targets.
#![allow(clippy::unwrap_used)] // helpers of tests fail by it

use std::path::Path;

use nephrite_nnunet_folder::fuzzing;

fn check(target: &str, run: fn(&[u8]) -> bool, expected_valid: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut valid = Vec::new();
    let mut n_seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        n_seeds += 1;
        if run(&std::fs::read(entry.path()).unwrap()) {
            valid.push(entry.file_name().into_string().unwrap());
        }
    }
    assert!(n_seeds >= 3, "{} holds {n_seeds} seeds", folder.display());
    for name in expected_valid {
        assert!(
            valid.iter().any(|valid| valid == name),
            "seed {target}/{name} is no longer valid; valid are {valid:?}"
        );
    }
}

#[test]
fn checkpoints() {
    check(
        "checkpoint",
        fuzzing::checkpoint,
        &[
            "plain.pth",
            "views.pth",
            "deflated.pth",
            "protocol4.pth",
            "numpy_mirroring.pth",
        ],
    );
}

#[test]
fn plans() {
    check(
        "plans",
        fuzzing::plans,
        &[
            "modern.json",
            "legacy.json",
            "dataset_regions.json",
            "dataset_numbers.json",
        ],
    );
}

#[test]
fn postprocessing_pickles() {
    check(
        "postprocessing_pickle",
        fuzzing::postprocessing_pickle,
        &["postprocessing.pkl"],
    );
}
