//! Replays the seeds of the fuzz targets.

use nephrite_nnunet_network::fuzzing;
use nephrite_types::seeds;

fn replay(target: &str, at_least: usize, run: fn(&[u8])) {
    for (_, seed) in seeds(env!("CARGO_MANIFEST_DIR"), target, at_least) {
        run(&seed);
    }
}

#[test]
fn onnx_seeds() {
    replay("onnx", 60, fuzzing::onnx);
}

#[test]
fn architecture_seeds() {
    replay("architecture", 15, fuzzing::architecture);
}
