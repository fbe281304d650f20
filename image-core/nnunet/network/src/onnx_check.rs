//! Checks an exported `network.onnx` before any runtime sees it.

use std::collections::HashSet;

use prost::Message;
use prost::bytes::Bytes;

use crate::build_onnx::OnnxNetwork;
use crate::error::shorten;
use crate::onnx_memory::graph_memory;
use crate::onnx_operators::ALLOWED_OPERATORS;
use crate::onnx_proto::{
    AttributeProto, FLOAT, GraphHeader, ModelHeader, NodeProto, OperatorSetId, TensorProto, ValueInfoProto,
    float_value, graph_field, model_field, node_field, tensor_field,
};
use crate::onnx_wire::{Field, fields, malformed};
use crate::onnx_writer::{MAX_ONNX_BYTES, begin_model, put_key};
use crate::session_memory::SESSION_BYTES;
use crate::{NetworkError, NetworkMemory};

/// Most nodes and most initialisers.
const MAX_ITEMS: u64 = 20_000;
/// Most attributes of one node.
const MAX_ATTRIBUTES: u64 = 64;
/// Most inputs and outputs of one node.
const MAX_EDGES: u64 = 1024;
/// Most bytes of everything but the values of initialisers.
const MAX_METADATA_BYTES: u64 = 16 << 20;
/// Dimensions of one tensor.
const MAX_RANK: usize = 16;
/// Versions of the file format and of the standard operators that are known to keep their meaning.
const IR_VERSIONS: std::ops::RangeInclusive<u64> = 3..=13;
const OPSETS: std::ops::RangeInclusive<i64> = 7..=25;

/// What plans and dataset say about a network.
#[derive(Debug, Clone, Copy)]
pub struct OnnxExpectation<'a> {
    /// Input channels.
    pub n_channels: usize,
    /// Segmentation heads.
    pub n_classes: usize,
    /// Patch size, slowest axis first.
    pub patch: &'a [usize],
    /// Most bytes of the file; 2 GiB at most in any case.
    pub max_bytes: u64,
    /// Most bytes of weights and values that may be alive at once when it runs.
    pub max_memory_bytes: u64,
}

/// Checks a model that comes from outside and writes it anew with only what was checked.
///
/// The model must have one f32 input `[1 or symbolic, channels, patch…]`, one f32 output `[1 or symbolic, classes,
/// patch…]` and nothing but known operators of the standard domain. External data, subgraphs, functions, training
/// information, sparse tensors and strings are refused; documentation and metadata are dropped; the batch is fixed to 1.
///
/// Time and memory are bounded by the length of `bytes`. What the operators will allocate when the model is loaded and run is
/// counted from the shapes of all values; a model in which the size of a value does not follow from constants is refused.
///
/// # Errors
/// [`NetworkError::TooLarge`] over a limit; [`NetworkError::OnnxMalformed`], [`NetworkError::OnnxExternalData`],
/// [`NetworkError::OnnxOperator`], [`NetworkError::OnnxFeature`], [`NetworkError::OnnxTensor`],
/// [`NetworkError::OnnxInterface`], [`NetworkError::OnnxShape`] name what is wrong.
///
/// Source: `onnx/onnx.proto` and the operator list of onnx 1.19.
pub fn check_onnx(bytes: Vec<u8>, expected: &OnnxExpectation<'_>) -> Result<OnnxNetwork, NetworkError> {
    at_most(
        "number of bytes of the ONNX model",
        bytes.len() as u64,
        expected.max_bytes.min(MAX_ONNX_BYTES),
    )?;
    let parts = split(Bytes::from(bytes))?;
    check_opsets(&parts.opset_import)?;
    let initializers = check_initializers(&parts.initializers)?;
    let names: HashSet<&str> = initializers.iter().map(|tensor| tensor.name.as_str()).collect();

    let inputs: Vec<_> = parts
        .body
        .input
        .iter()
        .filter(|input| !names.contains(input.name.as_str()))
        .collect();
    let input_name = check_interface("input", &inputs, expected.n_channels, expected.patch)?;
    let outputs: Vec<_> = parts.body.output.iter().collect();
    let output_name = check_interface("output", &outputs, expected.n_classes, expected.patch)?;
    check_nodes(&parts.body.node, &input_name, &output_name, names)?;

    let weights = initializers.iter().filter(|tensor| is_float(tensor.data_type));
    let n_parameters = weights.map(|tensor| n_values(tensor).unwrap_or(0)).sum();
    let input_dims = [1, expected.n_channels]
        .into_iter()
        .chain(expected.patch.iter().copied());
    let input_dims: Vec<u64> = input_dims.map(|n| n as u64).collect();
    let (nodes, limit) = (&parts.body.node, expected.max_memory_bytes);
    let memory = graph_memory(
        nodes,
        &initializers,
        &input_name,
        &input_dims,
        &output_name,
        limit,
    )?;
    let memory = NetworkMemory {
        weights: memory.constant,
        activations: memory.alive,
        working: SESSION_BYTES,
    };
    let bytes = write(parts, initializers, &input_name, &output_name, expected)?;
    Ok(OnnxNetwork {
        bytes,
        n_parameters,
        input_name,
        output_name,
        n_channels: expected.n_channels,
        n_classes: expected.n_classes,
        patch: expected.patch.to_vec(),
        memory,
    })
}

