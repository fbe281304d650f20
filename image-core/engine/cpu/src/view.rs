//! A value as the next layer sees it: what lies in memory, and what is still to be done to it.

use pulp::Simd;

use crate::layout::Layout;

/// A value of the plan: a buffer, and the norm and activation that are applied where it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct View {
    pub(crate) buffer: BufferId,
    pub(crate) layout: Layout,
    /// Scale and shift per channel; none: 1 and 0.
    pub(crate) affine: Option<AffineId>,
    /// Slope of the negative side, 0 to 1; 1 is no activation.
    pub(crate) slope: f32,
}

/// Index of a value's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BufferId(pub(crate) usize);

/// Index of a scale and a shift per channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AffineId(pub(crate) usize);

/// Scale and shift per channel, padding included.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

impl Affine {
    /// 1 and 0.
    pub(crate) fn identity(pitch: usize) -> Self {
        Affine {
            scale: vec![1.0; pitch],
            shift: vec![0.0; pitch],
        }
    }
}

/// What a layer reads: `max(slope · v, v)` with `v = scale · x + shift`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Per z: `[y, x, pitch]`; empty where a step has no business.
    pub(crate) planes: &'a [&'a [f32]],
    pub(crate) layout: Layout,
    pub(crate) affine: &'a Affine,
    pub(crate) slope: f32,
}

impl<'a> Source<'a> {
    /// Voxels of one row, `[x, pitch]`; none outside the volume.
    #[inline(always)]
    pub(crate) fn row(&self, z: isize, y: isize) -> Option<&'a [f32]> {
        let [_, size_y, size_x] = self.layout.size;
        let (z, y) = (usize::try_from(z).ok()?, usize::try_from(y).ok()?);
        if y >= size_y {
            return None;
        }
        let len = size_x * self.layout.pitch;
        Some(&self.planes.get(z)?[y * len..][..len])
    }

    /// True if nothing is to be done to the values.
    pub(crate) fn is_plain(&self) -> bool {
        let Affine { scale, shift } = self.affine;
        self.slope == 1.0
            && scale.iter().all(|&scale| scale == 1.0)
            && shift.iter().all(|&shift| shift == 0.0)
    }

    /// One value, by itself.
    #[inline(always)]
    pub(crate) fn apply(&self, value: f32, channel: usize) -> f32 {
        let v = value.mul_add(self.affine.scale[channel], self.affine.shift[channel]);
        let scaled = self.slope * v;
        if scaled > v { scaled } else { v }
    }
}

/// What is to be done to one vector of channels.
#[derive(Clone, Copy)]
pub(crate) struct VectorAffine<S: Simd> {
    scale: S::f32s,
    shift: S::f32s,
    slope: S::f32s,
}

impl<S: Simd> VectorAffine<S> {
    /// For the channels from `channel` on.
    #[inline(always)]
    pub(crate) fn new(simd: S, source: &Source<'_>, channel: usize) -> Self {
        VectorAffine {
            scale: load::<S>(&source.affine.scale, channel),
            shift: load::<S>(&source.affine.shift, channel),
            slope: simd.splat_f32s(source.slope),
        }
    }

    #[inline(always)]
    pub(crate) fn apply(&self, simd: S, value: S::f32s) -> S::f32s {
        let v = simd.mul_add_e_f32s(value, self.scale, self.shift);
        // In this order, NaN stays NaN and an infinity times a slope of 0 does not become one.
        larger(simd, simd.mul_f32s(v, self.slope), v)
    }
}

/// `a` where it is larger, `b` elsewhere, also where one of them is NaN: what x86 calls the maximum.
#[inline(always)]
#[cfg(not(target_arch = "aarch64"))]
fn larger<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.max_f32s(a, b)
}

/// `a` where it is larger, `b` elsewhere, also where one of them is NaN: the maximum of NEON would be NaN there.
#[inline(always)]
#[cfg(target_arch = "aarch64")]
fn larger<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.select_f32s(simd.greater_than_f32s(a, b), a, b)
}

/// The vector at a position.
#[inline(always)]
pub(crate) fn load<S: Simd>(values: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&values[at..at + S::F32_LANES]).0[0]
}

/// Writes a vector at a position.
#[inline(always)]
pub(crate) fn store<S: Simd>(values: &mut [f32], at: usize, vector: S::f32s) {
    S::as_mut_simd_f32s(&mut values[at..at + S::F32_LANES]).0[0] = vector;
}
