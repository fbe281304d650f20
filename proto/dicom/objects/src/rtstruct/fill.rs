//! Voxels whose centers lie within closed lines of one frame.

use crate::ObjectError;

/// A point in voxels of a frame, `(row, column)`; whole numbers are centers.
pub(crate) type Point = (f64, f64);

/// Edges times rows that one slice may ask for; a detailed contour has ten thousand.
const MAX_CROSSINGS: u64 = 4 << 20;
/// Closer to a line than this, in voxels, a center lies on it.
const ON_LINE: f64 = 1e-3;

/// Runs `(row, start, end)`, sorted by row and start, of the voxels whose centers lie in an odd number of the lines, or on a line.
///
/// So lines along edges of voxels and lines through centers of voxels both give the voxels that they were made of.
///
/// # Errors
/// [`ObjectError::TooLarge`] if lines cross rows too often.
pub(crate) fn fill(
    lines: &[Vec<Point>],
    [rows, columns]: [usize; 2],
) -> Result<Vec<(u32, u32, u32)>, ObjectError> {
    let edges = lines
        .iter()
        .flat_map(|line| (0..line.len()).map(move |idx| (line[idx], line[(idx + 1) % line.len()])));
    let crossed = |(from, to): (Point, Point)| rows_of(from, to, rows).count() as u64;
    ObjectError::check(
        "crossings of contours with rows of a slice",
        edges.clone().map(crossed).sum(),
        MAX_CROSSINGS,
    )?;
    // For each row: where edges cross it, and stretches that lie on it.
    let mut crossings: Vec<Vec<f64>> = vec![Vec::new(); rows];
    let mut touched: Vec<Vec<(f64, f64)>> = vec![Vec::new(); rows];
    edges.for_each(|(from, to)| add_edge(from, to, &mut crossings, &mut touched));
    let mut runs = Vec::new();
    for row in 0..rows {
        let at = &mut crossings[row];
        at.sort_by(f64::total_cmp);
        // Centers from one crossing to the next; on a crossing, the stretch through it says so.
        let pairs = at.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let mut stretches: Vec<(i64, i64)> = pairs
            .chain(touched[row].iter().copied())
            .map(|(a, b)| {
                let start = (a.min(b) - ON_LINE).ceil().max(0.0);
                let end = ((a.max(b) + ON_LINE).floor() + 1.0).min(columns as f64);
                (start as i64, end as i64)
            })
            .filter(|(start, end)| start < end)
            .collect();
        stretches.sort_unstable();
        let first = runs.len();
        for (start, end) in stretches {
            let (start, end) = (start as u32, end as u32); // 0 to columns
            match runs[first..].last_mut() {
                Some((_, _, last)) if *last >= start => *last = end.max(*last),
                _ => runs.push((row as u32, start, end)),
            }
        }
    }
    Ok(runs)
}

/// Rows that an edge crosses or touches.
fn rows_of(from: Point, to: Point, rows: usize) -> std::ops::Range<usize> {
    let first = ((from.0.min(to.0) - ON_LINE).ceil() as i64).max(0);
    let end = ((from.0.max(to.0) + ON_LINE).floor() as i64)
        .saturating_add(1)
        .min(rows as i64);
    first as usize..end.max(first) as usize
}

/// Rows that an edge crosses, its lower end excluded so that lines through a point count once; and where it touches a row.
fn add_edge(from: Point, to: Point, crossings: &mut [Vec<f64>], touched: &mut [Vec<(f64, f64)>]) {
    let (upper, lower) = if from.0 <= to.0 { (from, to) } else { (to, from) };
    let height = lower.0 - upper.0;
    for row in rows_of(from, to, crossings.len()) {
        let y = row as f64;
        let places = &mut touched[row];
        if height <= 2.0 * ON_LINE {
            places.push((upper.1, lower.1)); // lies on the row
        }
        let is_crossed = upper.0 <= y && y < lower.0;
        if height > 0.0 {
            let share = ((y - upper.0) / height).clamp(0.0, 1.0);
            let x = upper.1 + share * (lower.1 - upper.1);
            places.push((x, x));
            if is_crossed {
                crossings[row].push(x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_along_edges_and_through_centers_give_their_voxels() {
        let square = |a: f64, b: f64| vec![(a, a), (a, b), (b, b), (b, a)];
        let expected: Vec<_> = (1..4).map(|row| (row, 1, 4)).collect();
        assert_eq!(fill(&[square(0.5, 3.5)], [5, 5]).unwrap(), expected);
        assert_eq!(fill(&[square(1.0, 3.0)], [5, 5]).unwrap(), expected);
        // A hole whose outline runs through the voxels around it.
        let with_hole = fill(&[square(0.0, 4.0), square(1.0, 3.0)], [5, 5]).unwrap();
        let n: u32 = with_hole.iter().map(|(_, start, end)| end - start).sum();
        assert_eq!(n, 24);
        assert_eq!(fill(&[square(0.5, 0.9)], [5, 5]).unwrap(), []);
        assert_eq!(
            fill(&[square(-10.0, 90.0)], [2, 3]).unwrap(),
            [(0, 0, 3), (1, 0, 3)]
        );
        let tall = [(0.0, 0.0), (60_000.0, 1.0)].repeat(100);
        let refused = fill(&[tall], [60_000, 2]).unwrap_err();
        assert!(matches!(
            refused,
            ObjectError::TooLarge {
                limit: MAX_CROSSINGS,
                ..
            }
        ));
    }
}
