//! Replays the seeds of the fuzz targets.

use nephrite_dicomweb::fuzzing;
use nephrite_types::seeds;

fn replay(target: &str, run: fn(&[u8])) {
    for (_, seed) in seeds(env!("CARGO_MANIFEST_DIR"), target, 5) {
        run(&seed);
    }
}

#[test]
fn multipart() {
    replay("multipart", fuzzing::multipart);
}

#[test]
fn answers() {
    replay("answers", fuzzing::answers);
}
