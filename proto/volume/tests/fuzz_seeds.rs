//! Replays the seeds of the fuzz targets.

use nephrite_types::seeds;
use nephrite_volume::fuzzing;

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
fn read_plausible() {
    replay("read_plausible", fuzzing::read_plausible);
}

#[test]
fn read_detached() {
    replay("read_detached", fuzzing::read_detached);
}
