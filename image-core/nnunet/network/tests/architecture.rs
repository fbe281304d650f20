//! What `Architecture::parse` accepts and refuses.
#![allow(clippy::unwrap_used)] // helpers of tests fail by it

use std::collections::BTreeMap;

use nephrite_nnunet_network::{
    Activation, Architecture, NetworkError, Norm, OnnxExpectation, WeightSource, build_onnx, check_onnx,
    expected_tensors, multiply_adds,
};
use nephrite_types::{Coded, ErrorCode};
use proptest::prelude::*;
use serde_json::{Value, json};

fn plain() -> Value {
    json!({
        "n_stages": 3, "features_per_stage": [4, 8, 8], "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3], [3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "n_conv_per_stage": [2, 2, 2], "n_conv_per_stage_decoder": [2, 2], "conv_bias": true,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": true},
        "dropout_op": null, "dropout_op_kwargs": null, "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": true},
        "deep_supervision": true
    })
}

fn residual() -> Value {
    let mut kwargs = plain();
    kwargs.as_object_mut().unwrap().remove("n_conv_per_stage");
    kwargs["n_blocks_per_stage"] = json!([1, 2, 2]);
    kwargs
}

fn parse(class: &str, kwargs: &Value, patch: &[usize]) -> Result<Architecture, NetworkError> {
    Architecture::parse(class, kwargs.as_object().unwrap(), 1, 2, patch)
}

/// Parses after one change.
fn changed(class: &str, key: &str, value: Value) -> Result<Architecture, NetworkError> {
    let mut kwargs = if class == "PlainConvUNet" {
        plain()
    } else {
        residual()
    };
    kwargs[key] = value;
    parse(class, &kwargs, &[8, 8, 8])
}

#[test]
fn numbers_stand_for_all_stages_and_axes() {
    let expected = parse("PlainConvUNet", &plain(), &[8, 8, 8]).unwrap();
    for (key, value) in [
        ("kernel_sizes", json!(3)),
        ("kernel_sizes", json!([3, [3, 3, 3], 3])),
        ("strides", json!([1, 2, 2])),
        ("n_conv_per_stage", json!(2)),
        ("n_conv_per_stage_decoder", json!(2)),
        ("nonlin_kwargs", Value::Null),
        ("dropout_op", json!("torch.nn.Dropout3d")),
    ] {
        assert_eq!(
            changed("PlainConvUNet", key, value.clone()).unwrap(),
            expected,
            "{key} {value}"
        );
    }
    let same = changed("PlainConvUNet", "features_per_stage", json!(7)).unwrap();
    assert!(same.stages().iter().all(|stage| stage.features == 7));
}

#[test]
fn defaults_are_those_of_pytorch() {
    let norm = |kwargs| changed("PlainConvUNet", "norm_op_kwargs", kwargs).unwrap().norm();
    assert_eq!(
        norm(Value::Null),
        Norm::Instance {
            eps: 1e-5,
            affine: false
        }
    );
    assert_eq!(
        norm(json!({"eps": 1e-3, "affine": true})),
        Norm::Instance {
            eps: 1e-3,
            affine: true
        }
    );
    let mut batch = plain();
    batch["norm_op"] = json!("torch.nn.BatchNorm3d");
    batch["norm_op_kwargs"] = Value::Null;
    let batch = parse("PlainConvUNet", &batch, &[8, 8, 8]).unwrap();
    assert_eq!(
        batch.norm(),
        Norm::Batch {
            eps: 1e-5,
            affine: true
        }
    );
    let none = changed("PlainConvUNet", "norm_op", Value::Null).unwrap();
    assert_eq!(none.norm(), Norm::None);
    let activation = |name| changed("PlainConvUNet", "nonlin", name).unwrap().activation();
    assert_eq!(
        activation(json!("torch.nn.modules.activation.LeakyReLU")),
        Activation::LeakyRelu { slope: 0.01 }
    );
    assert_eq!(activation(json!("torch.nn.ReLU")), Activation::Relu);
    assert_eq!(activation(Value::Null), Activation::None);
}

