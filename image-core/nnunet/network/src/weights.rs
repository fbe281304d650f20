//! Whether a checkpoint has exactly the tensors of an architecture, and under which names.

use std::collections::HashSet;
use std::error::Error;

use crate::NetworkError;
use crate::architecture::{Architecture, Norm};
use nephrite_layers::{LayerGraph, Param};

/// Where weights come from: a checkpoint, or a fake in tests.
///
/// Names are those of the state dict with any leading `module.` and `_orig_mod.` removed. Canonical names are asked
/// for first, then their aliases; a source need not know which is which.
pub trait WeightSource {
    /// Dimensions of a tensor, or none if there is no tensor of that name. Reads no weights.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// All values of a tensor in C order, converted to f32; their number is the product of the shape.
    ///
    /// # Errors
    /// Whatever the source says; it is passed on with the tensor's name.
    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>>;

    /// Every tensor name, so that weights of another network with the same core can be refused. A source that cannot
    /// tell gives an empty list, and that check is left out.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Canonical name and shape of every tensor that inference needs, in the order of the layers.
///
/// Deep supervision heads and aliases are not among them. `batch_norm` asks for the tensors of a network that was
/// trained with batch norm although the plans say instance norm.
///
/// Shapes: convolutions `[out, in, kernel…]`, transposed convolutions `[in, out, kernel…]`, all else `[channels]`.
pub fn expected_tensors(architecture: &Architecture, batch_norm: bool) -> Vec<(String, Vec<usize>)> {
    let graph = if batch_norm {
        architecture.with_batch_norm().layers()
    } else {
        architecture.layers()
    };
    graph
        .params
        .into_iter()
        .map(|param| (param.name, param.shape))
        .collect()
}

/// True if the weights carry running statistics although the plans say instance norm, as `nnUNetTrainerBN` leaves them.
pub(crate) fn has_running_statistics(architecture: &Architecture, source: &dyn WeightSource) -> bool {
    if !matches!(architecture.norm, Norm::Instance { .. }) {
        return false;
    }
    let batch = architecture.with_batch_norm().layers();
    let mut statistics = batch
        .params
        .iter()
        .filter(|param| param.name.ends_with(".running_mean"));
    statistics.any(|param| find(param, source).is_some())
}

/// Verifies every tensor and gives the name under which the source has it, per parameter of the graph.
pub(crate) fn resolve(
    graph: &LayerGraph,
    architecture: &Architecture,
    source: &dyn WeightSource,
) -> Result<Vec<String>, NetworkError> {
    let found: Vec<_> = graph.params.iter().map(|param| find(param, source)).collect();
    let missing = || {
        graph
            .params
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
    };
    if let Some((param, _)) = missing().next() {
        return Err(NetworkError::MissingTensor {
            name: param.name.clone(),
            n_missing: missing().count(),
            n_expected: graph.params.len(),
        });
    }
    let mut names = Vec::with_capacity(found.len());
    for (param, (name, shape)) in graph.params.iter().zip(found.into_iter().flatten()) {
        if shape != param.shape {
            return Err(NetworkError::TensorShape {
                name,
                expected: param.shape.clone(),
                found: shape,
            });
        }
        names.push(name);
    }
    refuse_unexpected(graph, architecture, source)?;
    Ok(names)
}

/// Reads one verified tensor.
pub(crate) fn read(
    source: &mut dyn WeightSource,
    name: &str,
    param: &Param,
) -> Result<Vec<f32>, NetworkError> {
    let values = source.read_f32(name).map_err(|source| NetworkError::ReadTensor {
        name: name.to_owned(),
        source,
    })?;
    if values.len() as u64 != param.n_values() {
        let found = vec![values.len()];
        return Err(NetworkError::TensorShape {
            name: name.to_owned(),
            expected: param.shape.clone(),
            found,
        });
    }
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        return Err(NetworkError::NotFinite {
            name: name.to_owned(),
            index,
        });
    }
    Ok(values)
}

fn find(param: &Param, source: &dyn WeightSource) -> Option<(String, Vec<usize>)> {
    aliases(&param.name)
        .into_iter()
        .find_map(|name| source.shape(&name).map(|shape| (name, shape)))
}

/// All names of one tensor in a state dict, the canonical one first.
///
/// A conv block registers its modules twice (`conv`, `norm` and `all_modules.N`), the decoder registers the encoder again.
/// The norm is module 1, 2 or 3: a dropout and, with `nonlin_first`, the activation may stand before it.
fn aliases(canonical: &str) -> Vec<String> {
    let mut names = vec![canonical.to_owned()];
    if let Some((module, parameter)) = canonical.rsplit_once('.') {
        if let Some(block) = module.strip_suffix(".conv") {
            names.push(format!("{block}.all_modules.0.{parameter}"));
        } else if let Some(block) = module.strip_suffix(".norm") {
            names.extend((1..=3).map(|n| format!("{block}.all_modules.{n}.{parameter}")));
        }
    }
    if canonical.starts_with("encoder.") {
        names.extend(names.clone().iter().map(|name| format!("decoder.{name}")));
    }
    names
}

fn refuse_unexpected(
    graph: &LayerGraph,
    architecture: &Architecture,
    source: &dyn WeightSource,
) -> Result<(), NetworkError> {
    let known: HashSet<String> = graph
        .params
        .iter()
        .flat_map(|param| aliases(&param.name))
        .collect();
    let n_heads = architecture.stages.len() - 1;
    let is_known = |name: &str| {
        known.contains(name)
            || name.ends_with(".num_batches_tracked")
            || (name.strip_prefix("decoder.seg_layers."))
                .and_then(|rest| rest.strip_suffix(".weight").or(rest.strip_suffix(".bias")))
                .and_then(|index| index.parse::<usize>().ok())
                .is_some_and(|index| index < n_heads)
    };
    let names = source.names();
    let mut unexpected = names.iter().filter(|name| !is_known(name));
    match unexpected.next() {
        None => Ok(()),
        Some(first) => Err(NetworkError::UnexpectedTensor {
            name: crate::error::shorten(first),
            n_unexpected: 1 + unexpected.count(),
            class: architecture.kind.name(),
        }),
    }
}
