//! What needs a pass of its own: sums, averages, and values whose norm or activation nothing else applies.

use pulp::{Simd, WithSimd};

use crate::norm::{Moments, gather};
use crate::view::{Source, VectorAffine, load, store};

/// Voxels of one task.
pub(crate) const VOXELS_PER_TASK: usize = 2048;

/// `to = a + b`, or `to = a`; all views applied. If the result takes the place of `a`, its values are in `to`.
pub(crate) struct SumTask<'a> {
    pub(crate) a: Source<'a>,
    pub(crate) b: Option<Source<'a>>,
    pub(crate) in_place: bool,
    pub(crate) z: usize,
    /// First value within the plane.
    pub(crate) first: usize,
    /// `[voxel][pitch]`.
    pub(crate) to: &'a mut [f32],
    pub(crate) moments: Option<&'a mut Moments>,
}

impl WithSimd for SumTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let pitch = self.a.layout.pitch;
        let part = self.first..self.first + self.to.len();
        let a = (!self.in_place).then(|| &self.a.planes[self.z][part.clone()]);
        let b = self.b.as_ref().map(|b| &b.planes[self.z][part]);
        for channel in (0..pitch).step_by(S::F32_LANES) {
            let affine_a = VectorAffine::<S>::new(simd, &self.a, channel);
            let affine_b = self.b.as_ref().map(|b| VectorAffine::<S>::new(simd, b, channel));
            for at in (channel..self.to.len()).step_by(pitch) {
                let value = match a {
                    Some(a) => load::<S>(a, at),
                    None => load::<S>(self.to, at),
                };
                let mut value = affine_a.apply(simd, value);
                if let (Some(affine), Some(b)) = (&affine_b, b) {
                    value = simd.add_f32s(value, affine.apply(simd, load::<S>(b, at)));
                }
                store::<S>(self.to, at, value);
            }
        }
        if let Some(moments) = self.moments {
            gather(simd, self.to, pitch, moments);
        }
    }
}

/// Averages of boxes, for one row of the output.
pub(crate) struct PoolTask<'a> {
    pub(crate) source: Source<'a>,
    /// Box: z, y, x.
    pub(crate) stride: [usize; 3],
    /// Output row: z and y.
    pub(crate) row: [usize; 2],
    /// `[x][pitch]`.
    pub(crate) to: &'a mut [f32],
}

impl WithSimd for PoolTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let pitch = self.source.layout.pitch;
        let [stride_z, stride_y, stride_x] = self.stride;
        let weight = simd.splat_f32s(1.0 / self.stride.iter().product::<usize>() as f32);
        for channel in (0..pitch).step_by(S::F32_LANES) {
            let affine = VectorAffine::<S>::new(simd, &self.source, channel);
            for (x, at) in (channel..self.to.len()).step_by(pitch).enumerate() {
                let mut sum = simd.splat_f32s(0.0);
                for z in 0..stride_z {
                    for y in 0..stride_y {
                        let (z, y) = (self.row[0] * stride_z + z, self.row[1] * stride_y + y);
                        let Some(row) = self.source.row(z as isize, y as isize) else {
                            continue;
                        };
                        for x in x * stride_x..(x + 1) * stride_x {
                            sum = simd.add_f32s(sum, affine.apply(simd, load::<S>(row, x * pitch + channel)));
                        }
                    }
                }
                store::<S>(self.to, at, simd.mul_f32s(sum, weight));
            }
        }
    }
}
