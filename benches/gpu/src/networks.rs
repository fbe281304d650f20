//! The networks that are timed, in nnU-Net's words.

use clap::ValueEnum;
use nephrite_nnunet_network::{Architecture, NetworkError};
use serde_json::{Value, json};

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// nnU-Net's default: six resolutions, 32 to 320 features, two convolutions each; 5 classes.
    Plain,
    /// The same with 118 classes, as of a whole body.
    Plain118,
    /// Residual encoder, as of nnU-Net's preset L: 1, 3, 4, 6, 6, 6 blocks; 5 classes.
    Resenc,
    /// Three resolutions of 8 to 32 features; 5 classes. For trying things.
    Small,
}

impl Name {
    /// As on the command line.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Name::Plain => "plain",
            Name::Plain118 => "plain118",
            Name::Resenc => "resenc",
            Name::Small => "small",
        }
    }
}

/// The network for one channel and a cube of `patch` voxels a side.
///
/// # Errors
/// [`NetworkError`] if it cannot be of that size.
pub(crate) fn architecture(name: Name, patch: usize) -> Result<Architecture, NetworkError> {
    let features: &[usize] = match name {
        Name::Small => &[8, 16, 32],
        _ => &[32, 64, 128, 256, 320, 320],
    };
    let n_classes = if name == Name::Plain118 { 118 } else { 5 };
    let n = features.len();
    let mut strides = vec![2; n];
    strides[0] = 1;
    let mut kwargs = json!({
        "n_stages": n, "features_per_stage": features, "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": 3, "strides": strides, "conv_bias": true,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": true},
        "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": true},
    });
    let (class, blocks, value, in_decoder) = match name {
        Name::Resenc => (
            "ResidualEncoderUNet",
            "n_blocks_per_stage",
            json!([1, 3, 4, 6, 6, 6]),
            1,
        ),
        _ => ("PlainConvUNet", "n_conv_per_stage", json!(2), 2),
    };
    kwargs[blocks] = value;
    kwargs["n_conv_per_stage_decoder"] = json!(in_decoder);
    let Value::Object(kwargs) = kwargs else {
        unreachable!("an object was made")
    };
    Architecture::parse(class, &kwargs, 1, n_classes, &[patch; 3])
}
