//! One tensor: a strided view of a storage, checked against it.

use std::ops::Range;

use half::{bf16, f16};

use crate::error::TensorFault;
use crate::pickle::{Pickle, StorageType, Value, ValueId};

/// A convolution's weight has 5 axes.
const MAX_AXES: usize = 8;

/// Where a tensor's elements lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorView {
    pub(crate) dtype: StorageType,
    /// Key of the storage, the last component of the archive member's name.
    pub(crate) storage: String,
    /// Elements of the storage.
    pub(crate) storage_len: u64,
    pub(crate) shape: Vec<usize>,
    stride: Vec<u64>,
    /// First and past the last element of the storage that belongs to the tensor.
    elements: Range<u64>,
}

impl TensorView {
    /// Reads a tensor of a pickle; `None` if the value is not a tensor.
    pub(crate) fn read(pickle: &Pickle, id: ValueId) -> Option<Result<TensorView, TensorFault>> {
        let Value::Tensor {
            storage,
            offset,
            shape,
            stride,
        } = *pickle.value(id)
        else {
            return None;
        };
        let Value::Storage { dtype, key, len } = *pickle.value(storage) else {
            return None;
        };
        let view = || {
            let (shape, stride) = (axis_values(pickle, shape)?, axis_values(pickle, stride)?);
            let elements = element_range(&shape, &stride, offset, len)?;
            let shape = shape.into_iter().map(usize::try_from).collect::<Result<_, _>>();
            let storage = pickle.name(key).ok_or(TensorFault::Layout)?.to_owned();
            Ok(TensorView {
                dtype,
                storage,
                storage_len: len,
                shape: shape.map_err(|_| TensorFault::Layout)?,
                stride,
                elements,
            })
        };
        Some(view())
    }

    /// Number of elements.
    pub(crate) fn n_elements(&self) -> usize {
        self.shape.iter().product() // no more than the storage has
    }

    /// Bytes of the storage that hold the tensor.
    pub(crate) fn byte_range(&self) -> Range<u64> {
        // Checked against the archive's member, which is as long as the storage.
        self.elements.start * self.dtype.n_bytes()..self.elements.end * self.dtype.n_bytes()
    }

    /// True if the bytes of [`TensorView::byte_range`] are the tensor's f32, least significant byte first and in C order.
    pub(crate) fn is_f32_in_order(&self) -> bool {
        self.dtype == StorageType::F32 && self.is_contiguous()
    }

    /// Converts the bytes of [`TensorView::byte_range`] to f32, last axis fastest, whatever the strides.
    pub(crate) fn to_f32(&self, bytes: &[u8]) -> Vec<f32> {
        match self.dtype {
            StorageType::F16 => self.gather(bytes, |b| f16::from_le_bytes(b).to_f32()),
            StorageType::BF16 => self.gather(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            StorageType::F32 => self.gather(bytes, f32::from_le_bytes),
            StorageType::F64 => self.gather(bytes, |b| f64::from_le_bytes(b) as f32),
            StorageType::I8 => self.gather(bytes, |b| i8::from_le_bytes(b).into()),
            StorageType::U8 => self.gather(bytes, |b| u8::from_le_bytes(b).into()),
            StorageType::I16 => self.gather(bytes, |b| i16::from_le_bytes(b).into()),
            StorageType::I32 => self.gather(bytes, |b| i32::from_le_bytes(b) as f32),
            StorageType::I64 => self.gather(bytes, |b| i64::from_le_bytes(b) as f32),
            StorageType::Bool => self.gather(bytes, |[b]| f32::from(u8::from(b != 0))),
        }
    }

    fn gather<const N: usize>(&self, bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let stored = bytes.as_chunks::<N>().0;
        if self.is_contiguous() {
            return stored.iter().map(|&element| convert(element)).collect();
        }
        let n = self.n_elements();
        let mut values = Vec::with_capacity(n);
        let mut index = vec![0usize; self.shape.len()];
        let mut at = 0u64;
        for _ in 0..n {
            // `element_range` covers every index, so `at` lies within what was read.
            values.push(convert(stored[at as usize]));
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at = at.wrapping_add(self.stride[axis]); // an axis of one may have any stride
                if index[axis] < self.shape[axis] {
                    break;
                }
                at = at.wrapping_sub(self.stride[axis].wrapping_mul(index[axis] as u64));
                index[axis] = 0;
            }
        }
        values
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1u64;
        self.shape.iter().zip(&self.stride).rev().all(|(&len, &stride)| {
            let is_dense = len == 1 || stride == expected;
            expected *= len as u64;
            is_dense
        }) && self.elements.end - self.elements.start == expected
    }
}

