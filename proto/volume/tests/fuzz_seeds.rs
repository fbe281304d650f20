//! Replays the seeds of the fuzz targets.

use std::path::Path;

use nephrite_volume::fuzzing;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut n_seeds = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of seeds is there") {
        let path = entry.expect("the folder can be listed").path();
        run(&std::fs::read(path).expect("a seed can be read"));
        n_seeds += 1;
    }
    assert!(n_seeds >= 5, "{n_seeds} seeds in {}", folder.display());
}

#[test]
fn read_raw() {
    replay("read_raw", fuzzing::read_raw);
}

#[test]
fn read_plausible() {
    replay("read_plausible", fuzzing::read_plausible);
}

#[test]
fn read_detached() {
    replay("read_detached", fuzzing::read_detached);
}
