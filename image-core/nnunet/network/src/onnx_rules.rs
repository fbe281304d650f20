//! The shape that each allowed operator gives, and what it needs besides.
//!
//! Source: the operator specification of onnx 1.19, opsets 7 to 25. Attributes that became inputs are looked for in both.

use crate::onnx_proto::{AttributeProto, NodeProto};
use crate::onnx_tensor::{Known, MAX_ELEMENTS, element_bytes};

/// What a node writes.
pub(crate) struct Outputs {
    /// In order; further outputs are left out if they are no larger than those here.
    pub(crate) values: Vec<Known>,
    /// Bytes that the operator needs while it runs.
    pub(crate) scratch: u64,
}

impl From<Known> for Outputs {
    fn from(known: Known) -> Outputs {
        Outputs {
            values: vec![known],
            scratch: 0,
        }
    }
}

/// Longest list of dimensions of one value.
const MAX_RANK: usize = 32;

/// What a node gives for inputs of these shapes; `None` if that does not follow from them.
pub(crate) fn infer(node: &NodeProto, inputs: &[Option<&Known>]) -> Option<Outputs> {
    let op = Op { node, inputs };
    let outputs: Outputs = match node.op_type.as_str() {
        "Constant" => op.constant()?.into(),
        "ConstantOfShape" => op.constant_of_shape()?.into(),
        "Shape" => op.shape()?.into(),
        "Size" => Known::new(vec![], 8)
            .with_elements(vec![op.input(0)?.len() as f64])
            .into(),
        "Range" => op.range()?.into(),
        "Expand" => {
            let target = Known::new(op.dims_in(1)?, op.input(0)?.element_bytes);
            broadcast(&[op.input(0)?, &target], target.element_bytes)?.into()
        }
        "Tile" => op.tile()?.into(),
        "Pad" => op.pad()?.into(),
        "Resize" | "Upsample" => op.resize()?.into(),
        "Reshape" => op.reshape()?.into(),
        "Flatten" => op.flatten()?.into(),
        "Squeeze" => op.squeeze()?.into(),
        "Unsqueeze" => op.unsqueeze()?.into(),
        "Transpose" => op.transpose()?.into(),
        "Concat" => op.concat()?.into(),
        "Slice" => op.slice()?.into(),
        "Split" => op.split()?,
        "Gather" => op.gather()?.into(),
        "GatherElements" => op.like(1)?.into(),
        "GatherND" => op.gather_nd()?.into(),
        "DepthToSpace" | "SpaceToDepth" => op.rearranged()?.into(),
        "MatMul" => matmul(op.input(0)?, op.input(1)?)?.into(),
        "Gemm" => op.gemm()?.into(),
        "Einsum" => op.einsum()?.into(),
        "Conv" => op.conv()?.into(),
        "ConvTranspose" => op.conv_transpose()?,
        "MaxPool" | "AveragePool" => op.pool()?,
        "GlobalAveragePool" | "GlobalMaxPool" => op.global_pool()?.into(),
        "Attention" => op.attention()?,
        "ArgMax" | "ArgMin" => op.reduce(8)?.into(),
        name if name.starts_with("Reduce") => op.reduce(op.input(0)?.element_bytes)?.into(),
        "Cast" => op.cast()?.into(),
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" => {
            op.elementwise(1)?.into()
        }
        "Where" => op.elementwise(op.input(1)?.element_bytes)?.into(),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Max" | "Min" | "Mean" | "Sum" | "PRelu" => {
            op.elementwise(op.input(0)?.element_bytes)?.into()
        }
        // All others give what their first input is, and statistics or masks that are no larger.
        _ => {
            let first = op.input(0)?.clone();
            let n_outputs = node.output.len().max(1);
            let known = op.computed(first.clone()).unwrap_or(Known {
                elements: None,
                ..first
            });
            Outputs {
                values: vec![known; n_outputs],
                scratch: 0,
            }
        }
    };
    (outputs.values.iter().all(|known| known.dims.len() <= MAX_RANK)).then_some(outputs)
}

struct Op<'a> {
    node: &'a NodeProto,
    inputs: &'a [Option<&'a Known>],
}