fn axis_values(pickle: &Pickle, tuple: ValueId) -> Result<Vec<u64>, TensorFault> {
    let items = pickle.sequence(tuple).ok_or(TensorFault::Layout)?;
    if items.len() > MAX_AXES {
        return Err(TensorFault::Rank {
            found: items.len(),
            limit: MAX_AXES,
        });
    }
    let non_negative = |&item| pickle.int(item).and_then(|value| u64::try_from(value).ok());
    items
        .iter()
        .map(non_negative)
        .collect::<Option<_>>()
        .ok_or(TensorFault::Layout)
}

/// Elements of the storage from the first to past the last one used.
fn element_range(shape: &[u64], stride: &[u64], offset: u64, len: u64) -> Result<Range<u64>, TensorFault> {
    if shape.len() != stride.len() {
        return Err(TensorFault::Layout);
    }
    if shape.contains(&0) {
        return Ok(0..0);
    }
    let elements = shape.iter().fold(1u64, |n, &axis| n.saturating_mul(axis));
    if elements > len {
        return Err(TensorFault::LargerThanStorage { elements, len });
    }
    let reach = shape.iter().zip(stride).fold(0u64, |sum, (&n, &step)| {
        sum.saturating_add((n - 1).saturating_mul(step))
    });
    let end = offset.saturating_add(reach).saturating_add(1);
    if end > len {
        return Err(TensorFault::OutOfBounds { end, len });
    }
    Ok(offset..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[u64], stride: &[u64], offset: u64, len: u64) -> Result<TensorView, TensorFault> {
        Ok(TensorView {
            dtype: StorageType::F32,
            storage: "0".to_owned(),
            storage_len: len,
            elements: element_range(shape, stride, offset, len)?,
            shape: shape.iter().map(|&n| n as usize).collect(),
            stride: stride.to_vec(),
        })
    }

    fn values(view: &TensorView) -> Vec<f32> {
        let storage: Vec<u8> = (0..view.storage_len)
            .flat_map(|i| (i as f32).to_le_bytes())
            .collect();
        let range = view.byte_range();
        view.to_f32(&storage[range.start as usize..range.end as usize])
    }

    #[test]
    fn strides_and_offsets_are_honoured() {
        let check = |shape: &[u64], stride: &[u64], offset, expected: &[f32]| {
            assert_eq!(values(&view(shape, stride, offset, 12).unwrap()), expected);
        };
        check(&[2, 3], &[3, 1], 0, &[0., 1., 2., 3., 4., 5.]);
        check(&[3, 2], &[1, 3], 0, &[0., 3., 1., 4., 2., 5.]); // transposed
        check(&[2, 2], &[6, 2], 1, &[1., 3., 7., 9.]); // every second column
        check(&[3, 1], &[4, u64::MAX], 2, &[2., 6., 10.]); // the stride of an axis of one does not matter
        check(&[], &[], 7, &[7.]); // a scalar
        check(&[0, 3], &[3, 1], 0, &[]);
        check(&[2, 3], &[0, 1], 4, &[4., 5., 6., 4., 5., 6.]); // expanded, but within the storage
    }

    #[test]
    fn impossible_views_are_refused() {
        let check = |shape: &[u64], stride: &[u64], offset, expected: fn(&TensorFault) -> bool| match view(
            shape, stride, offset, 12,
        ) {
            Err(fault) if expected(&fault) => {}
            other => panic!("{shape:?} {stride:?} {offset}: {other:?}"),
        };
        check(&[13], &[1], 0, |f| {
            matches!(
                f,
                TensorFault::LargerThanStorage {
                    elements: 13,
                    len: 12
                }
            )
        });
        check(&[1 << 40], &[0], 0, |f| {
            matches!(f, TensorFault::LargerThanStorage { .. })
        });
        check(&[u64::MAX, u64::MAX], &[1, 1], 0, |f| {
            matches!(f, TensorFault::LargerThanStorage { .. })
        });
        check(&[12], &[1], 1, |f| {
            matches!(f, TensorFault::OutOfBounds { end: 13, len: 12 })
        });
        check(&[2], &[u64::MAX], 0, |f| {
            matches!(f, TensorFault::OutOfBounds { .. })
        });
        check(&[1], &[1], u64::MAX, |f| {
            matches!(f, TensorFault::OutOfBounds { .. })
        });
        check(&[2, 2], &[1], 0, |f| matches!(f, TensorFault::Layout));
    }
}
