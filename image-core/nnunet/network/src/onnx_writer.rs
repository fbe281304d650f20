//! Writes an ONNX model with its weights straight into one buffer.

use prost::Message;

use crate::NetworkError;
use crate::onnx_proto::{
    AttributeProto, FLOAT, GraphHeader, ModelHeader, NodeProto, OperatorSetId, TensorProto, attribute_type,
    float_value, graph_field, model_field, tensor_field,
};
use nephrite_layers::{LayerGraph, ParamId, ValueId};

/// protobuf's own limit for one message, which every ONNX reader has.
pub(crate) const MAX_ONNX_BYTES: u64 = i32::MAX as u64;
/// Version of the file format (onnx 1.12).
const IR_VERSION: i64 = 8;
/// Version of the operators (onnx 1.12).
const OPSET: i64 = 17;
/// Where operators of our own live; the engine that runs them describes them.
pub(crate) const OWN_DOMAIN: &str = "nephrite";
/// Version of the operators of our own.
const OWN_OPSET: i64 = 1;

/// Collects nodes and initialisers; weights are read when the model is written.
#[derive(Debug, Default)]
pub(crate) struct ModelWriter {
    nodes: Vec<NodeProto>,
    initializers: Vec<Initializer>,
}

#[derive(Debug)]
struct Initializer {
    name: String,
    dims: Vec<usize>,
    contents: Contents,
}

/// The values of an initialiser.
#[derive(Debug)]
pub(crate) enum Contents {
    /// A weight tensor as it is.
    Param(ParamId),
    /// Constants of a lowering.
    F32(Vec<f32>),
}

impl ModelWriter {
    pub(crate) const INPUT: &str = "input";
    pub(crate) const OUTPUT: &str = "logits";

    /// Name of a value in the model.
    pub(crate) fn value_name(graph: &LayerGraph, value: ValueId) -> String {
        if value == graph.input {
            Self::INPUT.to_owned()
        } else if value == graph.output {
            Self::OUTPUT.to_owned()
        } else {
            format!("x{}", value.0)
        }
    }

    /// Adds a node with one output. Nodes must come in the order of execution.
    pub(crate) fn node(
        &mut self,
        op_type: &str,
        name: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<AttributeProto>,
    ) {
        self.node_of("", op_type, name, input, output, attribute);
    }

    /// Adds a node of the standard domain (empty) or of ours ([`OWN_DOMAIN`]).
    pub(crate) fn node_of(
        &mut self,
        domain: &str,
        op_type: &str,
        name: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<AttributeProto>,
    ) {
        let (name, op_type) = (name.to_owned(), op_type.to_owned());
        self.nodes.push(NodeProto {
            input,
            output: vec![output],
            name,
            op_type,
            attribute,
            domain: domain.to_owned(),
            overload: String::new(),
        });
    }

    /// Adds a weight tensor under its canonical name; gives that name.
    pub(crate) fn param(&mut self, graph: &LayerGraph, param: ParamId) -> String {
        let tensor = graph.param(param);
        self.initializer(tensor.name.clone(), tensor.shape.clone(), Contents::Param(param))
    }

    /// Adds an initialiser; gives its name.
    pub(crate) fn initializer(&mut self, name: String, dims: Vec<usize>, contents: Contents) -> String {
        self.initializers.push(Initializer {
            name: name.clone(),
            dims,
            contents,
        });
        name
    }

