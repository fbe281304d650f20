//! Replays the seeds of the fuzz targets.

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut n_seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
        n_seeds += 1;
    }
    assert!(n_seeds >= 5, "{n_seeds} seeds in {}", folder.display());
}

#[test]
fn read_raw() {
    replay("read_raw", nephrite_volume::fuzzing::read_raw);
}

#[test]
fn read_plausible() {
    replay("read_plausible", nephrite_volume::fuzzing::read_plausible);
}