/// A model taken apart; initialisers are still undecoded slices of the file.
struct Parts {
    ir_version: u64,
    opset_import: Vec<OperatorSetId>,
    body: GraphHeader,
    initializers: Vec<Bytes>,
}

/// Counts everything before it decodes anything.
fn split(model: Bytes) -> Result<Parts, NetworkError> {
    let mut budget = Budget::default();
    let (mut ir_version, mut graph, mut opset_import) = (0, None, Vec::new());
    for field in fields(model) {
        let field = field?;
        match field.number {
            model_field::IR_VERSION => ir_version = field.varint.unwrap_or(0),
            model_field::OPSET_IMPORT => {
                budget.item("number of opset imports", field.len)?;
                opset_import.push(decode::<OperatorSetId>(&field)?);
            }
            model_field::GRAPH if graph.is_some() => return Err(malformed("it has two graphs")),
            model_field::GRAPH => graph = Some(field.contents),
            model_field::TRAINING_INFO => return Err(feature("training information")),
            model_field::FUNCTIONS => return Err(feature("functions")),
            _ => {} // documentation and metadata, dropped
        }
    }
    if !IR_VERSIONS.contains(&ir_version) {
        return Err(malformed(&format!(
            "format version {ir_version} is not from 3 to 13"
        )));
    }
    let graph = graph.ok_or_else(|| malformed("it has no graph"))?;
    let mut body = GraphHeader {
        name: "network".to_owned(),
        ..Default::default()
    };
    let mut initializers = Vec::new();
    for field in fields(graph) {
        let field = field?;
        match field.number {
            graph_field::NODE => {
                budget.item("number of nodes of the ONNX model", field.len)?;
                count_node_fields(&field.contents)?;
                body.node.push(decode(&field)?);
            }
            graph_field::INITIALIZER => {
                budget.item("number of initialisers of the ONNX model", metadata_len(&field)?)?;
                initializers.push(field.contents);
            }
            graph_field::INPUT => {
                budget.item("number of inputs of the ONNX model", field.len)?;
                body.input.push(decode(&field)?);
            }
            graph_field::OUTPUT => {
                budget.item("number of outputs of the ONNX model", field.len)?;
                body.output.push(decode(&field)?);
            }
            graph_field::SPARSE_INITIALIZER => return Err(feature("sparse initialisers")),
            graph_field::QUANTIZATION_ANNOTATION => return Err(feature("quantisation annotations")),
            _ => {} // names, documentation and shapes of inner values, dropped
        }
    }
    Ok(Parts {
        ir_version,
        opset_import,
        body,
        initializers,
    })
}

