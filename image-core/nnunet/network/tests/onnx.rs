//! Exported models, sound and broken; written by `golden/make_onnx_seeds.py`.
#![allow(clippy::unwrap_used)] // helpers of tests fail by it

use std::path::Path;
use std::time::{Duration, Instant};

use nephrite_nnunet_network::{NetworkError, OnnxExpectation, OnnxNetwork, check_onnx};
use nephrite_types::{Coded, ErrorCode};
use proptest::prelude::*;

const EXPECTED: OnnxExpectation<'_> = OnnxExpectation {
    n_channels: 1,
    n_classes: 2,
    patch: &[4, 4, 4],
    max_bytes: 1 << 20,
    max_memory_bytes: 1 << 20,
};

fn seed(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/onnx");
    std::fs::read(folder.join(format!("{name}.onnx"))).unwrap()
}

fn check(name: &str) -> Result<OnnxNetwork, NetworkError> {
    check_onnx(seed(name), &EXPECTED)
}

#[test]
fn sound_models_pass_and_are_fixed_to_one_tile() {
    let good = check("good").unwrap();
    assert_eq!(
        (good.input_name.as_str(), good.output_name.as_str()),
        ("input", "logits")
    );
    assert_eq!((good.n_parameters, good.n_channels, good.n_classes), (2, 1, 2));
    for same in ["good_symbolic_batch", "good_old_style_inputs", "good_metadata"] {
        assert_eq!(check(same).unwrap(), good, "{same}");
    }
    let float_data = check("good_float_data").unwrap();
    assert_eq!(
        OnnxNetwork {
            bytes: good.bytes.clone(),
            ..float_data
        },
        good
    );
}

#[test]
fn an_exported_transformer_passes() {
    let expected = OnnxExpectation {
        patch: &[16, 16, 16],
        max_memory_bytes: 64 << 20,
        ..EXPECTED
    };
    let network = check_onnx(seed("exported_primus"), &expected).unwrap();
    assert_eq!(check_onnx(network.bytes.clone(), &expected).unwrap(), network);
}

