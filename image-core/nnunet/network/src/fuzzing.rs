//! What the fuzz targets call; the tests replay their seeds through the same functions.

use serde_json::{Map, Value};

use crate::{Architecture, OnnxExpectation, check_onnx, expected_tensors, session_memory};

/// Takes any bytes for the `architecture` entry of plans: refused, or a network with a finite number of tensors.
pub fn architecture(data: &[u8]) {
    let Ok(network) = serde_json::from_slice::<Map<String, Value>>(data) else {
        return;
    };
    let text = |key: &str| network.get(key).and_then(Value::as_str).unwrap_or_default();
    let size = |value: &Value| value.as_u64().map_or(0, |n| n as usize);
    let patch: Vec<usize> = network
        .get("patch")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(size)
        .collect();
    let Some(kwargs) = network.get("arch_kwargs").and_then(Value::as_object) else {
        return;
    };
    let n = |key: &str| network.get(key).map_or(0, size);
    if let Ok(network) = Architecture::parse(
        text("class_name"),
        kwargs,
        n("n_channels"),
        n("n_classes"),
        &patch,
    ) {
        assert!(!expected_tensors(&network, true).is_empty());
        let memory = session_memory(&network);
        assert!(memory.total() >= 4 * network.n_parameters());
    }
}

/// Takes any bytes for a model from outside: refused, or written anew so that it passes again unchanged.
pub fn onnx(data: &[u8]) {
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