/// Counts what would take far more memory decoded than encoded.
#[derive(Default)]
struct Budget {
    items: std::collections::HashMap<&'static str, u64>,
    bytes: u64,
}

impl Budget {
    fn item(&mut self, what: &'static str, len: usize) -> Result<(), NetworkError> {
        let items = self.items.entry(what).or_default();
        *items += 1;
        at_most(what, *items, MAX_ITEMS)?;
        self.bytes = self.bytes.saturating_add(len as u64);
        at_most(
            "number of bytes of the ONNX model beside its weights",
            self.bytes,
            MAX_METADATA_BYTES,
        )
    }
}

/// Bytes of an initialiser without the values that are as large in memory as in the file.
fn metadata_len(tensor: &Field) -> Result<usize, NetworkError> {
    let mut len = 0;
    for field in fields(tensor.contents.clone()) {
        let field = field?;
        let is_bulk = matches!(
            field.number,
            tensor_field::RAW_DATA | tensor_field::FLOAT_DATA | tensor_field::DOUBLE_DATA
        );
        len += if is_bulk { 0 } else { field.len };
    }
    Ok(len)
}

fn count_node_fields(node: &Bytes) -> Result<(), NetworkError> {
    let (mut edges, mut attributes) = (0, 0);
    for field in fields(node.clone()) {
        match field?.number {
            node_field::INPUT | node_field::OUTPUT => edges += 1,
            node_field::ATTRIBUTE => attributes += 1,
            _ => {}
        }
    }
    at_most("number of inputs and outputs of an ONNX node", edges, MAX_EDGES)?;
    at_most("number of attributes of an ONNX node", attributes, MAX_ATTRIBUTES)
}

/// Other domains may be imported, as exporters do, but no node may use them and they are not written again.
fn check_opsets(imports: &[OperatorSetId]) -> Result<(), NetworkError> {
    let mut standard = imports.iter().filter(|import| is_standard(&import.domain));
    match (standard.next(), standard.next()) {
        (Some(import), None) if OPSETS.contains(&import.version) => Ok(()),
        (Some(import), None) => Err(malformed(&format!(
            "opset {} is not from 7 to 25",
            import.version
        ))),
        (None, _) => Err(malformed("it imports no standard operators")),
        (Some(_), Some(_)) => Err(malformed("it imports the standard operators twice")),
    }
}

