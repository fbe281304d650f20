//! Replays the seeds of the fuzz targets.

use nephrite_nnunet_folder::fuzzing;
use nephrite_types::seeds;

fn check(target: &str, run: fn(&[u8]) -> bool, expected_valid: &[&str]) {
    let mut seeds = seeds(env!("CARGO_MANIFEST_DIR"), target, 3);
    seeds.retain(|(_, seed)| run(seed));
    let valid: Vec<&str> = seeds.iter().map(|(name, _)| name.as_str()).collect();
    for name in expected_valid {
        assert!(
            valid.contains(name),
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
