//! What a checked graph will allocate when it runs, from the shapes of its values.
//!
//! A few bytes of `Expand`, `Tile` or `ConstantOfShape` can ask a runtime for any amount of memory, and constant folding
//! takes it while the graph is loaded. So the shape of every value is followed through the graph, exactly; shapes that are
//! computed from shapes and constants are computed here too. A graph in which the size of a value does not follow from
//! constants is refused: a network that runs on one patch size needs no such value.

use std::collections::HashMap;

use crate::NetworkError;
use crate::error::shorten;
use crate::onnx_proto::{NodeProto, TensorProto};
use crate::onnx_rules::{Outputs, infer};
use crate::onnx_tensor::Known;

/// What a graph holds while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GraphMemory {
    /// Initialisers, and everything that follows from them alone: computed once, when the graph is loaded, and kept.
    pub(crate) constant: u64,
    /// The most that is alive at once of what depends on the input.
    pub(crate) alive: u64,
}

/// Follows the shapes through the graph. Nodes are in the order of execution, and every value is written before it is read.
pub(crate) fn graph_memory(
    nodes: &[NodeProto],
    initializers: &[TensorProto],
    input: &str,
    input_dims: &[u64],
    output: &str,
    limit: u64,
) -> Result<GraphMemory, NetworkError> {
    let mut values: HashMap<&str, Value> = HashMap::new();
    for tensor in initializers {
        values.insert(&tensor.name, Value::constant(Known::of_tensor(tensor)));
    }
    let patch = Known::new(input_dims.to_vec(), 4);
    let mut memory = GraphMemory {
        constant: values
            .values()
            .fold(0, |sum, value| sum.saturating_add(value.known.n_bytes())),
        alive: patch.n_bytes(),
    };
    values.insert(
        input,
        Value {
            known: patch,
            is_constant: false,
        },
    );
    let last_use = last_uses(nodes, output);
    let mut alive = memory.alive;
    for (i, node) in nodes.iter().enumerate() {
        let inputs: Vec<Option<&Known>> = node
            .input
            .iter()
            .map(|name| values.get(name.as_str()).map(|value| &value.known))
            .collect();
        let is_constant = node
            .input
            .iter()
            .filter_map(|name| values.get(name.as_str()))
            .all(|value| value.is_constant);
        let Outputs {
            values: outputs,
            scratch,
        } = infer(node, &inputs).ok_or_else(|| unknown(node))?;
        let n_bytes = outputs
            .iter()
            .fold(0u64, |sum, known| sum.saturating_add(known.n_bytes()));
        let total = match is_constant {
            true => {
                memory.constant = memory.constant.saturating_add(n_bytes);
                memory.constant.saturating_add(scratch)
            }
            false => {
                alive = alive.saturating_add(n_bytes);
                memory.alive = memory.alive.max(alive.saturating_add(scratch));
                memory.alive
            }
        };
        if total.max(memory.constant.saturating_add(memory.alive)) > limit {
            return Err(NetworkError::TooLarge {
                what: "number of bytes that the ONNX model needs while it runs",
                found: total.max(memory.constant.saturating_add(memory.alive)),
                limit,
            });
        }
        for (name, known) in node.output.iter().zip(outputs) {
            if !name.is_empty() {
                values.insert(name, Value { known, is_constant });
            }
        }
        let read = node.input.iter().chain(&node.output).map(String::as_str);
        for name in read.filter(|name| last_use.get(name).is_none_or(|&last| last <= i)) {
            if let Some(value) = values.remove(name)
                && !value.is_constant
            {
                alive = alive.saturating_sub(value.known.n_bytes());
            }
        }
    }
    Ok(memory)
}

/// A value of the graph.
struct Value {
    known: Known,
    /// It does not depend on the input.
    is_constant: bool,
}

impl Value {
    fn constant(known: Known) -> Value {
        Value {
            known,
            is_constant: true,
        }
    }
}

