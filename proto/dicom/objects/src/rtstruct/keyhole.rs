//! Outlines with holes as one closed line: a channel without width leads to each hole and back.

use std::collections::BTreeMap;

use super::trace::{Corner, Outline};

/// One closed line for each outer outline, with all of its holes.
///
/// From the uppermost, leftmost corner of a hole a channel goes left, through voxels of the label, to the first corner of
/// another outline around the same voxels. So holes hang from each other as a tree whose root is the outer outline.
pub(crate) fn with_keyholes(outlines: &[Outline]) -> Vec<Vec<Corner>> {
    // Outlines through a corner, with the place in each.
    let mut passes: BTreeMap<Corner, Vec<(usize, usize)>> = BTreeMap::new();
    for (idx, outline) in outlines.iter().enumerate() {
        for (place, corner) in outline.corners.iter().enumerate() {
            passes.entry(*corner).or_default().push((idx, place));
        }
    }
    // For each outline, the holes that hang from it: where, and which.
    let mut hanging: Vec<BTreeMap<usize, Vec<usize>>> = vec![BTreeMap::new(); outlines.len()];
    for (hole, outline) in outlines.iter().enumerate().filter(|(_, outline)| outline.is_hole) {
        let (row, column) = outline.corners[0]; // uppermost and leftmost, since outlines begin there
        let left = passes.range((row, 0)..(row, column)).next_back();
        let (_, through) = left.expect("a hole has voxels of the label to its left, and those an edge");
        let &(to, place) = &through[0];
        hanging[to].entry(place).or_default().push(hole);
    }
    let outer = (0..outlines.len()).filter(|&idx| !outlines[idx].is_hole);
    outer.map(|idx| walk(idx, outlines, &hanging)).collect()
}

/// An outline that is being walked.
struct Walk {
    outline: usize,
    /// Corners done.
    done: usize,
    /// Holes done that hang from the last corner.
    holes_done: usize,
}

/// Along an outline, down each channel when it comes by, around the hole, and back.
fn walk(outer: usize, outlines: &[Outline], hanging: &[BTreeMap<usize, Vec<usize>>]) -> Vec<Corner> {
    let begin = |outline| Walk {
        outline,
        done: 0,
        holes_done: 0,
    };
    let mut line = Vec::new();
    let mut stack = vec![begin(outer)];
    while let Some(walk) = stack.last_mut() {
        let corners = &outlines[walk.outline].corners;
        let holes = walk
            .done
            .checked_sub(1)
            .and_then(|place| hanging[walk.outline].get(&place));
        if let Some(&hole) = holes.and_then(|holes| holes.get(walk.holes_done)) {
            walk.holes_done += 1;
            stack.push(begin(hole));
            continue;
        }
        if walk.done > 0 && walk.holes_done > 0 {
            line.push(corners[walk.done - 1]); // back from the last channel
        }
        walk.holes_done = 0;
        if walk.done < corners.len() {
            line.push(corners[walk.done]);
            walk.done += 1;
            continue;
        }
        if stack.len() > 1 {
            line.push(corners[0]); // a hole ends where its channel leads back
        }
        stack.pop();
    }
    line
}
