//! Replays the seeds of the fuzz targets.

use nephrite_dicom_objects::fuzzing;
use nephrite_types::seeds;

fn replay(target: &str, run: fn(&[u8])) {
    for (_, seed) in seeds(env!("CARGO_MANIFEST_DIR"), target, 5) {
        run(&seed);
    }
}

#[test]
fn read_raw() {
    replay("read_raw", fuzzing::read_raw);
}

#[test]
fn read_changed() {
    replay("read_changed", fuzzing::read_changed);
}
