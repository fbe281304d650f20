//! A grid as a radiologist looks at it.

use nephrite_kernel::Geometry;

/// The three orthogonal planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Across the body's length.
    Axial,
    /// Parallel to the front.
    Coronal,
    /// Parallel to the side.
    Sagittal,
}

impl Plane {
    /// In the order of radiology.
    pub const ALL: [Plane; 3] = [Plane::Axial, Plane::Coronal, Plane::Sagittal];

    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Plane::Axial => "axial",
            Plane::Coronal => "coronal",
            Plane::Sagittal => "sagittal",
        }
    }

    /// The world axis across the plane.
    pub(crate) fn axis_name(self) -> &'static str {
        ["x", "y", "z"][self.world_axes()[0]]
    }

    /// What lies at the left and at the right edge: the patient's right at the left, as in radiology; the front at the
    /// left in the sagittal plane.
    pub fn edges(self) -> [&'static str; 2] {
        match self {
            Plane::Axial | Plane::Coronal => ["R", "L"],
            Plane::Sagittal => ["A", "P"],
        }
    }

    /// World axes (0 x, 1 y, 2 z): across the plane, down the picture, to the right in the picture.
    pub fn world_axes(self) -> [usize; 3] {
        match self {
            Plane::Axial => [2, 1, 0],
            Plane::Coronal => [1, 2, 0],
            Plane::Sagittal => [0, 2, 1],
        }
    }
}

/// One axis of the grid as it appears in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Side {
    /// 0 z, 1 y, 2 x.
    pub(crate) array_axis: usize,
    /// True if the picture begins at the last voxel.
    pub(crate) reversed: bool,
    /// Number of voxels.
    pub(crate) n: usize,
    /// From voxel to voxel.
    pub(crate) step_mm: f64,
}

/// How the grid lies to a plane: the sides across the plane (from the front: toward the viewer first), down, and to
/// the right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct View {
    pub(crate) across: Side,
    pub(crate) down: Side,
    pub(crate) right: Side,
}

/// Which array axis runs along which world axis (x, y, z): the assignment with the greatest sum of direction cosines.
/// An oblique grid is shown along its own axes.
fn array_axes(geometry: &Geometry) -> [usize; 3] {
    const ORDERS: [[usize; 3]; 6] = [[2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 1, 2], [1, 0, 2], [0, 2, 1]];
    let rows = geometry.affine.rows();
    let norms = geometry.affine.column_norms_xyz();
    let fit = |order: [usize; 3]| -> f64 {
        (0..3)
            .map(|world| rows[world][2 - order[world]].abs() / norms[2 - order[world]])
            .sum()
    };
    ORDERS.into_iter().fold(ORDERS[0], |best, order| {
        if fit(order) > fit(best) + 1e-9 {
            order
        } else {
            best
        }
    })
}

pub(crate) fn view(geometry: &Geometry, plane: Plane) -> View {
    let axes = array_axes(geometry);
    let norms = geometry.affine.column_norms_xyz();
    let [across, down, right] = plane.world_axes().map(|world| {
        let array_axis = axes[world];
        Side {
            array_axis,
            // every world axis grows away from where the picture begins: right, front, head
            reversed: geometry.affine.rows()[world][2 - array_axis] > 0.0,
            n: geometry.shape.zyx()[array_axis],
            step_mm: norms[2 - array_axis],
        }
    });
    View { across, down, right }
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Affine, Shape3, Spacing};

    use super::*;

    fn geometry(rows: [[f64; 4]; 3]) -> Geometry {
        Geometry {
            shape: Shape3::new([4, 5, 6]).unwrap(),
            spacing: Spacing::new([1.0; 3]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        }
    }

    #[test]
    fn axes_follow_the_world() {
        // array x runs to the head, y to the left, z to the back
        let geometry = geometry([[0.0, -2.0, 0.0, 0.0], [0.0, 0.0, -3.0, 0.0], [1.5, 0.0, 0.0, 0.0]]);
        let axial = view(&geometry, Plane::Axial);
        let side = |array_axis, reversed, n, step_mm| Side {
            array_axis,
            reversed,
            n,
            step_mm,
        };
        assert_eq!(axial.across, side(2, true, 6, 1.5));
        assert_eq!(axial.down, side(0, false, 4, 3.0));
        assert_eq!(axial.right, side(1, false, 5, 2.0));
    }

    #[test]
    fn an_oblique_grid_uses_every_axis_once() {
        let geometry = geometry([
            [0.6, -0.8, 0.0, 0.0],
            [0.48, 0.36, -0.8, 0.0],
            [0.64, 0.48, 0.6, 0.0],
        ]);
        let mut axes = array_axes(&geometry);
        axes.sort_unstable();
        assert_eq!(axes, [0, 1, 2]);
    }
}
