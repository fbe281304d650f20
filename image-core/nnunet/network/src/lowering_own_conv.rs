//! Convolutions as an operator of our own, where it is faster than ONNX Runtime's.

use crate::layers::{Layer, LayerGraph, Op};
use crate::lowering_plain::lower_layer;
use crate::onnx_writer::{ModelWriter, OWN_DOMAIN};

/// Input channels below which transforming the input costs more than it saves.
const MIN_CHANNELS: usize = 4;
/// Voxels below which a layer has many weights, all of which are held once more, and takes little time.
const MIN_VOXELS: usize = 16 * 16 * 16;

/// Writes every layer as in the plain lowering, but for the convolutions that [`is_worth_it`] picks.
pub(crate) fn lower(graph: &LayerGraph) -> ModelWriter {
    let mut writer = ModelWriter::default();
    for layer in &graph.layers {
        match &layer.op {
            Op::Conv {
                weight,
                bias,
                kernel,
                stride,
            } if is_worth_it(graph, layer, kernel, stride) => {
                let mut inputs = vec![ModelWriter::value_name(graph, layer.inputs[0])];
                for param in [Some(*weight), *bias].into_iter().flatten() {
                    inputs.push(writer.param(graph, param));
                }
                let output = ModelWriter::value_name(graph, layer.output);
                writer.node_of(OWN_DOMAIN, "Conv", &layer.name, inputs, output, vec![]);
            }
            _ => lower_layer(&mut writer, graph, layer),
        }
    }
    writer
}

/// Values that the operator holds besides the weights, for all layers together: of a kernel of 3×3×3 16/9 times its weights,
/// of 1×3×3 4/3 times, as `nephrite-conv` says.
pub(crate) fn prepared_values(graph: &LayerGraph) -> u64 {
    let own = graph.layers.iter().filter_map(|layer| match &layer.op {
        Op::Conv {
            weight,
            kernel,
            stride,
            ..
        } if is_worth_it(graph, layer, kernel, stride) => Some((*weight, kernel[0])),
        _ => None,
    });
    own.fold(0, |sum, (weight, depth)| {
        let weights = graph.param(weight).len();
        let prepared = match depth {
            3 => weights.saturating_mul(16) / 9,
            _ => weights.saturating_mul(4) / 3,
        };
        sum.saturating_add(prepared)
    })
}

/// Whether a convolution is one that the operator computes, and is of a size that gains by it.
fn is_worth_it(graph: &LayerGraph, layer: &Layer, kernel: &[usize], stride: &[usize]) -> bool {
    let input = graph.shape(layer.inputs[0]);
    let is_computed = matches!(kernel, [3, 3, 3] | [1, 3, 3]) && stride == [1, 1, 1];
    is_computed && input.channels >= MIN_CHANNELS && input.spatial.iter().product::<usize>() >= MIN_VOXELS
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Architecture;

    /// Which convolutions of a network with stages of 4 and 8 features become ours.
    fn own_convolutions(conv_op: &str, kernel: &serde_json::Value, patch: &[usize]) -> Vec<String> {
        let kwargs = json!({
            "n_stages": 2, "features_per_stage": [4, 8], "conv_op": format!("torch.nn.modules.conv.{conv_op}"),
            "kernel_sizes": [kernel, kernel], "strides": [1, 2], "n_conv_per_stage": 2, "n_conv_per_stage_decoder": 1,
            "conv_bias": true, "norm_op": null, "nonlin": "torch.nn.LeakyReLU",
        });
        let network = Architecture::parse("PlainConvUNet", kwargs.as_object().unwrap(), 1, 3, patch).unwrap();
        let graph = network.layers();
        let is_own = |layer: &&Layer| match &layer.op {
            Op::Conv { kernel, stride, .. } => is_worth_it(&graph, layer, kernel, stride),
            _ => false,
        };
        graph
            .layers
            .iter()
            .filter(is_own)
            .map(|layer| layer.name.clone())
            .collect()
    }

    #[track_caller]
    fn check(conv_op: &str, kernel: &serde_json::Value, patch: &[usize], expected: &[&str]) {
        let found = own_convolutions(conv_op, kernel, patch);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found} is not {expected}");
        }
    }

    #[test]
    fn large_convolutions_of_known_kernels_become_ours() {
        // Neither the first (one channel), nor the strided one, nor the head (1x1x1), nor a stage of 8x8x8 voxels.
        let fine = ["encoder.stages.0.0.convs.1", "decoder.stages.0.convs.0"];
        check("Conv3d", &json!([3, 3, 3]), &[16, 16, 16], &fine);
        check("Conv3d", &json!([1, 3, 3]), &[16, 16, 16], &fine);
        let both = [
            "encoder.stages.0.0.convs.1",
            "encoder.stages.1.0.convs.1",
            "decoder.stages.0.convs.0",
        ];
        check("Conv3d", &json!([3, 3, 3]), &[32, 32, 32], &both);
        check("Conv3d", &json!([3, 3, 3]), &[8, 16, 16], &[]);
        check("Conv3d", &json!([3, 3, 1]), &[16, 16, 16], &[]);
        check("Conv3d", &json!([5, 5, 5]), &[16, 16, 16], &[]);
        check("Conv2d", &json!([3, 3]), &[256, 256], &[]);
    }
}