impl<'a> Op<'a> {
    fn input(&self, i: usize) -> Option<&'a Known> {
        self.inputs.get(i).copied().flatten()
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node
            .attribute
            .iter()
            .find(|attribute| attribute.name == name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name)
            .and_then(|attribute| attribute.i)
            .unwrap_or(default)
    }

    fn list(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let text = self.attribute(name)?.s.as_ref()?;
        std::str::from_utf8(text).ok()
    }

    /// Numbers in an attribute or, in newer opsets, in a constant input. `Some(None)` if neither is there.
    fn ints_of(&self, name: &str, input: usize) -> Option<Option<Vec<i64>>> {
        if let Some(list) = self.list(name) {
            return Some(Some(list));
        }
        match self.node.input.get(input).filter(|name| !name.is_empty()) {
            Some(_) => self.input(input)?.ints().map(Some),
            None => Some(None),
        }
    }

    /// A shape in a constant input.
    fn dims_in(&self, input: usize) -> Option<Vec<u64>> {
        to_dims(self.input(input)?.ints()?)
    }

    fn like(&self, i: usize) -> Option<Known> {
        Some(Known::new(
            self.input(i)?.dims.clone(),
            self.input(0)?.element_bytes,
        ))
    }

    fn axis(&self, value: i64, rank: usize) -> Option<usize> {
        let rank = i64::try_from(rank).ok()?;
        let axis = if value < 0 {
            value.checked_add(rank)?
        } else {
            value
        };
        usize::try_from(axis).ok().filter(|_| axis < rank)
    }

    /// The elements of a value that is computed from few constants.
    fn computed(&self, known: Known) -> Option<Known> {
        let x = self.input(0)?.elements.clone()?;
        let each = |f: fn(f64) -> f64| x.iter().map(|&v| f(v)).collect::<Vec<f64>>();
        let elements = match self.node.op_type.as_str() {
            "Identity" | "Dropout" | "CastLike" => x,
            "Neg" => each(|v| -v),
            "Abs" => each(f64::abs),
            "Floor" => each(f64::floor),
            "Ceil" => each(f64::ceil),
            "Sqrt" => each(f64::sqrt),
            "Not" => each(|v| f64::from(u8::from(v == 0.0))),
            _ => return None,
        };
        Some(known.with_elements(elements))
    }

    fn constant(&self) -> Option<Known> {
        if let Some(tensor) = self.attribute("value").and_then(|attribute| attribute.t.as_ref()) {
            return Some(Known::of_tensor(tensor));
        }
        let whole = |values: &[i64], dims| {
            Known::new(dims, 8).with_elements(values.iter().map(|&v| v as f64).collect())
        };
        let real = |values: &[f32], dims| {
            Known::new(dims, 4).with_elements(values.iter().map(|&v| v.into()).collect())
        };
        if let Some(attribute) = self.attribute("value_int") {
            return Some(whole(&[attribute.i?], vec![]));
        }
        if let Some(attribute) = self.attribute("value_ints") {
            return Some(whole(&attribute.ints, vec![attribute.ints.len() as u64]));
        }
        if let Some(attribute) = self.attribute("value_float") {
            return Some(real(&[attribute.f?], vec![]));
        }
        let attribute = self.attribute("value_floats")?;
        Some(real(&attribute.floats, vec![attribute.floats.len() as u64]))
    }

    fn constant_of_shape(&self) -> Option<Known> {
        let dims = self.dims_in(0)?;
        let tensor = self.attribute("value").and_then(|attribute| attribute.t.as_ref());
        let value = tensor.map_or(Some(Known::new(vec![1], 4).with_elements(vec![0.0])), |t| {
            Some(Known::of_tensor(t))
        })?;
        let known = Known::new(dims, value.element_bytes);
        match (value.elements.as_deref(), known.len()) {
            (Some(&[element]), n @ 0..=MAX_ELEMENTS) => Some(known.with_elements(vec![element; n as usize])),
            _ => Some(known),
        }
    }

    fn shape(&self) -> Option<Known> {
        let dims = &self.input(0)?.dims;
        let rank = dims.len() as i64;
        let clamp = |value: i64| {
            (if value < 0 {
                value.saturating_add(rank)
            } else {
                value
            })
            .clamp(0, rank) as usize
        };
        let (start, end) = (clamp(self.int("start", 0)), clamp(self.int("end", rank)));
        let part: Vec<f64> = dims
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|&n| n as f64)
            .collect();
        Some(Known::new(vec![part.len() as u64], 8).with_elements(part))
    }

    fn range(&self) -> Option<Known> {
        let scalar = |i: usize| self.input(i)?.elements.as_deref()?.first().copied();
        let (start, limit, delta) = (scalar(0)?, scalar(1)?, scalar(2)?);
        let n = ((limit - start) / delta).ceil().max(0.0);
        if !n.is_finite() {
            return None;
        }
        let known = Known::new(vec![n as u64], self.input(0)?.element_bytes);
        match n as u64 {
            n if n <= MAX_ELEMENTS => {
                Some(known.with_elements((0..n).map(|i| start + i as f64 * delta).collect()))
            }
            _ => Some(known),
        }
    }

    fn tile(&self) -> Option<Known> {
        let (x, repeats) = (self.input(0)?, self.dims_in(1)?);
        (repeats.len() == x.dims.len()).then_some(())?;
        let dims = x
            .dims
            .iter()
            .zip(&repeats)
            .map(|(&n, &times)| n.saturating_mul(times));
        Some(Known::new(dims.collect(), x.element_bytes))
    }

    fn pad(&self) -> Option<Known> {
        let x = self.input(0)?;
        let pads = self.ints_of("pads", 1)??;
        let axes = match self.ints_of("axes", 3)? {
            Some(axes) => axes
                .iter()
                .map(|&axis| self.axis(axis, x.dims.len()))
                .collect::<Option<Vec<_>>>()?,
            None => (0..x.dims.len()).collect(),
        };
        (pads.len() == 2 * axes.len()).then_some(())?;
        let mut dims = x.dims.clone();
        for (i, &axis) in axes.iter().enumerate() {
            let more = i128::from(pads[i]) + i128::from(pads[i + axes.len()]);
            dims[axis] = u64::try_from((i128::from(dims[axis]) + more).max(0)).ok()?;
        }
        Some(Known::new(dims, x.element_bytes))
    }

    fn resize(&self) -> Option<Known> {
        let x = self.input(0)?;
        let given = |i: usize| self.input(i).filter(|known| known.len() > 0);
        let axes = match self.list("axes") {
            Some(axes) => axes
                .iter()
                .map(|&axis| self.axis(axis, x.dims.len()))
                .collect::<Option<Vec<_>>>()?,
            None => (0..x.dims.len()).collect(),
        };
        let mut dims = x.dims.clone();
        if let Some(sizes) = given(3) {
            let sizes = to_dims(sizes.ints()?)?;
            (sizes.len() == axes.len()).then_some(())?;
            // Keeping the aspect ratio only makes an axis shorter, or longer by as much as the longest.
            let keeps = self
                .text("keep_aspect_ratio_policy")
                .is_some_and(|policy| policy != "stretch");
            (!keeps).then_some(())?;
            axes.iter().zip(sizes).for_each(|(&axis, size)| dims[axis] = size);
            return Some(Known::new(dims, x.element_bytes));
        }
        let scales: Vec<f64> = match self.attribute("scales") {
            Some(attribute) => attribute.floats.iter().map(|&v| v.into()).collect(),
            None => {
                let input = if self.node.input.len() == 2 { 1 } else { 2 };
                given(input)?.elements.clone()?
            }
        };
        (scales.len() == axes.len() && scales.iter().all(|v| v.is_finite() && *v >= 0.0)).then_some(())?;
        for (&axis, scale) in axes.iter().zip(scales) {
            dims[axis] = (dims[axis] as f64 * scale).floor() as u64; // saturates
        }
        Some(Known::new(dims, x.element_bytes))
    }

    fn reshape(&self) -> Option<Known> {
        let x = self.input(0)?;
        let wanted = self.ints_of("shape", 1)??;
        let keeps_zero = self.int("allowzero", 0) != 0;
        let mut dims = Vec::with_capacity(wanted.len());
        let mut open = None;
        for (i, &dim) in wanted.iter().enumerate() {
            dims.push(match dim {
                -1 if open.is_none() => {
                    open = Some(i);
                    1
                }
                0 if !keeps_zero => *x.dims.get(i)?,
                dim => u64::try_from(dim).ok()?,
            });
        }
        let known = dims.iter().try_fold(1u64, |n, &dim| n.checked_mul(dim))?;
        if let Some(i) = open {
            (known > 0 && x.len().is_multiple_of(known)).then_some(())?;
            dims[i] = x.len() / known;
        }
        let reshaped = Known::new(dims, x.element_bytes);
        (reshaped.len() == x.len()).then_some(())?;
        Some(Known {
            elements: x.elements.clone(),
            ..reshaped
        })
    }

    fn flatten(&self) -> Option<Known> {
        let x = self.input(0)?;
        let axis = match self.int("axis", 1) {
            axis if axis == x.dims.len() as i64 => x.dims.len(),
            axis => self.axis(axis, x.dims.len())?,
        };
        let len = |dims: &[u64]| dims.iter().fold(1u64, |n, &dim| n.saturating_mul(dim));
        Some(Known::new(
            vec![len(&x.dims[..axis]), len(&x.dims[axis..])],
            x.element_bytes,
        ))
    }

    fn squeeze(&self) -> Option<Known> {
        let x = self.input(0)?;
        let dropped = match self.ints_of("axes", 1)? {
            Some(axes) => axes
                .iter()
                .map(|&axis| self.axis(axis, x.dims.len()))
                .collect::<Option<Vec<_>>>()?,
            None => (0..x.dims.len()).filter(|&axis| x.dims[axis] == 1).collect(),
        };
        dropped.iter().all(|&axis| x.dims[axis] == 1).then_some(())?;
        let dims = x
            .dims
            .iter()
            .enumerate()
            .filter(|(axis, _)| !dropped.contains(axis))
            .map(|(_, &n)| n);
        Some(Known {
            dims: dims.collect(),
            ..x.clone()
        })
    }

    fn unsqueeze(&self) -> Option<Known> {
        let x = self.input(0)?;
        let axes = self.ints_of("axes", 1)??;
        let rank = x.dims.len() + axes.len();
        (rank <= MAX_RANK).then_some(())?;
        let axes = axes
            .iter()
            .map(|&axis| self.axis(axis, rank))
            .collect::<Option<Vec<_>>>()?;
        let mut old = x.dims.iter();
        let dims = (0..rank).map(|axis| {
            if axes.contains(&axis) {
                Some(1)
            } else {
                old.next().copied()
            }
        });
        Some(Known {
            dims: dims.collect::<Option<_>>()?,
            ..x.clone()
        })
    }

    fn transpose(&self) -> Option<Known> {
        let x = self.input(0)?;
        let dims = match self.list("perm") {
            Some(axes) => axes
                .iter()
                .map(|&axis| Some(x.dims[self.axis(axis, x.dims.len())?]))
                .collect::<Option<Vec<_>>>()?,
            None => x.dims.iter().rev().copied().collect(),
        };
        let known = Known::new(dims, x.element_bytes);
        match x.dims.len() {
            0 | 1 => Some(Known {
                elements: x.elements.clone(),
                ..known
            }),
            _ => Some(known),
        }
    }

    fn concat(&self) -> Option<Known> {
        let parts = self.inputs.iter().copied().collect::<Option<Vec<_>>>()?;
        let first = parts.first()?;
        let axis = self.axis(self.int("axis", 1), first.dims.len())?;
        let mut dims = first.dims.clone();
        dims[axis] = 0;
        for part in &parts {
            dims[axis] = dims[axis].saturating_add(*part.dims.get(axis)?);
        }
        let known = Known::new(dims, first.element_bytes);
        let elements = parts
            .iter()
            .map(|part| part.elements.clone())
            .collect::<Option<Vec<_>>>();
        match elements {
            Some(elements) if known.dims.len() == 1 => Some(known.with_elements(elements.concat())),
            _ => Some(known),
        }
    }

    fn slice(&self) -> Option<Known> {
        let x = self.input(0)?;
        let (starts, ends) = (self.ints_of("starts", 1)??, self.ints_of("ends", 2)??);
        let axes = match self.ints_of("axes", 3)? {
            Some(axes) => axes,
            None => (0..starts.len() as i64).collect(),
        };
        let steps = self.ints_of("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        (ends.len() == starts.len() && axes.len() == starts.len() && steps.len() == starts.len())
            .then_some(())?;
        let mut dims = x.dims.clone();
        let mut elements = x.elements.clone().filter(|_| x.dims.len() == 1);
        for i in 0..starts.len() {
            let axis = self.axis(axes[i], x.dims.len())?;
            let n = i64::try_from(dims[axis]).ok()?;
            let (step, low, high) = match steps[i] {
                0 => return None,
                step if step > 0 => (step, 0, n),
                step => (step, -1, n - 1),
            };
            let clamp = |value: i64| {
                let value = if value < 0 { value.saturating_add(n) } else { value };
                value.clamp(low, high)
            };
            let (start, end) = (clamp(starts[i]), clamp(ends[i]));
            let span = i128::from(end) - i128::from(start);
            let len = u64::try_from(
                span.signum() * i128::from(step.signum()) * ((span.abs() - 1) / i128::from(step).abs() + 1),
            )
            .unwrap_or(0);
            let len = if span == 0 { 0 } else { len };
            dims[axis] = len;
            elements = elements.map(|all| {
                let at = (0..len).map(|k| start + k as i64 * step);
                at.filter_map(|at| all.get(usize::try_from(at).ok()?).copied())
                    .collect()
            });
        }
        let known = Known::new(dims, x.element_bytes);
        Some(elements.map_or(known.clone(), |elements| known.with_elements(elements)))
    }

    /// Every part is counted as it is; without sizes, all parts are as large as the first.
    fn split(&self) -> Option<Outputs> {
        let x = self.input(0)?;
        let axis = self.axis(self.int("axis", 0), x.dims.len())?;
        let n_outputs = self.node.output.len().max(1) as u64;
        let sizes = match self.ints_of("split", 1)? {
            Some(sizes) => to_dims(sizes)?,
            None => vec![x.dims[axis].div_ceil(n_outputs); n_outputs as usize],
        };
        (sizes.len() as u64 == n_outputs).then_some(())?;
        let part = |size| {
            let mut dims = x.dims.clone();
            dims[axis] = size;
            Known::new(dims, x.element_bytes)
        };
        Some(Outputs {
            values: sizes.into_iter().map(part).collect(),
            scratch: 0,
        })
    }

    fn gather(&self) -> Option<Known> {
        let (x, indices) = (self.input(0)?, self.input(1)?);
        let axis = self.axis(self.int("axis", 0), x.dims.len())?;
        let dims = [&x.dims[..axis], &indices.dims, &x.dims[axis + 1..]].concat();
        let known = Known::new(dims, x.element_bytes);
        let picked = || {
            let (all, at) = (
                x.elements.as_ref().filter(|_| x.dims.len() == 1)?,
                indices.ints()?,
            );
            let n = all.len() as i64;
            let pick = |at: i64| {
                all.get(usize::try_from(if at < 0 { at + n } else { at }).ok()?)
                    .copied()
            };
            at.into_iter().map(pick).collect::<Option<Vec<f64>>>()
        };
        Some(picked().map_or(known.clone(), |elements| known.with_elements(elements)))
    }

    fn gather_nd(&self) -> Option<Known> {
        let (x, indices) = (self.input(0)?, self.input(1)?);
        let batch = usize::try_from(self.int("batch_dims", 0)).ok()?;
        let (&depth, outer) = indices.dims.split_last()?;
        let rest = x.dims.get(batch.checked_add(usize::try_from(depth).ok()?)?..)?;
        Some(Known::new([outer, rest].concat(), x.element_bytes))
    }

    fn rearranged(&self) -> Option<Known> {
        let x = self.input(0)?;
        let block = u64::try_from(self.int("blocksize", 0)).ok().filter(|&b| b > 0)?;
        let &[n, c, h, w] = x.dims.as_slice() else {
            return None;
        };
        let area = block.checked_mul(block)?;
        let dims = match self.node.op_type.as_str() {
            "DepthToSpace" => vec![n, c / area, h.saturating_mul(block), w.saturating_mul(block)],
            _ => vec![n, c.saturating_mul(area), h / block, w / block],
        };
        Some(Known::new(dims, x.element_bytes))
    }

    fn gemm(&self) -> Option<Known> {
        let (a, b) = (self.input(0)?, self.input(1)?);
        let (&[m, k], &[l, n]) = (a.dims.as_slice(), b.dims.as_slice()) else {
            return None;
        };
        let rows = if self.int("transA", 0) != 0 { k } else { m };
        let columns = if self.int("transB", 0) != 0 { l } else { n };
        Some(Known::new(vec![rows, columns], a.element_bytes))
    }

    fn einsum(&self) -> Option<Known> {
        let equation: String = self
            .text("equation")?
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        let (left, right) = match equation.split_once("->") {
            Some((left, right)) => (left.to_owned(), Some(right.to_owned())),
            None => (equation, None),
        };
        let mut sizes = std::collections::BTreeMap::<char, (u64, usize)>::new();
        let terms: Vec<&str> = left.split(',').collect();
        (terms.len() == self.inputs.len() && left.chars().all(|c| c.is_ascii_alphabetic() || c == ','))
            .then_some(())?;
        for (i, term) in terms.iter().enumerate() {
            let x = self.input(i)?;
            (term.len() == x.dims.len()).then_some(())?;
            for (name, &dim) in term.chars().zip(&x.dims) {
                let (size, uses) = sizes.entry(name).or_default();
                (*size, *uses) = ((*size).max(dim), *uses + 1);
            }
        }
        let names = right.unwrap_or_else(|| {
            sizes
                .iter()
                .filter(|(_, (_, uses))| *uses == 1)
                .map(|(name, _)| *name)
                .collect()
        });
        let dims = names.chars().map(|name| sizes.get(&name).map(|(size, _)| *size));
        Some(Known::new(
            dims.collect::<Option<_>>()?,
            self.input(0)?.element_bytes,
        ))
    }

    /// Length of one axis after a window of `kernel` has gone over it.
    fn window(&self, axis: usize, len: u64, kernel: u64) -> Option<u64> {
        let at = |name: &str, i: usize, default: i64| {
            self.list(name).map_or(Some(default), |list| list.get(i).copied())
        };
        let n_axes = self.input(0)?.dims.len() - 2;
        let stride = u64::try_from(at("strides", axis, 1)?).ok().filter(|&s| s > 0)?;
        let dilation = u64::try_from(at("dilations", axis, 1)?).ok().filter(|&d| d > 0)?;
        if matches!(self.text("auto_pad"), Some("SAME_UPPER" | "SAME_LOWER")) {
            return Some(len.div_ceil(stride));
        }
        let pads = u64::try_from(at("pads", axis, 0)?)
            .ok()?
            .checked_add(u64::try_from(at("pads", axis + n_axes, 0)?).ok()?)?;
        let reach = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let room = len.checked_add(pads)?.checked_sub(reach)?;
        let steps = if self.int("ceil_mode", 0) != 0 {
            room.div_ceil(stride)
        } else {
            room / stride
        };
        steps.checked_add(1)
    }

    fn spatial(&self, kernel: &[u64]) -> Option<Vec<u64>> {
        let x = self.input(0)?;
        let axes = x.dims.get(2..)?;
        (axes.len() == kernel.len()).then_some(())?;
        axes.iter()
            .zip(kernel)
            .enumerate()
            .map(|(axis, (&len, &k))| self.window(axis, len, k))
            .collect()
    }

    fn conv(&self) -> Option<Known> {
        let (x, weight) = (self.input(0)?, self.input(1)?);
        let (&[batch, ..], [out, _, kernel @ ..]) = (x.dims.as_slice(), weight.dims.as_slice()) else {
            return None;
        };
        let dims = [&[batch, *out][..], &self.spatial(kernel)?].concat();
        Some(Known::new(dims, x.element_bytes))
    }

    fn conv_transpose(&self) -> Option<Outputs> {
        let (x, weight) = (self.input(0)?, self.input(1)?);
        let (&[batch, _, ref axes @ ..], &[_, out, ref kernel @ ..]) =
            (x.dims.as_slice(), weight.dims.as_slice())
        else {
            return None;
        };
        (axes.len() == kernel.len()).then_some(())?;
        let group = u64::try_from(self.int("group", 1)).ok().filter(|&g| g > 0)?;
        let at = |name: &str, i: usize, default: i64| {
            let value = self
                .list(name)
                .map_or(Some(default), |list| list.get(i).copied())?;
            u64::try_from(value).ok()
        };
        let mut dims = vec![batch, out.checked_mul(group)?];
        for (axis, (&len, &k)) in axes.iter().zip(kernel).enumerate() {
            // Pads only make it shorter; they are left out, as `output_shape` may come in their place.
            let reach = k
                .checked_sub(1)?
                .checked_mul(at("dilations", axis, 1)?)?
                .checked_add(1)?;
            let steps = len.checked_sub(1)?.checked_mul(at("strides", axis, 1)?)?;
            let full = steps
                .checked_add(reach)?
                .checked_add(at("output_padding", axis, 0)?)?;
            let pads = at("pads", axis, 0)?.checked_add(at("pads", axis + axes.len(), 0)?)?;
            dims.push(match self.list("output_shape") {
                Some(shape) => u64::try_from(*shape.get(axis)?).ok()?,
                None if matches!(self.text("auto_pad"), Some("SAME_UPPER" | "SAME_LOWER")) => {
                    len.checked_mul(at("strides", axis, 1)?)?
                }
                None => full.saturating_sub(pads),
            });
        }
        let positions = axes.iter().fold(4u64, |n, &len| n.saturating_mul(len));
        let columns = kernel
            .iter()
            .fold(positions.saturating_mul(out), |n, &k| n.saturating_mul(k));
        Some(Outputs {
            values: vec![Known::new(dims, x.element_bytes)],
            scratch: columns,
        })
    }

    fn pool(&self) -> Option<Outputs> {
        let x = self.input(0)?;
        let kernel = to_dims(self.list("kernel_shape")?)?;
        let dims = [x.dims.get(..2)?, &self.spatial(&kernel)?].concat();
        let values = [Known::new(dims.clone(), x.element_bytes), Known::new(dims, 8)];
        Some(Outputs {
            values: values.into_iter().take(self.node.output.len().max(1)).collect(),
            scratch: 0,
        })
    }

    fn global_pool(&self) -> Option<Known> {
        let x = self.input(0)?;
        let dims = x
            .dims
            .iter()
            .enumerate()
            .map(|(axis, &n)| if axis < 2 { n } else { 1 });
        Some(Known::new(dims.collect(), x.element_bytes))
    }

    /// Without cached keys and values. Needs a score for every pair of positions, two of them where a softmax is apart.
    fn attention(&self) -> Option<Outputs> {
        let (q, k, v) = (self.input(0)?, self.input(1)?, self.input(2)?);
        let has_past = self.node.input.iter().skip(4).any(|name| !name.is_empty());
        (!has_past && self.node.output.iter().skip(1).all(String::is_empty)).then_some(())?;
        let heads = |name| u64::try_from(self.int(name, 0)).ok().filter(|&n| n > 0);
        let (dims, pairs) = match (q.dims.as_slice(), k.dims.as_slice(), v.dims.as_slice()) {
            (&[b, h, s, _], &[_, _, t, _], &[_, _, _, d]) => (vec![b, h, s, d], [b, h, s, t]),
            (&[b, s, _], &[_, t, _], &[_, _, hidden]) => {
                let (h, kv) = (heads("q_num_heads")?, heads("kv_num_heads")?);
                (vec![b, s, h.checked_mul(hidden / kv)?], [b, h, s, t])
            }
            _ => return None,
        };
        Some(Outputs {
            values: vec![Known::new(dims, q.element_bytes)],
            scratch: pairs.iter().fold(8u64, |n, &len| n.saturating_mul(len)),
        })
    }

    fn reduce(&self, element_bytes: u64) -> Option<Known> {
        let x = self.input(0)?;
        let rank = x.dims.len();
        let axes = match self.attribute("axis") {
            Some(axis) => Some(vec![axis.i?]),
            None if self.node.op_type.starts_with("Arg") => Some(vec![0]),
            None => self.ints_of("axes", 1)?.filter(|axes| !axes.is_empty()),
        };
        let none = axes.is_none() && self.int("noop_with_empty_axes", 0) != 0;
        let axes = match axes {
            Some(axes) => axes
                .iter()
                .map(|&axis| self.axis(axis, rank))
                .collect::<Option<Vec<_>>>()?,
            None if none => Vec::new(),
            None => (0..rank).collect(),
        };
        let keeps = self.int("keepdims", 1) != 0;
        let dims = x
            .dims
            .iter()
            .enumerate()
            .filter_map(|(axis, &n)| match axes.contains(&axis) {
                true => keeps.then_some(1),
                false => Some(n),
            });
        let known = Known::new(dims.collect(), element_bytes);
        match (&x.elements, self.node.op_type.as_str()) {
            (Some(elements), "ReduceProd") if axes.len() == rank => {
                let product = elements.iter().product();
                Some(known.with_elements(vec![product]))
            }
            _ => Some(known),
        }
    }

    fn cast(&self) -> Option<Known> {
        let x = self.input(0)?;
        let to = i32::try_from(self.int("to", 1)).ok()?;
        let known = Known::new(x.dims.clone(), element_bytes(to));
        let is_whole = !matches!(to, 1 | 10 | 11 | 16);
        let elements = x.elements.as_ref().map(|all| {
            all.iter()
                .map(|v| if is_whole { v.trunc() } else { *v })
                .collect()
        });
        Some(elements.map_or(known.clone(), |elements| known.with_elements(elements)))
    }

    /// Broadcast over all inputs; computed where all of them are few constants.
    fn elementwise(&self, element_bytes: u64) -> Option<Known> {
        let inputs = self.inputs.iter().copied().collect::<Option<Vec<_>>>()?;
        let known = broadcast(&inputs, element_bytes)?;
        let n = usize::try_from(known.len())
            .ok()
            .filter(|&n| n as u64 <= MAX_ELEMENTS);
        let aligned = |x: &Known| {
            let elements = x.elements.clone()?;
            match elements.len() {
                1 => Some(vec![elements[0]; n?]),
                len if Some(len) == n => Some(elements),
                _ => None,
            }
        };
        let Some(values) = inputs.iter().map(|x| aligned(x)).collect::<Option<Vec<_>>>() else {
            return Some(known);
        };
        let whole = inputs[0].element_bytes == 8;
        let truth = |is: bool| f64::from(u8::from(is));
        let pair = |f: &dyn Fn(f64, f64) -> f64| {
            let mut all = values.iter();
            let first = all.next()?.clone();
            Some(all.fold(first, |sum, next| {
                sum.iter().zip(next).map(|(&a, &b)| f(a, b)).collect::<Vec<f64>>()
            }))
        };
        let elements = match self.node.op_type.as_str() {
            "Add" | "Sum" => pair(&|a, b| a + b),
            "Sub" => pair(&|a, b| a - b),
            "Mul" => pair(&|a, b| a * b),
            "Div" if whole => pair(&|a, b| (a / b).trunc()),
            "Div" => pair(&|a, b| a / b),
            "Mod" => pair(&|a, b| a - b * (a / b).floor()),
            "Max" => pair(&f64::max),
            "Min" => pair(&f64::min),
            "Equal" => pair(&|a, b| truth(a == b)),
            "Greater" => pair(&|a, b| truth(a > b)),
            "Less" => pair(&|a, b| truth(a < b)),
            "GreaterOrEqual" => pair(&|a, b| truth(a >= b)),
            "LessOrEqual" => pair(&|a, b| truth(a <= b)),
            "Where" => match values.as_slice() {
                [condition, yes, no] => Some(
                    (condition.iter().zip(yes.iter().zip(no)))
                        .map(|(&c, (&yes, &no))| if c != 0.0 { yes } else { no })
                        .collect(),
                ),
                _ => None,
            },
            _ => None,
        };
        Some(elements.map_or(known.clone(), |elements| known.with_elements(elements)))
    }
}

