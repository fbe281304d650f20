use nephrite_kernel::RunMask;
use nephrite_types::BoundingBox;

/// The runs of one label within its box: what meshes and diameters are made from.
///
/// *Cost*: 8 bytes per run of the label and 4 per row of its box.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    pub(crate) bounds: BoundingBox,
    /// Row `(z − z₀)·ny + (y − y₀)` of the box.
    row_starts: Vec<u32>,
    /// First voxel and first voxel past the end, x index of the mask.
    spans: Vec<[u32; 2]>,
}

impl Spans {
    /// `bounds` is the box of the label.
    pub(crate) fn of(mask: &RunMask, label: u16, bounds: BoundingBox) -> Spans {
        let ny = mask.shape()[1];
        let mut row_starts = vec![0];
        let mut spans = Vec::new();
        for z in bounds.start[0]..bounds.end[0] {
            for y in bounds.start[1]..bounds.end[1] {
                let own = mask.row(z * ny + y).iter().filter(|run| run.label == label);
                spans.extend(own.map(|run| [run.start, run.end]));
                row_starts.push(spans.len() as u32); // no more than the mask has, whose number fits
            }
        }
        Spans {
            bounds,
            row_starts,
            spans,
        }
    }

    /// Spans of a row, by indices of the mask; none outside of the box.
    pub(crate) fn row(&self, z: i64, y: i64) -> &[[u32; 2]] {
        let (Ok(z), Ok(y)) = (usize::try_from(z), usize::try_from(y)) else {
            return &[];
        };
        let BoundingBox { start, end } = self.bounds;
        if z < start[0] || z >= end[0] || y < start[1] || y >= end[1] {
            return &[];
        }
        let row = (z - start[0]) * (end[1] - start[1]) + (y - start[1]);
        &self.spans[self.row_starts[row] as usize..self.row_starts[row + 1] as usize]
    }
}