fn check_initializers(encoded: &[Bytes]) -> Result<Vec<TensorProto>, NetworkError> {
    let mut names = HashSet::new();
    let mut tensors = Vec::with_capacity(encoded.len());
    for bytes in encoded {
        let tensor = TensorProto::decode(bytes.clone()).map_err(|error| malformed(&error.to_string()))?;
        check_tensor(&tensor)?;
        if tensor.name.is_empty() || !names.insert(tensor.name.clone()) {
            return Err(tensor_error(&tensor, "its name is empty or taken"));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn check_tensor(tensor: &TensorProto) -> Result<(), NetworkError> {
    if tensor.data_location != 0 || !tensor.external_data.is_empty() {
        return Err(NetworkError::OnnxExternalData {
            name: shorten(&tensor.name),
        });
    }
    if tensor.segment.is_some() || !tensor.string_data.is_empty() {
        return Err(tensor_error(tensor, "segments and strings are not supported"));
    }
    if tensor.dims.len() > MAX_RANK {
        return Err(tensor_error(
            tensor,
            &format!("it has {} dimensions", tensor.dims.len()),
        ));
    }
    let n =
        n_values(tensor).ok_or_else(|| tensor_error(tensor, "its dimensions are negative or too large"))?;
    let (n_bytes, n_typed) = storage(tensor).ok_or_else(|| {
        tensor_error(
            tensor,
            &format!("data type {} is not supported", tensor.data_type),
        )
    })?;
    let n_all_typed = tensor.float_data.len()
        + tensor.int32_data.len()
        + tensor.int64_data.len()
        + tensor.double_data.len()
        + tensor.uint64_data.len();
    if n_all_typed != n_typed || (tensor.raw_data.is_some() && n_typed > 0) {
        return Err(tensor_error(tensor, "it has values in more than one form"));
    }
    let (what, expected, found) = match &tensor.raw_data {
        Some(raw) => ("bytes", n.saturating_mul(n_bytes), raw.len() as u64),
        None => ("values", n, n_typed as u64),
    };
    if expected != found {
        return Err(tensor_error(
            tensor,
            &format!("it has {found} {what}, its dimensions say {expected}"),
        ));
    }
    Ok(())
}

/// Bytes per value in `raw_data`, and the number of values in the list that belongs to the type.
fn storage(tensor: &TensorProto) -> Option<(u64, usize)> {
    match tensor.data_type {
        FLOAT => Some((4, tensor.float_data.len())),
        2 | 3 | 9 => Some((1, tensor.int32_data.len())), // uint8, int8, bool
        4 | 5 | 10 | 16 => Some((2, tensor.int32_data.len())), // uint16, int16, float16, bfloat16
        6 => Some((4, tensor.int32_data.len())),
        7 => Some((8, tensor.int64_data.len())),
        11 => Some((8, tensor.double_data.len())),
        12 => Some((4, tensor.uint64_data.len())),
        13 => Some((8, tensor.uint64_data.len())),
        _ => None,
    }
}

fn is_float(data_type: i32) -> bool {
    matches!(data_type, FLOAT | 10 | 11 | 16)
}

fn n_values(tensor: &TensorProto) -> Option<u64> {
    let dims = tensor.dims.iter().map(|&dim| u64::try_from(dim).ok());
    dims.into_iter()
        .try_fold(1u64, |n, dim| n.checked_mul(dim?))
        .filter(|&n| n <= MAX_ONNX_BYTES)
}

/// Gives the name of the only input or output.
fn check_interface(
    what: &'static str,
    values: &[&ValueInfoProto],
    n_channels: usize,
    patch: &[usize],
) -> Result<String, NetworkError> {
    let wrong = |expected: String, found: String| NetworkError::OnnxInterface {
        what,
        expected,
        found,
    };
    let [value] = values else {
        return Err(wrong(format!("one {what}"), format!("{} of them", values.len())));
    };
    let expected = [&[n_channels], patch].concat();
    let expected_text = || {
        format!(
            "f32 [1 or symbolic, {}]",
            join(expected.iter().map(usize::to_string))
        )
    };
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let Some((tensor, shape)) = tensor.and_then(|tensor| Some((tensor, tensor.shape.as_ref()?))) else {
        return Err(wrong(expected_text(), "not a tensor with a shape".to_owned()));
    };
    let dims = &shape.dim;
    let fits = dims.len() == expected.len() + 1
        && matches!(dims[0].dim_value, None | Some(1))
        && dims[1..]
            .iter()
            .zip(&expected)
            .all(|(dim, &n)| dim.dim_value.and_then(|value| usize::try_from(value).ok()) == Some(n));
    if tensor.elem_type != FLOAT || !fits || value.name.is_empty() {
        let shown = dims
            .iter()
            .take(MAX_RANK)
            .map(|dim| match (dim.dim_value, &dim.dim_param) {
                (Some(value), _) => value.to_string(),
                (None, Some(name)) => shorten(name),
                (None, None) => "?".to_owned(),
            });
        return Err(wrong(
            expected_text(),
            format!("data type {} [{}]", tensor.elem_type, join(shown)),
        ));
    }
    Ok(value.name.clone())
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// Operators, attributes, and that every value is written once and before it is read.
fn check_nodes<'a>(
    nodes: &'a [NodeProto],
    input: &'a str,
    output: &str,
    initializers: HashSet<&'a str>,
) -> Result<(), NetworkError> {
    let mut written = initializers;
    written.insert(input);
    for node in nodes {
        if !is_standard(&node.domain) || !ALLOWED_OPERATORS.contains(&node.op_type.as_str()) {
            let domain = if is_standard(&node.domain) {
                "ai.onnx"
            } else {
                &node.domain
            };
            let operator = shorten(&format!("{domain}.{}", node.op_type));
            return Err(NetworkError::OnnxOperator {
                operator,
                node: shorten(&node.name),
            });
        }
        // With a third input a dropout may be switched on, and draw random numbers.
        if node.op_type == "Dropout" && node.input.len() > 2 {
            return Err(feature("a dropout in training mode"));
        }
        if !node.overload.is_empty() {
            return Err(feature("functions"));
        }
        for attribute in &node.attribute {
            check_attribute(attribute)?;
        }
        if let Some(missing) = node
            .input
            .iter()
            .find(|name| !name.is_empty() && !written.contains(name.as_str()))
        {
            let (name, missing) = (shorten(&node.name), shorten(missing));
            return Err(malformed(&format!(
                "node {name} reads {missing}, which nothing before it writes"
            )));
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !written.insert(name) {
                return Err(malformed(&format!("{} is written twice", shorten(name))));
            }
        }
    }
    if nodes
        .iter()
        .any(|node| node.output.iter().any(|name| name == output))
    {
        Ok(())
    } else {
        Err(malformed(&format!(
            "no node writes the output {}",
            shorten(output)
        )))
    }
}

fn check_attribute(attribute: &AttributeProto) -> Result<(), NetworkError> {
    if attribute.g.is_some() || !attribute.graphs.is_empty() {
        return Err(feature("a subgraph"));
    }
    if attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
        return Err(feature("a sparse tensor"));
    }
    if !attribute.ref_attr_name.is_empty() {
        return Err(feature("a reference to an attribute of a function"));
    }
    if attribute.tp.is_some() || !attribute.type_protos.is_empty() || !attribute.tensors.is_empty() {
        return Err(feature("an attribute of types or of several tensors"));
    }
    attribute.t.as_ref().map_or(Ok(()), check_tensor)
}

/// Writes the model from its checked parts, batch fixed to 1.
fn write(
    parts: Parts,
    initializers: Vec<TensorProto>,
    input: &str,
    output: &str,
    expected: &OnnxExpectation<'_>,
) -> Result<Vec<u8>, NetworkError> {
    let header = ModelHeader {
        ir_version: i64::try_from(parts.ir_version).expect("at most 13 by the check in split"),
        producer_name: "nephrite".to_owned(),
        opset_import: parts
            .opset_import
            .into_iter()
            .filter(|import| is_standard(&import.domain))
            .collect(),
    };
    let interface =
        |name: &str, channels: usize| float_value(name, &[&[1, channels], expected.patch].concat());
    let body = GraphHeader {
        input: vec![interface(input, expected.n_channels)],
        output: vec![interface(output, expected.n_classes)],
        ..parts.body
    };
    let lens = initializers.iter().map(|tensor| tensor.encoded_len() as u64);
    let mut buffer = begin_model(&header, &body, lens)?;
    for tensor in initializers {
        put_key(graph_field::INITIALIZER, tensor.encoded_len() as u64, &mut buffer);
        tensor.encode_raw(&mut buffer);
    }
    Ok(buffer)
}

fn decode<M: Message + Default>(field: &Field) -> Result<M, NetworkError> {
    M::decode(field.contents.clone()).map_err(|error| malformed(&error.to_string()))
}

fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), NetworkError> {
    if found <= limit {
        Ok(())
    } else {
        Err(NetworkError::TooLarge { what, found, limit })
    }
}

fn feature(feature: &str) -> NetworkError {
    NetworkError::OnnxFeature {
        feature: feature.to_owned(),
    }
}

fn tensor_error(tensor: &TensorProto, reason: &str) -> NetworkError {
    NetworkError::OnnxTensor {
        name: shorten(&tensor.name),
        reason: reason.to_owned(),
    }
}
