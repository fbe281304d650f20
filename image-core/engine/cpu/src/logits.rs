//! From channels-last to the order in which the caller wants the logits.

use crate::layout::Layout;

/// Logits, `[class, z, y, x]`, each plane cut into runs of `n` voxels: of each, the part of every class.
pub(crate) fn by_class(logits: &mut [f32], layout: Layout, n: usize) -> Vec<Vec<&mut [f32]>> {
    let per_plane = layout.size[1] * layout.size[2];
    let n_runs = layout.size[0] * per_plane.div_ceil(n);
    let mut runs: Vec<Vec<&mut [f32]>> = (0..n_runs).map(|_| Vec::new()).collect();
    for class in logits.chunks_exact_mut(layout.n_voxels()) {
        let parts = class
            .chunks_exact_mut(per_plane)
            .flat_map(|plane| plane.chunks_mut(n));
        for (run, part) in runs.iter_mut().zip(parts) {
            run.push(part);
        }
    }
    runs
}

/// `[voxel][class]` to the classes.
pub(crate) fn separate(values: &[f32], pitch: usize, classes: Vec<&mut [f32]>) {
    // By far the most common: what lies at a known distance is read faster.
    match pitch {
        8 => separate_by::<8>(values, classes),
        16 => separate_by::<16>(values, classes),
        _ => {
            for (class, to) in classes.into_iter().enumerate() {
                let values = values.chunks_exact(pitch);
                to.iter_mut()
                    .zip(values)
                    .for_each(|(to, values)| *to = values[class]);
            }
        }
    }
}

fn separate_by<const PITCH: usize>(values: &[f32], classes: Vec<&mut [f32]>) {
    let (values, _) = values.as_chunks::<PITCH>();
    for (class, to) in classes.into_iter().enumerate().take(PITCH) {
        to.iter_mut()
            .zip(values)
            .for_each(|(to, values)| *to = values[class]);
    }
}