/// The last node that reads each value; the output is read after all of them.
fn last_uses<'a>(nodes: &'a [NodeProto], output: &'a str) -> HashMap<&'a str, usize> {
    let mut last_use = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        for name in &node.input {
            last_use.insert(name.as_str(), i);
        }
    }
    last_use.insert(output, nodes.len());
    last_use
}

fn unknown(node: &NodeProto) -> NetworkError {
    NetworkError::OnnxShape {
        operator: shorten(&node.op_type),
        node: shorten(&node.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx_proto::AttributeProto;

    const LIMIT: u64 = 1 << 20;

    fn ints(name: &str, values: &[i64]) -> TensorProto {
        TensorProto {
            name: name.to_owned(),
            dims: vec![values.len() as i64],
            data_type: 7,
            int64_data: values.to_vec(),
            ..Default::default()
        }
    }

    fn floats(name: &str, dims: &[i64]) -> TensorProto {
        let n = dims.iter().product::<i64>() as usize;
        TensorProto {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data_type: 1,
            float_data: vec![2.0; n],
            ..Default::default()
        }
    }

    fn node(op_type: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> NodeProto {
        let attribute = attributes.iter().map(|(name, values)| AttributeProto {
            name: (*name).to_owned(),
            i: values.first().copied().filter(|_| values.len() == 1),
            ints: if values.len() == 1 && *name == "axis" {
                Vec::new()
            } else {
                values.to_vec()
            },
            ..Default::default()
        });
        NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: "n".to_owned(),
            op_type: op_type.to_owned(),
            attribute: attribute.collect(),
            ..Default::default()
        }
    }

    /// On an input of `[1, 1, 4, 4, 4]`.
    fn memory(nodes: &[NodeProto], initializers: &[TensorProto]) -> Result<GraphMemory, NetworkError> {
        graph_memory(nodes, initializers, "input", &[1, 1, 4, 4, 4], "out", LIMIT)
    }

    #[track_caller]
    fn too_large(nodes: &[NodeProto], initializers: &[TensorProto]) {
        match memory(nodes, initializers) {
            Err(NetworkError::TooLarge {
                found, limit: LIMIT, ..
            }) => assert!(found > LIMIT),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_operator_that_can_make_much_of_little_is_bounded() {
        let huge = [1 << 20, 1 << 20];
        too_large(
            &[node("ConstantOfShape", &["s"], "out", &[])],
            &[ints("s", &huge)],
        );
        too_large(
            &[node("Expand", &["input", "s"], "out", &[])],
            &[ints("s", &[1024, 64, 4, 4, 4])],
        );
        too_large(
            &[node("Tile", &["input", "s"], "out", &[])],
            &[ints("s", &[1, 1, 1000, 1000, 1])],
        );
        too_large(
            &[node("Pad", &["input", "s"], "out", &[])],
            &[ints("s", &[0, 0, 0, 0, 0, 0, 0, 1 << 40, 0, 0])],
        );
        too_large(
            &[node("Resize", &["input", "", "", "s"], "out", &[])],
            &[ints("s", &[1, 1, 4000, 4000, 4])],
        );
        let scales = TensorProto {
            float_data: vec![1.0, 1.0, 1e3, 1e3, 1.0],
            ..floats("s", &[5])
        };
        too_large(
            &[node("Resize", &["input", "", "s"], "out", &[])],
            std::slice::from_ref(&scales),
        );
        too_large(&[node("Upsample", &["input", "s"], "out", &[])], &[scales]);
        let bounds = ["a", "b", "c"].map(|name| TensorProto {
            dims: vec![],
            ..ints(name, &[1 << 30])
        });
        let from = TensorProto {
            dims: vec![],
            ..ints("z", &[0])
        };
        let one = TensorProto {
            dims: vec![],
            ..ints("o", &[1])
        };
        too_large(
            &[node("Range", &["z", "a", "o"], "out", &[])],
            &[bounds[0].clone(), from, one],
        );
        let (column, row) = (floats("c", &[1100, 1]), floats("r", &[1, 1100]));
        for op_type in ["Add", "Mul", "Where", "MatMul", "Gemm", "Equal"] {
            let inputs: &[&str] = if op_type == "Where" {
                &["c", "r", "r"]
            } else {
                &["c", "r"]
            };
            too_large(
                &[node(op_type, inputs, "out", &[])],
                &[column.clone(), row.clone()],
            );
        }
        let mut einsum = node("Einsum", &["c", "r"], "out", &[]);
        einsum.attribute.push(AttributeProto {
            name: "equation".to_owned(),
            s: Some("ab,cd->abcd".into()),
            ..Default::default()
        });
        too_large(&[einsum], &[column, row]);
        too_large(
            &[node(
                "ConvTranspose",
                &["input", "w"],
                "out",
                &[("strides", &[300, 300, 1])],
            )],
            &[floats("w", &[1, 1, 1, 1, 1])],
        );
        too_large(
            &[node(
                "Conv",
                &["input", "w"],
                "out",
                &[("pads", &[900, 900, 0, 900, 900, 0])],
            )],
            &[floats("w", &[1, 1, 1, 1, 1])],
        );
        too_large(
            &[node(
                "MaxPool",
                &["input"],
                "out",
                &[
                    ("kernel_shape", &[1, 1, 1]),
                    ("pads", &[900, 900, 0, 900, 900, 0]),
                ],
            )],
            &[],
        );
        let indices = TensorProto {
            dims: vec![1000],
            ..ints("i", &vec![0; 1000])
        };
        too_large(
            &[node("Gather", &["w", "i"], "out", &[("axis", &[0])])],
            &[floats("w", &[1, 1000]), indices],
        );
        too_large(
            &[node("Concat", &["w", "w", "w"], "out", &[("axis", &[0])])],
            &[floats("w", &[100_000])],
        );
    }

    #[test]
    fn doubling_over_many_nodes_is_seen() {
        let names: Vec<String> = (0..64).map(|i| format!("x{i}")).collect();
        let mut nodes = vec![node("Concat", &["input", "input"], "x0", &[("axis", &[1])])];
        for pair in names.windows(2) {
            nodes.push(node("Concat", &[&pair[0], &pair[0]], &pair[1], &[("axis", &[1])]));
        }
        too_large(&nodes, &[]);
    }

    #[test]
    fn shapes_that_are_computed_are_followed() {
        let nodes = [
            node("Shape", &["input"], "shape", &[]),
            node("Gather", &["shape", "two"], "z", &[("axis", &[0])]),
            node("Mul", &["z", "two"], "zz", &[]),
            node("Concat", &["one", "zz", "minus"], "s", &[("axis", &[0])]),
            node("Reshape", &["input", "s"], "x", &[]),
            node("Relu", &["x"], "out", &[]),
        ];
        let constants = [ints("two", &[2]), ints("one", &[1]), ints("minus", &[-1])];
        let memory = memory(&nodes, &constants).unwrap();
        assert!((2 * 256..3 * 256).contains(&memory.alive), "{memory:?}");
    }

    #[test]
    fn sizes_that_follow_from_values_of_the_image_are_refused() {
        let nodes = [
            node("Cast", &["input"], "s", &[]),
            node("ConstantOfShape", &["s"], "out", &[]),
        ];
        let error = memory(&nodes, &[]).unwrap_err();
        assert!(
            matches!(&error, NetworkError::OnnxShape { operator, .. } if operator == "ConstantOfShape"),
            "{error}"
        );
    }

    #[test]
    fn constants_are_kept_and_what_is_dead_is_given_back() {
        let nodes = [
            node("Add", &["w", "w"], "ww", &[]),
            node("Relu", &["input"], "a", &[]),
            node("Relu", &["a"], "b", &[]),
            node("Relu", &["b"], "out", &[]),
        ];
        let memory = memory(&nodes, &[floats("w", &[100])]).unwrap();
        assert_eq!(
            memory,
            GraphMemory {
                constant: 800,
                alive: 2 * 256
            }
        );
    }
}
