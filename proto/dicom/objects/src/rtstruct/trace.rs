//! Outlines of a label in one frame, along the edges of its voxels.
//!
//! Corners of voxels are whole numbers here: corner `(r, c)` lies half a voxel before row `r` and column `c`. Voxels that touch
//! at a corner only are not connected: where four edges meet, an outline turns toward the voxel that it has followed.

use std::collections::BTreeMap;

/// A corner of voxels, `(row, column)`.
pub(crate) type Corner = (u32, u32);

/// A closed outline, unit step by unit step; the label lies to its right when rows count down and columns to the right, so
/// outer outlines go clockwise and holes counterclockwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Every corner that it passes, each once in a row; the last is a step away from the first.
    pub(crate) corners: Vec<Corner>,
    /// Whether it goes around a hole.
    pub(crate) is_hole: bool,
}

/// Right, down, left, up.
const STEPS: [(i64, i64); 4] = [(0, 1), (1, 0), (0, -1), (-1, 0)];

/// All outlines, in the order of their first corner, of runs `(row, start, end)` sorted by row and start.
pub(crate) fn outlines(runs: &[(u32, u32, u32)]) -> Vec<Outline> {
    let mut edges = edges_of(runs);
    let mut outlines = Vec::new();
    while let Some((&start, _)) = edges.first_key_value() {
        // The first corner left is the uppermost and leftmost: the only way along an outer outline from there is right, and
        // along a hole down. No outline passes it twice: it would go on above it, or to its left.
        let mut direction = take(&mut edges, start, None);
        let first_direction = direction;
        let mut corners = vec![start];
        let mut at = step(start, direction);
        while at != start {
            direction = take(&mut edges, at, Some(direction));
            corners.push(at);
            at = step(at, direction);
        }
        let is_hole = first_direction != 0;
        outlines.push(Outline { corners, is_hole });
    }
    outlines
}

fn step((row, column): Corner, direction: usize) -> Corner {
    let (dr, dc) = STEPS[direction];
    ((i64::from(row) + dr) as u32, (i64::from(column) + dc) as u32) // edges lie within the frame
}

/// Takes an edge that leaves a corner: of two, the one that turns right, toward the voxel that was followed.
fn take(edges: &mut BTreeMap<Corner, u8>, at: Corner, came: Option<usize>) -> usize {
    let left = edges
        .get_mut(&at)
        .expect("as many edges leave a corner as come to it");
    let right = came
        .map(|came| (came + 1) % 4)
        .filter(|turn| *left & (1 << turn) != 0);
    let direction = right.unwrap_or(left.trailing_zeros() as usize);
    *left &= !(1 << direction);
    if *left == 0 {
        edges.remove(&at);
    }
    direction
}

/// Directed edges between the label and the rest, as bits of directions by the corner that they leave.
fn edges_of(runs: &[(u32, u32, u32)]) -> BTreeMap<Corner, u8> {
    let mut edges: BTreeMap<Corner, u8> = BTreeMap::new();
    let mut add = |corner: Corner, direction: usize| *edges.entry(corner).or_default() |= 1 << direction;
    for &(row, start, end) in runs {
        add((row, end), 1); // down along the right side
        add((row + 1, start), 3); // up along the left side
    }
    let rows: Vec<&[(u32, u32, u32)]> = runs.chunk_by(|a, b| a.0 == b.0).collect();
    for (idx, row) in rows.iter().enumerate() {
        let at = row[0].0;
        let above = idx
            .checked_sub(1)
            .map(|above| rows[above])
            .filter(|above| above[0].0 + 1 == at);
        let below = rows.get(idx + 1).copied().filter(|below| below[0].0 == at + 1);
        for column in uncovered(row, above.unwrap_or_default()) {
            add((at, column), 0); // right along the upper side
        }
        for column in uncovered(row, below.unwrap_or_default()) {
            add((at + 1, column + 1), 2); // left along the lower side
        }
    }
    edges
}

/// Columns of `row` that `other` does not cover.
fn uncovered<'a>(row: &'a [(u32, u32, u32)], other: &'a [(u32, u32, u32)]) -> impl Iterator<Item = u32> + 'a {
    row.iter().flat_map(move |&(_, start, end)| {
        let mut next = other.partition_point(|run| run.2 <= start);
        (start..end).filter(move |&column| {
            while other.get(next).is_some_and(|run| run.2 <= column) {
                next += 1;
            }
            other.get(next).is_none_or(|run| run.1 > column)
        })
    })
}

/// Corners where an outline turns; those on a straight line between two others are left out.
pub(crate) fn turning_points(corners: &[Corner]) -> Vec<Corner> {
    let n = corners.len();
    let is_straight = |idx: usize| {
        let (before, here, after) = (corners[(idx + n - 1) % n], corners[idx], corners[(idx + 1) % n]);
        let difference =
            |a: Corner, b: Corner| (i64::from(b.0) - i64::from(a.0), i64::from(b.1) - i64::from(a.1));
        difference(before, here) == difference(here, after)
    };
    (0..n)
        .filter(|&idx| !is_straight(idx))
        .map(|idx| corners[idx])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(picture: &[&str]) -> Vec<(u32, u32, u32)> {
        let mut runs = Vec::new();
        for (row, line) in picture.iter().enumerate() {
            let mut at = 0;
            for chunk in line.as_bytes().chunk_by(|a, b| a == b) {
                if chunk[0] == b'#' {
                    runs.push((row as u32, at, at + chunk.len() as u32));
                }
                at += chunk.len() as u32;
            }
        }
        runs
    }

    fn shapes(picture: &[&str]) -> Vec<(bool, Vec<Corner>)> {
        let found = outlines(&runs(picture));
        found
            .iter()
            .map(|outline| (outline.is_hole, turning_points(&outline.corners)))
            .collect()
    }

    #[test]
    fn outlines_follow_edges() {
        assert_eq!(shapes(&["#"]), [(false, vec![(0, 0), (0, 1), (1, 1), (1, 0)])]);
        let l = shapes(&["#.", "##"]);
        assert_eq!(l, [(false, vec![(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 0)])]);
        assert_eq!(shapes(&["..."]), []);
    }

    #[test]
    fn holes_are_outlines_of_their_own() {
        let ring = shapes(&["###", "#.#", "###"]);
        let outer = (false, vec![(0, 0), (0, 3), (3, 3), (3, 0)]);
        assert_eq!(ring, [outer, (true, vec![(1, 1), (2, 1), (2, 2), (1, 2)])]);
    }

    #[test]
    fn voxels_that_touch_at_a_corner_are_apart() {
        let square = |r, c| (false, vec![(r, c), (r, c + 1), (r + 1, c + 1), (r + 1, c)]);
        assert_eq!(shapes(&["#.", ".#"]), [square(0, 0), square(1, 1)]);
        assert_eq!(shapes(&[".#", "#."]), [square(0, 1), square(1, 0)]);
        // Holes that touch at a corner are one: background is connected there, where the label is not.
        let two_holes = shapes(&["####", "#.##", "##.#", "####"]);
        assert_eq!(two_holes.len(), 2);
        let open = shapes(&["###", "#.#", "##."]);
        assert_eq!(
            open.len(),
            1,
            "a hole that touches the outside is no hole: {open:?}"
        );
    }
}
