//! Large arrays whose allocation may fail. An allocation that grows with a scan, a network or a mask goes through here: one
//! that fails is an error of its request, where a plain `Vec` would end the process with everybody's requests in it.

pub use bytemuck::Zeroable;
use ndarray::{Array, Array3, ArrayView, Dimension};

use crate::{Coded, ErrorCode};

/// There is no room for an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory for {what}: {bytes} bytes")]
pub struct OutOfMemory {
    /// What would have been allocated.
    pub what: &'static str,
    /// Its size; `u64::MAX` if that cannot be counted.
    pub bytes: u64,
}

impl OutOfMemory {
    fn new<T>(what: &'static str, len: usize) -> Self {
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        OutOfMemory { what, bytes }
    }
}

impl Coded for OutOfMemory {
    /// How a caller can act on it: with a smaller request, or a larger machine.
    fn code(&self) -> ErrorCode {
        ErrorCode::LimitExceeded
    }
}

/// `len` zeros. Pages are taken from the machine only when they are written.
///
/// # Errors
/// [`OutOfMemory`]
pub fn zeroed<T: Zeroable>(len: usize, what: &'static str) -> Result<Vec<T>, OutOfMemory> {
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| OutOfMemory::new::<T>(what, len))
}

/// An array of zeros in C order.
///
/// # Errors
/// [`OutOfMemory`]
pub fn zeroed_array<T: Zeroable, D: Dimension>(
    shape: D,
    what: &'static str,
) -> Result<Array<T, D>, OutOfMemory> {
    let len = shape
        .slice()
        .iter()
        .try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let values = zeroed(len.ok_or(OutOfMemory::new::<T>(what, usize::MAX))?, what)?;
    Ok(Array::from_shape_vec(shape, values).expect("as many values as the shape has"))
}

/// An empty vector with room for `len` values.
///
/// # Errors
/// [`OutOfMemory`]
pub fn with_room<T>(len: usize, what: &'static str) -> Result<Vec<T>, OutOfMemory> {
    let mut values = Vec::new();
    make_room(&mut values, len, what)?;
    Ok(values)
}

/// Makes room for `more` values behind those that are there.
///
/// # Errors
/// [`OutOfMemory`]
pub fn make_room<T>(values: &mut Vec<T>, more: usize, what: &'static str) -> Result<(), OutOfMemory> {
    values
        .try_reserve_exact(more)
        .map_err(|_| OutOfMemory::new::<T>(what, more))
}

/// The values of a view in C order, in an array of their own.
///
/// # Errors
/// [`OutOfMemory`]
pub fn owned<T: Copy, D: Dimension>(
    view: ArrayView<'_, T, D>,
    what: &'static str,
) -> Result<Array<T, D>, OutOfMemory> {
    let mut values = with_room(view.len(), what)?;
    values.extend(view.iter().copied());
    Ok(Array::from_shape_vec(view.raw_dim(), values).expect("as many values as the view has"))
}

/// An array of one value made per voxel, `[z, y, x]`; `value` is asked in C order.
///
/// # Errors
/// [`OutOfMemory`]
pub fn mapped<T: Copy, U>(
    view: ndarray::ArrayView3<'_, T>,
    what: &'static str,
    mut value: impl FnMut(T) -> U,
) -> Result<Array3<U>, OutOfMemory> {
    let mut values = with_room(view.len(), what)?;
    values.extend(view.iter().map(|&v| value(v)));
    Ok(Array3::from_shape_vec(view.raw_dim(), values).expect("as many values as the view has"))
}

#[cfg(test)]
mod tests {
    use ndarray::{Ix3, array};

    use super::*;

    const TOO_MUCH: usize = 1 << 60;

    #[test]
    fn what_does_not_fit_is_an_error_that_says_how_much_it_was() {
        let expected = OutOfMemory {
            what: "a test",
            bytes: 4 << 60,
        };
        assert_eq!(zeroed::<f32>(TOO_MUCH, "a test"), Err(expected));
        assert_eq!(with_room::<f32>(TOO_MUCH, "a test"), Err(expected));
        assert_eq!(
            zeroed_array::<f32, _>(Ix3(1 << 20, 1 << 20, 1 << 20), "a test"),
            Err(expected)
        );
        let overflow = zeroed_array::<f32, _>(Ix3(1 << 32, 1 << 32, 1 << 32), "a test");
        assert_eq!(overflow.unwrap_err().bytes, u64::MAX);
        assert_eq!(
            expected.to_string(),
            "no memory for a test: 4611686018427387904 bytes"
        );
        assert_eq!(expected.code(), ErrorCode::LimitExceeded);
    }

    #[test]
    fn what_fits_is_what_plain_vectors_give() {
        assert_eq!(zeroed::<u16>(3, "a test").unwrap(), [0; 3]);
        assert_eq!(zeroed::<u16>(0, "a test").unwrap(), Vec::<u16>::new());
        let turned = array![[[1, 2, 3], [4, 5, 6]]];
        let view = turned.view().permuted_axes([2, 1, 0]);
        let copy = owned(view, "a test").unwrap();
        assert_eq!(copy, view);
        assert!(copy.is_standard_layout());
        assert_eq!(mapped(view, "a test", |v| v * 2).unwrap(), &copy * 2);
    }
}