#[test]
fn multiply_adds_are_those_counted_by_hand() {
    // plain(): 1 channel in, 2 classes, 4, 8, 8 features, 8³, 4³, 2³ voxels, two convolutions of 3³ each
    let encoder = 512 * 27 * (4 + 4 * 4) + 64 * 27 * (4 * 8 + 8 * 8) + 8 * 27 * (8 * 8 + 8 * 8);
    let up = 64 * (8 * 8) + 512 * (8 * 4);
    let decoder = 64 * 27 * (16 * 8 + 8 * 8) + 512 * 27 * (8 * 4 + 4 * 4);
    let head = 512 * 4 * 2;
    let network = parse("PlainConvUNet", &plain(), &[8, 8, 8]).unwrap();
    assert_eq!(multiply_adds(&network), encoder + up + decoder + head);

    // One block of two convolutions in the first stage after a stem, two in the others; the first of them projects
    // where channels change, after pooling.
    let stem = 512 * 27 * 4;
    let first = 512 * 27 * (4 * 4 + 4 * 4);
    let second = 64 * 27 * (4 * 8 + 3 * 8 * 8) + 64 * (4 * 8);
    let third = 8 * 27 * (4 * 8 * 8);
    let network = parse("ResidualEncoderUNet", &residual(), &[8, 8, 8]).unwrap();
    assert_eq!(
        multiply_adds(&network),
        stem + first + second + third + up + decoder + head
    );

    // In two dimensions, with a kernel of one row and a stride along one axis: 8 × 8, then 8 × 4 positions.
    let mut flat = plain();
    for (key, value) in [
        ("n_stages", json!(2)),
        ("features_per_stage", json!([2, 3])),
        ("conv_op", json!("torch.nn.Conv2d")),
        ("kernel_sizes", json!([[1, 3], [3, 3]])),
        ("strides", json!([[1, 1], [1, 2]])),
        ("n_conv_per_stage", json!([1, 1])),
        ("n_conv_per_stage_decoder", json!([1])),
        ("norm_op", json!("torch.nn.InstanceNorm2d")),
    ] {
        flat[key] = value;
    }
    let network = parse("PlainConvUNet", &flat, &[8, 8]).unwrap();
    let expected = 64 * 3 * 2 + 32 * 9 * (2 * 3) + 64 * (3 * 2) + 64 * 3 * (4 * 2) + 64 * 2 * 2;
    assert_eq!(multiply_adds(&network), expected);
}

#[test]
fn other_networks_are_named() {
    for name in ["Primus", "", "plainconvunet"] {
        let error = parse(name, &plain(), &[8, 8, 8]).unwrap_err();
        assert!(
            matches!(&error, NetworkError::UnknownNetwork { name: n } if n == name),
            "{error}"
        );
    }
}