/// What is wrong with each seed, as the start of the message that a user sees.
#[test]
fn broken_models_are_refused_with_the_reason() {
    let cases = [
        (
            "external_data",
            "tensor weight of the ONNX model has external data",
        ),
        (
            "external_data_without_location",
            "tensor weight of the ONNX model has external data",
        ),
        (
            "external_data_in_attribute",
            "tensor constant of the ONNX model has external data",
        ),
        (
            "subgraph_if",
            "operator ai.onnx.If of the ONNX model is not allowed (node control)",
        ),
        (
            "subgraph_loop",
            "operator ai.onnx.Loop of the ONNX model is not allowed (node control)",
        ),
        ("subgraph_smuggled", "the ONNX model has a subgraph"),
        ("function", "the ONNX model has functions"),
        ("training_info", "the ONNX model has training information"),
        ("sparse_initializer", "the ONNX model has sparse initialisers"),
        (
            "operator_random",
            "operator ai.onnx.RandomNormalLike of the ONNX model is not allowed (node noise)",
        ),
        (
            "operator_other_domain",
            "operator com.microsoft.FusedConv of the ONNX model is not allowed (node fused)",
        ),
        (
            "operator_same_name_other_domain",
            "operator evil.Relu of the ONNX model is not allowed (node relu)",
        ),
        (
            "dropout_training",
            "the ONNX model has a dropout in training mode",
        ),
        (
            "attribute_reference",
            "the ONNX model has a reference to an attribute",
        ),
        (
            "input_channels",
            "input of the ONNX model is data type 1 [1, 3, 4, 4, 4], expected f32 [1 or symbolic, 1, 4, 4, 4]",
        ),
        (
            "input_patch",
            "input of the ONNX model is data type 1 [1, 1, 4, 4, 8]",
        ),
        (
            "input_symbolic_patch",
            "input of the ONNX model is data type 1 [1, 1, z, 4, 4]",
        ),
        (
            "input_rank",
            "input of the ONNX model is data type 1 [1, 1, 4, 4]",
        ),
        (
            "input_batch_of_two",
            "input of the ONNX model is data type 1 [2, 1, 4, 4, 4]",
        ),
        ("input_half", "input of the ONNX model is data type 10"),
        (
            "input_no_shape",
            "input of the ONNX model is not a tensor with a shape",
        ),
        (
            "input_sequence",
            "input of the ONNX model is not a tensor with a shape",
        ),
        (
            "two_inputs",
            "input of the ONNX model is 2 of them, expected one input",
        ),
        (
            "output_classes",
            "output of the ONNX model is data type 1 [1, 3, 4, 4, 4]",
        ),
        (
            "two_outputs",
            "output of the ONNX model is 2 of them, expected one output",
        ),
        (
            "tensor_short",
            "tensor weight of the ONNX model is malformed: it has 7 bytes, its dimensions say 8",
        ),
        (
            "tensor_long",
            "tensor weight of the ONNX model is malformed: it has 16 bytes, its dimensions say 8",
        ),
        (
            "tensor_negative_dim",
            "tensor weight of the ONNX model is malformed: its dimensions are negative or too",
        ),
        (
            "tensor_overflowing_dims",
            "tensor weight of the ONNX model is malformed: its dimensions are negative or",
        ),
        (
            "tensor_rank",
            "tensor weight of the ONNX model is malformed: it has 25 dimensions",
        ),
        (
            "tensor_two_forms",
            "tensor weight of the ONNX model is malformed: it has values in more than one form",
        ),
        (
            "tensor_wrong_form",
            "tensor weight of the ONNX model is malformed: it has values in more than one form",
        ),
        (
            "tensor_strings",
            "tensor weight of the ONNX model is malformed: segments and strings",
        ),
        (
            "tensor_unknown_type",
            "tensor weight of the ONNX model is malformed: data type 99",
        ),
        (
            "tensor_short_in_attribute",
            "tensor constant of the ONNX model is malformed: it has 7 bytes",
        ),
        (
            "tensor_same_name",
            "tensor weight of the ONNX model is malformed: its name is empty or taken",
        ),
        (
            "value_undefined",
            "not a readable ONNX model: node add reads nowhere, which nothing before it writes",
        ),
        (
            "value_cycle",
            "not a readable ONNX model: node add reads logits, which nothing before it writes",
        ),
        (
            "value_written_twice",
            "not a readable ONNX model: x is written twice",
        ),
        (
            "output_unwritten",
            "not a readable ONNX model: no node writes the output logits",
        ),
        ("opset_future", "not a readable ONNX model: opset 99"),
        (
            "opset_missing",
            "not a readable ONNX model: it imports no standard operators",
        ),
        (
            "ir_version_future",
            "not a readable ONNX model: format version 99",
        ),
        ("graph_missing", "not a readable ONNX model: it has no graph"),
        (
            "many_attributes",
            "number of attributes of an ONNX node is 101, at most 64 is allowed",
        ),
        (
            "many_inputs",
            "number of inputs and outputs of an ONNX node is 2003, at most 1024 is allowed",
        ),
        (
            "many_nodes",
            "number of nodes of the ONNX model is 20001, at most 20000 is allowed",
        ),
        (
            "memory_expand",
            "number of bytes that the ONNX model needs while it runs is 2097712, at most 1048576 is allowed",
        ),
        (
            "memory_constant_of_shape",
            "number of bytes that the ONNX model needs while it runs is 4195096, at most 1048576 is allowed",
        ),
        (
            "shape_of_values",
            "operator ConstantOfShape of the ONNX model gives a value whose size does not follow from constants (node c)",
        ),
        ("empty", "not a readable ONNX model: format version 0"),
        ("not_protobuf", "not a readable ONNX model: "),
        ("truncated", "not a readable ONNX model: a field of"),
        ("two_graphs", "not a readable ONNX model: it has two graphs"),
        ("group", "not a readable ONNX model: wire type 3"),
        (
            "long_varint",
            "not a readable ONNX model: a number is longer than 64 bits",
        ),
        (
            "length_past_end",
            "not a readable ONNX model: a field of 4294967295 bytes is cut off",
        ),
        (
            "field_zero",
            "not a readable ONNX model: a field number is out of range",
        ),
    ];
    for (name, message) in cases {
        let start = Instant::now();
        let error = check(name).expect_err(name);
        assert!(error.to_string().starts_with(message), "{name}: {error}");
        let code = if message.ends_with("is allowed") {
            ErrorCode::LimitExceeded
        } else {
            ErrorCode::InvalidModel
        };
        assert_eq!(error.code(), code, "{name}");
        assert!(start.elapsed() < Duration::from_secs(1), "{name}");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/onnx");
    let n_sound = 6;
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        cases.len() + n_sound,
        "every seed is in a table"
    );
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    let expected = OnnxExpectation {
        max_bytes: 10,
        ..EXPECTED
    };
    let error = check_onnx(seed("good"), &expected).unwrap_err();
    assert!(
        matches!(error, NetworkError::TooLarge { limit: 10, .. }),
        "{error}"
    );
}

proptest! {
    /// Damaged models are refused or stay models; nothing panics.
    #[test]
    fn damaged_models_do_no_harm(
        transformer: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = seed(if transformer { "exported_primus" } else { "good" });
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(network) = check_onnx(bytes, &EXPECTED) {
            prop_assert!(check_onnx(network.bytes, &EXPECTED).is_ok());
        }
    }
}
