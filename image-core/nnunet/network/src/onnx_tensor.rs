//! What is known of a value of an ONNX graph before it runs: its shape, and its elements where they are few and constant.

use crate::onnx_proto::TensorProto;

/// Elements of a constant that are looked at: shapes, axes, scales.
pub(crate) const MAX_ELEMENTS: u64 = 1024;

/// Shape and size of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(crate) dims: Vec<u64>,
    pub(crate) element_bytes: u64,
    /// The elements, if they are constant numbers and few. Whole numbers are exact up to 2^53, far beyond any size.
    pub(crate) elements: Option<Vec<f64>>,
}

impl Known {
    pub(crate) fn new(dims: Vec<u64>, element_bytes: u64) -> Known {
        Known {
            dims,
            element_bytes,
            elements: None,
        }
    }

    /// A constant of this shape; `elements` are dropped if they are too many or do not fit.
    pub(crate) fn with_elements(mut self, elements: Vec<f64>) -> Known {
        if elements.len() as u64 == self.len() && self.len() <= MAX_ELEMENTS {
            self.elements = Some(elements);
        }
        self
    }

    /// Of a tensor that has been checked.
    pub(crate) fn of_tensor(tensor: &TensorProto) -> Known {
        let dims = tensor
            .dims
            .iter()
            .map(|&dim| u64::try_from(dim).unwrap_or(u64::MAX));
        let known = Known::new(dims.collect(), element_bytes(tensor.data_type));
        if known.len() > MAX_ELEMENTS {
            return known;
        }
        match elements(tensor) {
            Some(elements) => known.with_elements(elements),
            None => known,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.dims.iter().fold(1, |n, &dim| n.saturating_mul(dim))
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.len().saturating_mul(self.element_bytes)
    }

    /// The elements as whole numbers. What lies beyond 2^53 is rounded: "to the end" of a slice, or a size over any limit.
    pub(crate) fn ints(&self) -> Option<Vec<i64>> {
        let elements = self.elements.as_ref()?.iter();
        elements
            .map(|&v| (v.fract() == 0.0).then_some(v as i64)) // saturates
            .collect()
    }
}

/// Bytes of one element of an ONNX data type.
pub(crate) fn element_bytes(data_type: i32) -> u64 {
    match data_type {
        2 | 3 | 9 => 1,
        4 | 5 | 10 | 16 => 2,
        7 | 11 | 13 => 8,
        _ => 4,
    }
}

/// The numbers of a small tensor; `None` for types that no shape is written in.
fn elements(tensor: &TensorProto) -> Option<Vec<f64>> {
    let raw = tensor.raw_data.as_deref();
    Some(match (tensor.data_type, raw) {
        (1, Some(raw)) => chunks(raw, |b| f32::from_le_bytes(b).into()),
        (1, None) => tensor.float_data.iter().map(|&v| v.into()).collect(),
        (6, Some(raw)) => chunks(raw, |b| i32::from_le_bytes(b).into()),
        (2 | 3 | 6 | 9, None) => tensor.int32_data.iter().map(|&v| v.into()).collect(),
        (9, Some(raw)) => chunks(raw, |[b]| f64::from(u8::from(b != 0))),
        (7, Some(raw)) => chunks(raw, |b| i64::from_le_bytes(b) as f64),
        (7, None) => tensor.int64_data.iter().map(|&v| v as f64).collect(),
        (11, Some(raw)) => chunks(raw, f64::from_le_bytes),
        (11, None) => tensor.double_data.clone(),
        _ => return None,
    })
}

fn chunks<const N: usize>(raw: &[u8], convert: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    raw.as_chunks::<N>()
        .0
        .iter()
        .map(|&bytes| convert(bytes))
        .collect()
}
