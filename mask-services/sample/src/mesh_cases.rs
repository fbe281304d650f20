//! The 256 ways in which a surface crosses a cell between eight voxel centers.

use std::sync::LazyLock;

/// x, y, z within the cell, 0 to 1.
pub(crate) type Corner = [f64; 3];

/// The surface within one cell; counter-clockwise seen from outside, in a right-handed grid.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    pub(crate) triangles: Vec<[Corner; 3]>,
}

/// Voxel `k` of a cell lies at x = bit 2, y = bit 0, z = bit 1 of `k`; it belongs to the label if bit `k` of the case is
/// set.
type Voxel = usize;

/// Two voxels that differ in one bit, the smaller first.
type Edge = [Voxel; 2];

/// All cases, by their bits.
pub(crate) fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| (0..=u8::MAX).map(case).collect());
    &CASES
}

fn case(bits: u8) -> Case {
    let mut triangles = Vec::new();
    for polygon in polygons(bits) {
        triangulate(&polygon, &mut triangles);
    }
    Case { triangles }
}

/// Bit of `k` that says where a voxel lies along x, y, z.
const AXIS_BIT: [usize; 3] = [2, 0, 1];

fn coordinate(voxel: Voxel, axis: usize) -> usize {
    voxel >> AXIS_BIT[axis] & 1
}

/// The four voxels of every face, counter-clockwise seen from outside the cell.
fn faces() -> [[Voxel; 4]; 6] {
    std::array::from_fn(|face| {
        let (axis, side) = (face / 2, face % 2);
        let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
        let around = [[0, 0], [1, 0], [1, 1], [0, 1]];
        let mut voxels = around.map(|[a, b]| side << AXIS_BIT[axis] | a << AXIS_BIT[u] | b << AXIS_BIT[v]);
        if side == 0 {
            voxels.reverse();
        }
        voxels
    })
}

fn edge(a: Voxel, b: Voxel) -> Edge {
    [a.min(b), a.max(b)]
}

/// Closed polygons through the edges that the surface crosses.
///
/// Around every face, the surface runs from the edge where the label begins to one where it ends; so each crossed edge is
/// left in one of its two faces and arrived at in the other. With four crossed edges, each stretch of background between
/// them is cut off: the diagonal voxels of the label stay connected.
fn polygons(bits: u8) -> Vec<Vec<Edge>> {
    let inside = |voxel: Voxel| bits >> voxel & 1 == 1;
    let mut next: Vec<(Edge, Edge)> = Vec::new();
    for face in faces() {
        for k in 0..4 {
            let (a, b) = (face[k], face[(k + 1) % 4]);
            if !inside(a) || inside(b) {
                continue;
            }
            // the label ends between a and b; find where it begins again
            let again = (1..4).find(|step| inside(face[(k + step + 1) % 4]));
            if let Some(step) = again {
                let begins = edge(face[(k + step) % 4], face[(k + step + 1) % 4]);
                next.push((begins, edge(a, b)));
            }
        }
    }
    let mut polygons = Vec::new();
    while let Some((first, mut at)) = next.pop() {
        let mut polygon = vec![first];
        while at != first {
            polygon.push(at);
            let Some(idx) = next.iter().position(|(from, _)| *from == at) else {
                break; // every crossed edge has one next edge
            };
            at = next.swap_remove(idx).1;
        }
        polygons.push(polygon);
    }
    polygons
}

/// The middle of an edge.
fn middle(edge: Edge) -> Corner {
    std::array::from_fn(|axis| (coordinate(edge[0], axis) + coordinate(edge[1], axis)) as f64 / 2.0)
}

/// True if both lie on one face of the cell: a line between them could meet one of the neighboring cell.
fn share_a_face(a: Edge, b: Edge) -> bool {
    (0..3).any(|axis| {
        let side = coordinate(a[0], axis);
        [a[1], b[0], b[1]]
            .iter()
            .all(|voxel| coordinate(*voxel, axis) == side)
    })
}

fn triangulate(polygon: &[Edge], triangles: &mut Vec<[Corner; 3]>) {
    let n = polygon.len();
    let fan = (0..n).find(|&tip| (2..n - 1).all(|k| !share_a_face(polygon[tip], polygon[(tip + k) % n])));
    let at = |k: usize| middle(polygon[k % n]);
    match fan {
        Some(tip) => triangles.extend((1..n - 1).map(|k| [at(tip), at(tip + k), at(tip + k + 1)])),
        None => {
            let centre = std::array::from_fn(|axis| (0..n).map(|k| at(k)[axis]).sum::<f64>() / n as f64);
            triangles.extend((0..n).map(|k| [centre, at(k), at(k + 1)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygons_pass_every_crossed_edge_once() {
        for bits in 0..=u8::MAX {
            let mut passed: Vec<Edge> = polygons(bits).concat();
            passed.sort_unstable();
            let mut crossed = Vec::new();
            for a in 0..8usize {
                for bit in 0..3 {
                    let b = a ^ 1 << bit;
                    if a < b && (bits >> a & 1) != (bits >> b & 1) {
                        crossed.push([a, b]);
                    }
                }
            }
            crossed.sort_unstable();
            assert_eq!(passed, crossed, "{bits:08b}");
            assert!(
                polygons(bits).iter().all(|polygon| polygon.len() >= 3),
                "{bits:08b}"
            );
        }
    }

    #[test]
    fn no_two_triangles_of_a_cell_share_an_edge_in_one_direction() {
        for bits in 0..=u8::MAX {
            let mut edges: Vec<[Corner; 2]> = Vec::new();
            for triangle in case(bits).triangles {
                for k in 0..3 {
                    let edge = [triangle[k], triangle[(k + 1) % 3]];
                    assert!(!edges.contains(&edge), "{bits:08b}");
                    assert_ne!(edge[0], edge[1], "{bits:08b}");
                    edges.push(edge);
                }
            }
        }
    }

    #[test]
    fn a_case_has_at_most_twelve_triangles() {
        let most = cases().iter().map(|case| case.triangles.len()).max();
        assert!(most <= Some(12), "{most:?}");
        assert!(cases()[0].triangles.is_empty() && cases()[255].triangles.is_empty());
    }
}
