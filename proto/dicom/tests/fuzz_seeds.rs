//! Replays the seeds of the fuzz target.

use nephrite_dicom::fuzzing;
use nephrite_types::seeds;

#[test]
fn open_raw() {
    for (_, seed) in seeds(env!("CARGO_MANIFEST_DIR"), "open_raw", 8) {
        fuzzing::open_raw(&seed);
    }
}
