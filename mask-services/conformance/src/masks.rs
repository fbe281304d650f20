//! The masks of the cases. Labels are called `label_1`, `label_2` …; both of them are in every table, present or not.

use std::sync::Arc;

use nephrite_kernel::{LabelEntry, LabelStatus, LabelTable, Mask, Run, RunMaskBuilder};
use nephrite_types::{Affine, Geometry, Limits, Shape3, Spacing};

/// A geometry along the axes; `[z, y, x]`.
fn geometry(shape: [usize; 3], spacing: [f64; 3]) -> Geometry {
    let spacing = Spacing::new(spacing).expect("positive");
    Geometry {
        shape: Shape3::new(shape).expect("not empty"),
        spacing,
        affine: Affine::from_spacing(spacing, [-12.5, 7.25, 100.0]),
    }
}

/// A mask row by row. `row` gives the runs of a row at `(z, y)`.
fn build(geometry: Geometry, n_labels: u16, row: impl Fn(u32, u32) -> Vec<Run>) -> Arc<Mask> {
    let [nz, ny, _] = geometry.shape.zyx().map(|n| n as u32); // ours, and small
    let mut builder = RunMaskBuilder::new(geometry, &Limits::default()).expect("within the limits");
    for z in 0..nz {
        for y in 0..ny {
            builder.push_row(row(z, y)).expect("sorted runs within the row");
        }
    }
    let entries = (1..=n_labels).map(|id| LabelEntry {
        id,
        name: format!("label_{id}"),
        status: LabelStatus::Present,
    });
    let table = LabelTable::new(entries.collect()).expect("ids and names occur once");
    let runs = builder.finish().expect("all rows are there");
    Arc::new(Mask::new(runs, table).expect("all labels are named"))
}

fn run(start: u32, end: u32, label: u16) -> Run {
    Run { start, end, label }
}

/// Label 1: a block with a cavity, and a crumb. Label 2: a rod along z that touches the block.
fn structures(z: u32, y: u32) -> Vec<Run> {
    let mut row = Vec::new();
    if (4..14).contains(&z) && (3..12).contains(&y) {
        let hollow = (7..9).contains(&z) && (6..8).contains(&y);
        if hollow {
            row.extend([run(3, 6, 1), run(9, 12, 1)]);
        } else {
            row.push(run(3, 12, 1));
        }
    }
    if z > 0 && (8..11).contains(&y) {
        row.push(run(12, 15, 2));
    }
    if z == 17 && y == 17 {
        row.push(run(20, 22, 1));
    }
    row
}

/// Two structures that touch, of 20 × 18 × 24 voxels of 1.5 × 0.8 × 0.75 mm.
pub(crate) fn ordinary() -> Arc<Mask> {
    build(geometry([20, 18, 24], [1.5, 0.8, 0.75]), 2, structures)
}

/// The same in a world at an angle.
pub(crate) fn oblique() -> Arc<Mask> {
    let (sin, cos) = 0.3f64.sin_cos();
    let mut oblique = geometry([20, 18, 24], [1.5, 0.8, 0.75]);
    let rows = [
        [-0.75 * cos, 0.0, 1.5 * sin, 80.0],
        [0.0, -0.8, 0.0, -35.5],
        [0.75 * sin, 0.0, 1.5 * cos, 12.25],
    ];
    oblique.affine = Affine::new(rows).expect("a rotation, two flips and the spacing");
    build(oblique, 2, structures)
}

/// The same with slices much thicker than pixels.
pub(crate) fn anisotropic() -> Arc<Mask> {
    build(geometry([20, 18, 24], [7.5, 0.4, 0.9]), 2, structures)
}

/// Both labels were looked for, and neither was found.
pub(crate) fn empty() -> Arc<Mask> {
    build(geometry([20, 18, 24], [1.5, 0.8, 0.75]), 2, |_, _| Vec::new())
}

/// Every voxel is label 1.
pub(crate) fn full() -> Arc<Mask> {
    build(geometry([12, 14, 16], [1.0, 1.0, 1.0]), 2, |_, _| {
        vec![run(0, 16, 1)]
    })
}

/// One voxel in the corner.
pub(crate) fn one_voxel() -> Arc<Mask> {
    build(geometry([20, 18, 24], [1.5, 0.8, 0.75]), 2, |z, y| match (z, y) {
        (19, 17) => vec![run(23, 24, 1)],
        _ => Vec::new(),
    })
}

/// A whole body: 512 × 512 × 800 voxels, a rod through all planes and a few hundred blocks far apart.
pub(crate) fn huge() -> Arc<Mask> {
    build(geometry([800, 512, 512], [1.0, 0.8, 0.8]), 2, |z, y| {
        let mut row = Vec::new();
        if z % 100 < 6 && y % 128 < 5 {
            row.extend((0..4).map(|block| run(20 + 100 * block, 25 + 100 * block, 2)));
        }
        if (250..255).contains(&y) {
            row.push(run(450, 456, 1));
        }
        row
    })
}

/// As many labels, a few voxels each.
pub(crate) fn many_labels(n_labels: u16) -> Arc<Mask> {
    build(geometry([20, 20, 24], [1.0, 1.0, 1.0]), n_labels, |z, y| {
        let blocks = (0..6u32).map(|block| {
            let label = (z / 2 * 10 + y / 2) * 6 + block + 1;
            (label, run(block * 4, block * 4 + 3, label as u16)) // at most 600
        });
        let inside = blocks.filter(|(label, _)| *label <= u32::from(n_labels));
        inside.map(|(_, run)| run).collect()
    })
}

/// One that takes more than 1 MiB: noise.
pub(crate) fn noisy() -> Arc<Mask> {
    build(geometry([96, 256, 256], [1.0, 1.0, 1.0]), 2, |z, y| {
        // Source: the generator of Numerical Recipes ("quick and dirty"), as noise that is the same everywhere.
        let mut state = (z * 256 + y + 1).wrapping_mul(2_654_435_769);
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        };
        let mut row = Vec::new();
        let mut x = 0;
        while x < 250 {
            let start = x + random() % 3;
            let end = start + 1 + random() % 2;
            row.push(run(start, end, 1 + (random() % 2) as u16)); // 1 or 2
            x = end;
        }
        row
    })
}

#[cfg(test)]
mod tests {
    use nephrite_mask_codec::EncodedMask;

    use super::*;

    #[test]
    fn masks_are_what_their_names_say() {
        let n_labels = |mask: &Mask| mask.summaries().len();
        assert_eq!(n_labels(&ordinary()), 2);
        assert_eq!(n_labels(&empty()), 0);
        assert_eq!(full().summaries()[&1].voxels, 12 * 14 * 16);
        assert_eq!(one_voxel().summaries()[&1].voxels, 1);
        assert_eq!(n_labels(&many_labels(255)), 255);
        assert_eq!(n_labels(&many_labels(300)), 300);
        assert!(EncodedMask::encode(&noisy()).unwrap().payload.len() > 1 << 20);
        let huge = huge();
        assert_eq!(huge.runs().shape(), [800, 512, 512]);
        assert!(EncodedMask::encode(&huge).unwrap().payload.len() < 1 << 20);
    }
}
