//! Whether two scans can lie in one world.

use nephrite_types::Geometry;

/// True if the fields of view of two grids share a place in the world; oblique ones too.
///
/// Source: separating axis theorem for oriented boxes (Gottschalk, Lin, Manocha, SIGGRAPH 1996).
pub(super) fn overlap(a: &Geometry, b: &Geometry) -> bool {
    let (a, b) = (Block::of(a), Block::of(b));
    let faces = |block: &Block| [(0, 1), (1, 2), (2, 0)].map(|(i, j)| cross(block.edges[i], block.edges[j]));
    let edges = a
        .edges
        .iter()
        .flat_map(|e| b.edges.iter().map(move |f| cross(*e, *f)));
    let axes = faces(&a).into_iter().chain(faces(&b)).chain(edges);
    axes.filter(|axis| dot(*axis, *axis) > 1e-12)
        .all(|axis| a.shadow(axis)[0] < b.shadow(axis)[1] && b.shadow(axis)[0] < a.shadow(axis)[1])
}

/// A field of view, from outer face to outer face.
struct Block {
    corner: [f64; 3],
    edges: [[f64; 3]; 3],
}

impl Block {
    fn of(geometry: &Geometry) -> Block {
        let shape = geometry.shape.xyz();
        let rows = geometry.affine.rows();
        Block {
            corner: geometry.affine.world_from_voxel([-0.5; 3]),
            edges: std::array::from_fn(|axis| std::array::from_fn(|r| rows[r][axis] * shape[axis] as f64)),
        }
    }

    /// Least and greatest extent along an axis.
    fn shadow(&self, axis: [f64; 3]) -> [f64; 2] {
        let start = dot(self.corner, axis);
        self.edges.iter().fold([start, start], |[low, high], edge| {
            let length = dot(*edge, axis);
            [low + length.min(0.0), high + length.max(0.0)]
        })
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| {
        let (j, k) = ((i + 1) % 3, (i + 2) % 3);
        a[j] * b[k] - a[k] * b[j]
    })
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Affine, Shape3, Spacing};

    use super::*;

    fn cube(rows: [[f64; 3]; 3], origin: [f64; 3]) -> Geometry {
        let rows = std::array::from_fn(|r| [rows[r][0], rows[r][1], rows[r][2], origin[r]]);
        Geometry {
            shape: Shape3::new([10, 10, 10]).unwrap(),
            spacing: Spacing::new([1.0; 3]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        }
    }

    #[test]
    fn boxes_overlap_if_no_axis_parts_them() {
        let straight = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let half = 0.5f64.sqrt();
        let turned = [[half, -half, 0.0], [half, half, 0.0], [0.0, 0.0, 1.0]];
        let a = cube(straight, [0.0; 3]);
        for (b, expected) in [
            (cube(straight, [9.0, 9.0, 9.0]), true),
            (cube(straight, [10.0, 0.0, 0.0]), false), // faces touch
            (cube(straight, [0.0, 0.0, -40.0]), false),
            // a diamond whose bounding box overlaps, but which itself does not
            (cube(turned, [17.0, 4.0, 0.0]), false),
            (cube(turned, [12.0, 0.0, 0.0]), true),
        ] {
            assert_eq!((overlap(&a, &b), overlap(&b, &a)), (expected, expected), "{b:?}");
        }
    }
}
