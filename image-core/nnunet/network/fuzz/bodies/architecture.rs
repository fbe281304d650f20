//! The `architecture` entry of plans: refused, or a network with a finite number of tensors.

use nephrite_nnunet_network::{Architecture, Lowering, expected_tensors, session_memory};
use serde_json::{Map, Value};

pub(crate) fn run(data: &[u8]) {
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
        let memory = session_memory(&network, &Lowering::OwnConv);
        assert!(memory.total() >= 4 * network.n_parameters());
    }
}
