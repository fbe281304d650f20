//! From layers to ONNX: one operator per layer, as PyTorch's exporter would write it.

use crate::onnx_proto::AttributeProto;
use crate::onnx_writer::{Contents, ModelWriter, float, int, ints};
use nephrite_layers::{Layer, LayerGraph, Op, ParamId};

/// Writes every layer as the operator of the same meaning.
pub(crate) fn lower(graph: &LayerGraph) -> ModelWriter {
    let mut writer = ModelWriter::default();
    for layer in &graph.layers {
        lower_layer(&mut writer, graph, layer);
    }
    writer
}

/// Writes one layer.
fn lower_layer(writer: &mut ModelWriter, graph: &LayerGraph, layer: &Layer) {
    let mut inputs: Vec<String> = layer
        .inputs
        .iter()
        .map(|&x| ModelWriter::value_name(graph, x))
        .collect();
    let (op_type, params, attributes): (&str, Vec<ParamId>, Vec<AttributeProto>) = match &layer.op {
        Op::Conv {
            weight,
            bias,
            kernel,
            stride,
        } => {
            let padding: Vec<usize> = kernel.iter().map(|k| (k - 1) / 2).collect();
            let attributes = vec![
                ints("kernel_shape", kernel),
                ints("strides", stride),
                ints("pads", &[&padding[..], &padding[..]].concat()),
            ];
            (
                "Conv",
                [Some(*weight), *bias].into_iter().flatten().collect(),
                attributes,
            )
        }
        Op::ConvTranspose { weight, bias, stride } => {
            let attributes = vec![ints("kernel_shape", stride), ints("strides", stride)];
            (
                "ConvTranspose",
                [Some(*weight), *bias].into_iter().flatten().collect(),
                attributes,
            )
        }
        Op::InstanceNorm { affine, eps } => {
            let params = norm_params(writer, graph, layer, *affine, &mut inputs);
            ("InstanceNormalization", params, vec![float("epsilon", *eps)])
        }
        Op::BatchNorm {
            affine,
            mean,
            var,
            eps,
        } => {
            let mut params = norm_params(writer, graph, layer, *affine, &mut inputs);
            params.extend([*mean, *var]);
            ("BatchNormalization", params, vec![float("epsilon", *eps)])
        }
        Op::LeakyRelu { slope } => ("LeakyRelu", vec![], vec![float("alpha", *slope)]),
        Op::Relu => ("Relu", vec![], vec![]),
        Op::AveragePool { stride } => (
            "AveragePool",
            vec![],
            vec![ints("kernel_shape", stride), ints("strides", stride)],
        ),
        Op::Add => ("Add", vec![], vec![]),
        Op::Concat => ("Concat", vec![], vec![int("axis", 1)]),
    };
    for param in params {
        inputs.push(writer.param(graph, param));
    }
    let output = ModelWriter::value_name(graph, layer.output);
    writer.node(op_type, &layer.name, inputs, output, attributes);
}

/// Weight and bias of a norm; ones and zeros where it has none, which ONNX does not leave out.
fn norm_params(
    writer: &mut ModelWriter,
    graph: &LayerGraph,
    layer: &Layer,
    affine: Option<(ParamId, ParamId)>,
    inputs: &mut Vec<String>,
) -> Vec<ParamId> {
    if let Some((weight, bias)) = affine {
        return vec![weight, bias];
    }
    let n = graph.shape(layer.output).channels;
    for (part, value) in [("ones", 1.0), ("zeros", 0.0)] {
        let name = format!("{}.{part}", layer.name);
        inputs.push(writer.initializer(name, vec![n], Contents::F32(vec![value; n])));
    }
    Vec::new()
}
