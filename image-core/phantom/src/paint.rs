//! Draws structures into an array of their indices.

use ndarray::parallel::prelude::*;
use ndarray::{Array3, Axis};
use nephrite_types::{Shape3, Spacing};

use crate::anatomy::Structure;
use crate::shape::Interval;

/// World position of voxel centers along one axis: `first + step · index`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GridAxis {
    pub(crate) first: f64,
    pub(crate) step: f64,
    pub(crate) len: usize,
}

impl GridAxis {
    fn at(&self, index: usize) -> f64 {
        self.first + self.step * index as f64
    }

    /// Indices whose centers lie in `range`.
    fn indices(&self, range: Interval) -> std::ops::Range<usize> {
        let (p, q) = (
            (range.0 - self.first) / self.step,
            (range.1 - self.first) / self.step,
        );
        let (low, high) = (
            p.min(q).ceil().max(0.0),
            p.max(q).floor().min(self.len as f64 - 1.0),
        );
        if low > high {
            0..0
        } else {
            low as usize..high as usize + 1
        }
    }
}

/// The grid of a scan as the scanners of most makers store it, `[z, y, x]`: x runs to the patient's left, y to the back, z to the
/// head; the world's origin is in the middle.
pub(crate) fn grid_axes(shape: Shape3, spacing: Spacing) -> [GridAxis; 3] {
    let (shape, spacing) = (shape.zyx(), spacing.zyx());
    std::array::from_fn(|axis| {
        let step = if axis == 0 { spacing[axis] } else { -spacing[axis] };
        GridAxis {
            first: -0.5 * step * (shape[axis] - 1) as f64,
            step,
            len: shape[axis],
        }
    })
}

/// The index of the structure that each voxel's center lies in, `[z, y, x]`. Cost: about one write per voxel and
/// structure over it; planes in parallel.
pub(crate) fn paint(structures: &[Structure], axes: [GridAxis; 3]) -> Array3<u8> {
    let [z_axis, y_axis, x_axis] = axes;
    let mut indices = Array3::<u8>::zeros((z_axis.len, y_axis.len, x_axis.len));
    indices
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each(|(k, mut plane)| {
            let z = z_axis.at(k);
            for (index, structure) in structures.iter().enumerate() {
                for shape in &structure.shapes {
                    let (low, high) = shape.bounds(2);
                    if z < low || high < z {
                        continue;
                    }
                    for j in y_axis.indices(shape.bounds(1)) {
                        let Some(inside) = shape.row(y_axis.at(j), z) else {
                            continue;
                        };
                        let mut row = plane.row_mut(j);
                        for i in x_axis.indices(inside) {
                            if row[i] >= structure.over {
                                row[i] = index as u8;
                            }
                        }
                    }
                }
            }
        });
    indices
}
