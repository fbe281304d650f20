//! Replays the seeds of the fuzz targets.

use nephrite_mask_codec::fuzzing;
use nephrite_types::seeds;

fn replay(target: &str, run: fn(&[u8])) {
    for (_, seed) in seeds(env!("CARGO_MANIFEST_DIR"), target, 5) {
        run(&seed);
    }
}

#[test]
fn decode_raw() {
    replay("decode_raw", fuzzing::decode_raw);
}

#[test]
fn decode_plausible() {
    replay("decode_plausible", fuzzing::decode_plausible);
}
