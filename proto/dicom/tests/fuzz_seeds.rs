//! Replays the seeds of the fuzz target.

use std::path::Path;

#[test]
fn open_raw() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/open_raw");
    let mut n_seeds = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of seeds is there") {
        let path = entry.expect("the folder can be listed").path();
        nephrite_dicom::fuzzing::open_raw(&std::fs::read(path).expect("a seed can be read"));
        n_seeds += 1;
    }
    assert!(n_seeds >= 8, "{n_seeds} seeds in {}", folder.display());
}