#[test]
fn wrong_values_are_refused_with_key_expected_and_found() {
    let cases = [
        ("n_stages", json!(1), "n_stages must be 2 to 16, found 1"),
        (
            "n_stages",
            json!(1u64 << 40),
            "n_stages must be 2 to 16, found 1099511627776",
        ),
        (
            "n_stages",
            json!(3.5),
            "n_stages must be an integer from 2 to 16, found 3.5",
        ),
        (
            "n_stages",
            json!(4),
            "features_per_stage must be 4 entries, found 3 entries",
        ),
        ("n_stages", Value::Null, "arch_kwargs has no n_stages"),
        (
            "features_per_stage",
            json!([4, 8, 5000]),
            "features_per_stage[2] must be 1 to 4096, found 5000",
        ),
        (
            "features_per_stage",
            json!([4, 0, 8]),
            "features_per_stage[1] must be 1 to 4096, found 0",
        ),
        (
            "features_per_stage",
            json!([4, [8], 8]),
            "features_per_stage[1] must be an integer from 1 to 4096, found [8]",
        ),
        (
            "features_per_stage",
            json!("x".repeat(500)),
            "features_per_stage[0] must be an integer",
        ),
        (
            "conv_op",
            json!("torch.nn.Conv1d"),
            "conv_op Conv1d is not supported, expected Conv2d or Conv3d",
        ),
        (
            "conv_op",
            json!("torch.nn.Conv2d"),
            "patch_size must be 2 numbers, as conv_op says, found [8, 8, 8]",
        ),
        ("conv_op", Value::Null, "arch_kwargs has no conv_op"),
        (
            "conv_op",
            json!(3),
            "conv_op must be a class path or null, found 3",
        ),
        (
            "kernel_sizes",
            json!(4),
            "kernel_sizes[0][0] must be odd, found 4",
        ),
        (
            "kernel_sizes",
            json!([3, 3, [3, 3]]),
            "kernel_sizes[2] must be 3 numbers, found 2 entries",
        ),
        (
            "kernel_sizes",
            json!([3, 3, [3, 3, 33]]),
            "kernel_sizes[2][2] must be 1 to 31, found 33",
        ),
        (
            "kernel_sizes",
            json!(-3),
            "kernel_sizes[0] must be an integer from 1 to 31, found -3",
        ),
        (
            "strides",
            json!(2),
            "strides[0] must be 1 on every axis, found [2, 2, 2]",
        ),
        ("strides", json!([1, 2, 0]), "strides[2] must be 1 to 64, found 0"),
        (
            "strides",
            json!([1, 2, 3]),
            "patch size [8, 8, 8] is not divisible by the product of strides [6, 6, 6]",
        ),
        (
            "strides",
            json!([1, 2, 4]),
            "patch size [8, 8, 8] leaves a single position at the bottleneck",
        ),
        (
            "n_conv_per_stage",
            json!([2, 0, 2]),
            "n_conv_per_stage[1] must be 1 to 64, found 0",
        ),
        (
            "n_conv_per_stage_decoder",
            json!([2, 65]),
            "n_conv_per_stage_decoder[1] must be 1 to 64, found 65",
        ),
        ("conv_bias", json!(1), "conv_bias must be true or false, found 1"),
        (
            "norm_op",
            json!("torch.nn.GroupNorm"),
            "norm_op GroupNorm is not supported, expected InstanceNorm3d or",
        ),
        (
            "norm_op",
            json!("torch.nn.InstanceNorm2d"),
            "norm_op InstanceNorm2d is not supported, expected InstanceNorm3d",
        ),
        ("norm_op_kwargs", json!({"eps": 0}), "eps must be"),
        ("norm_op_kwargs", json!({"eps": "1e-5"}), "eps must be a number"),
        (
            "norm_op_kwargs",
            json!({"track_running_stats": true}),
            "track_running_stats must be false for InstanceNorm3d",
        ),
        (
            "norm_op_kwargs",
            json!({"epsilon": 1}),
            "norm_op_kwargs has key epsilon, which InstanceNorm3d does not take",
        ),
        (
            "norm_op_kwargs",
            json!([]),
            "norm_op_kwargs must be an object or null, found []",
        ),
        (
            "nonlin",
            json!("torch.nn.GELU"),
            "nonlin GELU is not supported, expected LeakyReLU or ReLU",
        ),
        (
            "nonlin_kwargs",
            json!({"negative_slope": 1e300}),
            "negative_slope must be",
        ),
        (
            "nonlin_kwargs",
            json!({"num_parameters": 1}),
            "nonlin_kwargs has key num_parameters, which LeakyReLU",
        ),
        (
            "pool",
            json!("max"),
            "arch_kwargs has key pool, which PlainConvUNet does not take",
        ),
        (
            "stem_channels",
            json!(4),
            "arch_kwargs has key stem_channels, which PlainConvUNet does not take",
        ),
    ];
    for (key, value, message) in cases {
        let error = changed("PlainConvUNet", key, value).expect_err(message);
        assert!(
            error.to_string().starts_with(message),
            "{error}\nexpected {message}"
        );
        assert!(error.to_string().len() < 300, "{error}");
        assert_eq!(error.code(), ErrorCode::InvalidModel);
    }
}

#[test]
fn wrong_residual_values_are_refused() {
    let cases = [
        (
            "block",
            json!("a.b.ConvNeXt"),
            "block ConvNeXt is not supported, expected BasicBlockD or BottleneckD",
        ),
        (
            "block",
            json!("a.b.BottleneckD"),
            "arch_kwargs has no bottleneck_channels",
        ),
        (
            "stem_channels",
            json!(0),
            "stem_channels must be 1 to 4096, found 0",
        ),
        (
            "nonlin_first",
            json!(true),
            "arch_kwargs has key nonlin_first, which ResidualEncoderUNet does not take",
        ),
        (
            "n_blocks_per_stage",
            json!([1, 2]),
            "n_blocks_per_stage must be 3 entries, found 2 entries",
        ),
    ];
    for (key, value, message) in cases {
        let error = changed("ResidualEncoderUNet", key, value).expect_err(message);
        assert!(
            error.to_string().starts_with(message),
            "{error}\nexpected {message}"
        );
    }
}

