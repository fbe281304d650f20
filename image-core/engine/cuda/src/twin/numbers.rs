//! Values in the memory of a twin.

use half::f16;

use crate::CudaError;
use crate::memory::At;
use crate::precision::Element;

/// Voxels of a box.
pub(super) fn product(size: [usize; 3]) -> usize {
    size.iter().product()
}

/// Reads `n` values.
pub(super) fn read_elements(at: &At, n: usize, element: Element) -> Result<Vec<f32>, CudaError> {
    match element {
        Element::Single => at.read(n),
        Element::Half => Ok(at
            .read::<u16>(n)?
            .into_iter()
            .map(|bits| f16::from_bits(bits).to_f32())
            .collect()),
    }
}

/// Writes values, rounded to the element.
pub(super) fn write_elements(at: &At, element: Element, values: &[f32]) -> Result<(), CudaError> {
    match element {
        Element::Single => at.write(values),
        Element::Half => at.write(
            &values
                .iter()
                .map(|value| f16::from_f32(*value).to_bits())
                .collect::<Vec<u16>>(),
        ),
    }
}

/// Writes the `n_channels` values of each voxel where voxels are `pitch` values apart.
pub(super) fn write_pitched(
    at: &At,
    element: Element,
    values: &[f32],
    n_channels: usize,
    pitch: usize,
) -> Result<(), CudaError> {
    if pitch == n_channels {
        return write_elements(at, element, values);
    }
    let n = (values.len() / n_channels).saturating_sub(1) * pitch + n_channels;
    let mut all = read_elements(at, n, element)?;
    for (to, from) in all.chunks_mut(pitch).zip(values.chunks_exact(n_channels)) {
        to[..n_channels].copy_from_slice(from);
    }
    write_elements(at, element, &all)
}

/// Rounded to 10 bits of mantissa.
pub(super) fn to_tf32(value: f32) -> f32 {
    if !value.is_finite() {
        return value;
    }
    let bits = value.to_bits();
    let half = 0x0fff + (bits >> 13 & 1); // to even
    f32::from_bits(bits.wrapping_add(half) & !0x1fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_has_ten_bits_of_mantissa() {
        assert_eq!(to_tf32(1.0 + 2f32.powi(-10)), 1.0 + 2f32.powi(-10));
        assert_eq!(to_tf32(1.0 + 2f32.powi(-11)), 1.0, "a tie goes to even");
        assert_eq!(to_tf32(1.0 + 3.0 * 2f32.powi(-11)), 1.0 + 2f32.powi(-9));
        assert_eq!(to_tf32(-std::f32::consts::PI), -3.140625);
        assert!(to_tf32(f32::NAN).is_nan());
    }
}
