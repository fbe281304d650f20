//! Which network to build: `architecture` of a configuration, or what older plans say in its place.

use serde_json::{Map, Value, json};

use crate::FolderError;
use crate::json::Json;

/// A network class and the arguments of its constructor, as in `plans.json`, in one form for old and new plans.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchitectureJson {
    /// Last dotted component of `network_class_name`, for example `PlainConvUNet`.
    pub class_name: String,
    /// `arch_kwargs`, unchecked, in file order.
    pub arch_kwargs: Map<String, Value>,
}

/// Resolutions of a network; each halves the patch, so that 16 is already out of reach.
const MAX_STAGES: usize = 16;

impl ArchitectureJson {
    /// Reads a resolved configuration.
    pub(crate) fn read(configuration: &Json<'_>, n_axes: usize) -> Result<Self, FolderError> {
        let Some(architecture) = configuration.get("architecture")? else {
            return read_legacy(configuration, n_axes);
        };
        let name = architecture.require("network_class_name")?;
        let class_name = last_component(name.text()?);
        if class_name.is_empty() {
            return Err(name.invalid("the name of a class"));
        }
        let arch_kwargs = architecture.require("arch_kwargs")?.object()?.clone();
        Ok(ArchitectureJson {
            class_name: class_name.to_owned(),
            arch_kwargs,
        })
    }
}

fn last_component(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Translates the keys of plans written before nnunetv2 2.3.
///
/// Source: nnunetv2 2.8.1, `utilities/plans_handling/plans_handler.py`, `ConfigurationManager.__init__`.
fn read_legacy(configuration: &Json<'_>, n_axes: usize) -> Result<ArchitectureJson, FolderError> {
    if configuration.get("UNet_class_name")?.is_none() {
        configuration.require("architecture")?.object()?; // the modern key is the one to miss
    }
    let class = configuration.require("UNet_class_name")?;
    let class_name = last_component(class.text()?);
    let convs_or_blocks = match class_name {
        "PlainConvUNet" => "n_conv_per_stage",
        "ResidualEncoderUNet" => "n_blocks_per_stage",
        unknown => return Err(class.unknown_name(unknown, &["PlainConvUNet", "ResidualEncoderUNet"])),
    };
    let n_conv_encoder = configuration.require("n_conv_per_stage_encoder")?;
    let n_stages = n_conv_encoder.list(MAX_STAGES)?.len();
    let features = |key| configuration.require(key)?.integer(1..=1 << 20);
    let (base, max) = (
        features("UNet_base_num_features")?,
        features("unet_max_num_features")?,
    );
    // 2^20 · 2^15 fits in 64 bits.
    let features_per_stage: Vec<u64> = (0..n_stages).map(|stage| (base << stage).min(max)).collect();
    let take = |key| configuration.require(key).map(|json| json.value().clone());

    let mut kwargs = Map::new();
    let mut set = |key: &str, value: Value| kwargs.insert(key.to_owned(), value);
    set("n_stages", json!(n_stages));
    set("features_per_stage", json!(features_per_stage));
    set("conv_op", json!(format!("torch.nn.modules.conv.Conv{n_axes}d")));
    set("kernel_sizes", take("conv_kernel_sizes")?);
    set("strides", take("pool_op_kernel_sizes")?);
    set(convs_or_blocks, n_conv_encoder.value().clone());
    set("n_conv_per_stage_decoder", take("n_conv_per_stage_decoder")?);
    set("conv_bias", json!(true));
    set(
        "norm_op",
        json!(format!("torch.nn.modules.instancenorm.InstanceNorm{n_axes}d")),
    );
    set("norm_op_kwargs", json!({ "eps": 1e-5, "affine": true }));
    set("dropout_op", Value::Null);
    set("dropout_op_kwargs", Value::Null);
    set("nonlin", json!("torch.nn.LeakyReLU"));
    set("nonlin_kwargs", json!({ "inplace": true }));
    Ok(ArchitectureJson {
        class_name: class_name.to_owned(),
        arch_kwargs: kwargs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(configuration: &Value, n_axes: usize) -> Result<ArchitectureJson, FolderError> {
        ArchitectureJson::read(&Json::root("plans.json", configuration), n_axes)
    }

    fn legacy() -> Value {
        json!({
            "UNet_class_name": "PlainConvUNet",
            "UNet_base_num_features": 32,
            "unet_max_num_features": 100,
            "n_conv_per_stage_encoder": [2, 2, 2],
            "n_conv_per_stage_decoder": [2, 2],
            "num_pool_per_axis": [2, 2],
            "pool_op_kernel_sizes": [[1, 1], [2, 2], [2, 2]],
            "conv_kernel_sizes": [[3, 3], [3, 3], [3, 3]],
        })
    }

    #[test]
    fn the_last_component_of_the_class_counts() {
        let modern = json!({ "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet",
            "arch_kwargs": { "b": 1, "a": null },
        }});
        let read = read(&modern, 3).unwrap();
        assert_eq!(read.class_name, "ResidualEncoderUNet");
        assert_eq!(read.arch_kwargs.keys().collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn legacy_keys_become_modern_ones() {
        let read = read(&legacy(), 2).unwrap();
        assert_eq!(read.class_name, "PlainConvUNet");
        let expected = json!({
            "n_stages": 3,
            "features_per_stage": [32, 64, 100],
            "conv_op": "torch.nn.modules.conv.Conv2d",
            "kernel_sizes": [[3, 3], [3, 3], [3, 3]],
            "strides": [[1, 1], [2, 2], [2, 2]],
            "n_conv_per_stage": [2, 2, 2],
            "n_conv_per_stage_decoder": [2, 2],
            "conv_bias": true,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
            "norm_op_kwargs": { "eps": 1e-5, "affine": true },
            "dropout_op": null,
            "dropout_op_kwargs": null,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": { "inplace": true },
        });
        assert_eq!(Value::Object(read.arch_kwargs), expected);
    }

    #[test]
    fn a_legacy_residual_encoder_counts_blocks() {
        let mut plans = legacy();
        plans["UNet_class_name"] = json!("ResidualEncoderUNet");
        let read = read(&plans, 3).unwrap();
        assert_eq!(read.arch_kwargs["n_blocks_per_stage"], json!([2, 2, 2]));
        assert_eq!(read.arch_kwargs["conv_op"], "torch.nn.modules.conv.Conv3d");
    }

    #[test]
    fn faults_are_named() {
        let check = |plans: Value, expected: &str| {
            let message = read(&plans, 3).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(json!({}), "key architecture is missing");
        check(
            json!({ "architecture": { "network_class_name": 3 } }),
            "architecture.network_class_name",
        );
        check(
            json!({ "architecture": { "network_class_name": "a.", "arch_kwargs": {} } }),
            "the name of a class",
        );
        check(
            json!({ "architecture": { "network_class_name": "U" } }),
            "architecture.arch_kwargs is missing",
        );
        let mut unknown = legacy();
        unknown["UNet_class_name"] = json!("MyUNet");
        check(unknown, "MyUNet");
        let mut deep = legacy();
        deep["n_conv_per_stage_encoder"] = json!(vec![2; 1000]);
        check(deep, "a list of at most 16");
    }
}