fn to_dims(values: Vec<i64>) -> Option<Vec<u64>> {
    values.into_iter().map(|v| u64::try_from(v).ok()).collect()
}

/// As numpy broadcasts.
fn broadcast(inputs: &[&Known], element_bytes: u64) -> Option<Known> {
    let rank = inputs.iter().map(|x| x.dims.len()).max()?;
    let dim = |axis: usize| {
        inputs.iter().try_fold(1u64, |size, x| {
            let missing = rank - x.dims.len();
            match (size, axis.checked_sub(missing).map_or(1, |own| x.dims[own])) {
                (1, dim) => Some(dim),
                (size, dim) if dim == 1 || dim == size => Some(size),
                _ => None,
            }
        })
    };
    Some(Known::new(
        (0..rank).map(dim).collect::<Option<_>>()?,
        element_bytes,
    ))
}

/// As numpy multiplies.
fn matmul(a: &Known, b: &Known) -> Option<Known> {
    let matrix = |dims: &[u64], is_first: bool| match (dims, is_first) {
        ([k], true) => vec![1, *k],
        ([k], false) => vec![*k, 1],
        _ => dims.to_vec(),
    };
    let (left, right) = (matrix(&a.dims, true), matrix(&b.dims, false));
    let (left_batch, left) = left.split_at_checked(left.len().checked_sub(2)?)?;
    let (right_batch, right) = right.split_at_checked(right.len().checked_sub(2)?)?;
    (left[1] == right[0]).then_some(())?;
    let batches = [left_batch, right_batch].map(|dims| Known::new(dims.to_vec(), a.element_bytes));
    let mut dims = broadcast(&[&batches[0], &batches[1]], a.element_bytes)?.dims;
    dims.extend((a.dims.len() > 1).then_some(left[0]));
    dims.extend((b.dims.len() > 1).then_some(right[1]));
    Some(Known::new(dims, a.element_bytes))
}