#[test]
fn sizes_from_outside_are_bounded() {
    for patch in [
        &[8, 8][..],
        &[8, 8, 0],
        &[8, 8, usize::MAX],
        &[1 << 14, 1 << 14, 1 << 14],
        &[],
    ] {
        assert!(parse("PlainConvUNet", &plain(), patch).is_err(), "{patch:?}");
    }
    let kwargs = plain();
    for (n_channels, n_classes) in [(0, 2), (1, 0), (5000, 2), (1, usize::MAX)] {
        let map = kwargs.as_object().unwrap();
        let error = Architecture::parse("PlainConvUNet", map, n_channels, n_classes, &[8, 8, 8]).unwrap_err();
        assert!(
            matches!(error, NetworkError::BadValue { .. }),
            "{n_channels} {n_classes}: {error}"
        );
    }
}

/// Announces every expected tensor and gives small numbers for all.
struct Anything(BTreeMap<String, Vec<usize>>);

impl WeightSource for Anything {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.get(name).cloned()
    }

    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(vec![0.5; self.0[name].iter().product()])
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

#[test]
fn a_model_over_two_gibibytes_is_refused_before_it_is_built() {
    let mut kwargs = plain();
    kwargs["features_per_stage"] = json!(4096);
    let network = parse("PlainConvUNet", &kwargs, &[8, 8, 8]).unwrap();
    let mut weights = Anything(expected_tensors(&network, false).into_iter().collect());
    let error = build_onnx(&network, &mut weights).unwrap_err();
    assert!(matches!(error, NetworkError::TooLarge { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
}

/// Small networks of every class; the flag says whether the weights come from a batch norm trainer.
fn networks() -> impl Strategy<Value = (Architecture, bool)> {
    let sizes = (2..5usize, prop::sample::select(vec![2usize, 3]));
    let lists = |(n_stages, n_dims)| {
        let kernel = prop::sample::select(vec![1usize, 3, 5]);
        (
            prop::collection::vec(1..6usize, n_stages),
            prop::collection::vec(kernel, n_stages),
            prop::collection::vec(prop::collection::vec(1..3usize, n_dims), n_stages - 1),
            prop::collection::vec(1..3usize, n_stages),
            prop::collection::vec(1..3usize, n_stages - 1),
        )
    };
    let flags = (0..3usize, any::<[bool; 4]>());
    (sizes.prop_flat_map(lists), flags).prop_map(
        |((features, kernels, strides, blocks, decoder), (class, [bias, affine, first, batch_norm]))| {
            let class = ["PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet"][class];
            let dims = strides[0].len();
            let patch: Vec<usize> =
                (0..dims).map(|a| 2 * strides.iter().map(|s| s[a]).product::<usize>()).collect();
            let strides: Vec<_> = std::iter::once(vec![1; dims]).chain(strides).collect();
            let mut kwargs = json!({
                "n_stages": features.len(), "features_per_stage": features, "conv_op": format!("Conv{dims}d"),
                "kernel_sizes": kernels, "strides": strides, "n_conv_per_stage_decoder": decoder,
                "conv_bias": bias, "norm_op": format!("InstanceNorm{dims}d"), "norm_op_kwargs": {"affine": affine},
                "nonlin": "LeakyReLU",
            });
            let plain = class == "PlainConvUNet";
            kwargs[if plain { "n_conv_per_stage" } else { "n_blocks_per_stage" }] = json!(blocks);
            if plain {
                kwargs["nonlin_first"] = json!(first);
            }
            (Architecture::parse(class, kwargs.as_object().unwrap(), 2, 3, &patch).unwrap(), batch_norm)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever parses can be built, and what is built passes the check of models from outside.
    #[test]
    fn built_models_pass_the_check((network, batch_norm) in networks()) {
        let mut weights = Anything(expected_tensors(&network, batch_norm).into_iter().collect());
        let built = build_onnx(&network, &mut weights).unwrap();
        let expected = OnnxExpectation { n_channels: 2, n_classes: 3, patch: network.patch(), max_bytes: 1 << 24, max_memory_bytes: 1 << 40 };
        let checked = check_onnx(built.bytes.clone(), &expected).unwrap();
        prop_assert_eq!(checked.bytes, built.bytes);
    }
}