    /// Writes the model. `read` gives the values of a parameter, as many as its shape says.
    ///
    /// Lengths are computed beforehand, so that the buffer is allocated once and never copied.
    pub(crate) fn write(
        self,
        graph: &LayerGraph,
        read: &mut dyn FnMut(ParamId) -> Result<Vec<f32>, NetworkError>,
    ) -> Result<Vec<u8>, NetworkError> {
        let dims = |value: ValueId| {
            let shape = graph.shape(value);
            [&[1, shape.channels], &shape.spatial[..]].concat()
        };
        let mut opset_import = vec![OperatorSetId {
            domain: String::new(),
            version: OPSET,
        }];
        if self.nodes.iter().any(|node| node.domain == OWN_DOMAIN) {
            opset_import.push(OperatorSetId {
                domain: OWN_DOMAIN.to_owned(),
                version: OWN_OPSET,
            });
        }
        let header = ModelHeader {
            ir_version: IR_VERSION,
            producer_name: "nephrite".to_owned(),
            opset_import,
        };
        let body = GraphHeader {
            node: self.nodes,
            name: "network".to_owned(),
            input: vec![float_value(Self::INPUT, &dims(graph.input))],
            output: vec![float_value(Self::OUTPUT, &dims(graph.output))],
        };
        let tensors: Vec<TensorLayout> = self.initializers.iter().map(TensorLayout::of).collect();
        let mut buffer = begin_model(&header, &body, tensors.iter().map(|tensor| tensor.len))?;
        for (initializer, layout) in self.initializers.into_iter().zip(tensors) {
            put_key(graph_field::INITIALIZER, layout.len, &mut buffer);
            buffer.extend_from_slice(&layout.header);
            put_key(tensor_field::RAW_DATA, layout.raw_len, &mut buffer);
            let values = match initializer.contents {
                Contents::Param(param) => read(param)?,
                Contents::F32(values) => values,
            };
            debug_assert_eq!(values.len() as u64 * 4, layout.raw_len);
            values
                .iter()
                .for_each(|v| buffer.extend_from_slice(&v.to_le_bytes()));
        }
        Ok(buffer)
    }
}

/// Everything of a tensor but its values.
struct TensorLayout {
    header: Vec<u8>,
    raw_len: u64,
    /// Of the whole message.
    len: u64,
}

impl TensorLayout {
    fn of(initializer: &Initializer) -> TensorLayout {
        let dims = initializer.dims.iter().map(|&n| n as i64).collect();
        let header = TensorProto {
            dims,
            data_type: FLOAT,
            name: initializer.name.clone(),
            ..Default::default()
        };
        let header = header.encode_to_vec();
        let n_values = initializer
            .dims
            .iter()
            .fold(1u64, |n, &dim| n.saturating_mul(dim as u64));
        let raw_len = n_values.saturating_mul(4);
        let len = (header.len() as u64).saturating_add(field_len(raw_len));
        TensorLayout { header, raw_len, len }
    }
}

/// Writes model and graph up to the first initialiser into a buffer that has room for all of them.
///
/// `tensor_lens` are the lengths of the messages that follow, each to be written after [`put_key`].
pub(crate) fn begin_model(
    header: &ModelHeader,
    body: &GraphHeader,
    tensor_lens: impl Iterator<Item = u64>,
) -> Result<Vec<u8>, NetworkError> {
    let body_len = body.encoded_len() as u64;
    let graph_len = tensor_lens.fold(body_len, |sum, len| sum.saturating_add(field_len(len)));
    let total = (header.encoded_len() as u64).saturating_add(field_len(graph_len));
    if total > MAX_ONNX_BYTES {
        return Err(NetworkError::TooLarge {
            what: "number of bytes of the ONNX model",
            found: total,
            limit: MAX_ONNX_BYTES,
        });
    }
    let mut buffer = Vec::with_capacity(usize::try_from(total).expect("below 2 GiB by the check above"));
    header.encode_raw(&mut buffer);
    put_key(model_field::GRAPH, graph_len, &mut buffer);
    body.encode_raw(&mut buffer);
    Ok(buffer)
}

/// Key and length of a length-delimited field with a number below 16.
pub(crate) fn put_key(field: u32, len: u64, buffer: &mut Vec<u8>) {
    debug_assert!(field < 16);
    buffer.push((field as u8) << 3 | 2);
    put_varint(len, buffer);
}

/// Bytes of key, length and contents of a field with a number below 16.
fn field_len(len: u64) -> u64 {
    let varint = u64::from(len.max(1).ilog2() / 7 + 1);
    len.saturating_add(1 + varint)
}

fn put_varint(mut value: u64, buffer: &mut Vec<u8>) {
    while value >= 0x80 {
        buffer.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

/// An attribute with one number.
pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f: Some(value),
        r#type: attribute_type::FLOAT,
        ..Default::default()
    }
}

/// An attribute with one integer.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: Some(value),
        r#type: attribute_type::INT,
        ..Default::default()
    }
}

/// An attribute with sizes.
pub(crate) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&n| n as i64).collect();
    AttributeProto {
        name: name.to_owned(),
        ints,
        r#type: attribute_type::INTS,
        ..Default::default()
    }
}
