//! A model from outside: refused, or written anew so that it passes again unchanged.

use nephrite_nnunet_network::{OnnxExpectation, check_onnx};

pub(crate) fn run(data: &[u8]) {
    let expected = OnnxExpectation {
        n_channels: 1,
        n_classes: 2,
        patch: &[4, 4, 4],
        max_bytes: 1 << 20,
        max_memory_bytes: 64 << 20,
    };
    if let Ok(network) = check_onnx(data.to_vec(), &expected) {
        let again = check_onnx(network.bytes.clone(), &expected).expect("what passed once passes again");
        assert_eq!(again, network);
    }
}
