//! The masks of a request on the frames of its grid.

use std::collections::BTreeMap;

use nephrite_mask_codec::{Run, RunMask};

use crate::ObjectError;
use crate::request::{ObjectRequest, Placement};
use crate::reslice::reslice;
use crate::stack::Stack;

/// Masks on the voxels of a stack, `[frame, row, column]`.
#[derive(Debug)]
pub(crate) struct Layers {
    pub(crate) stack: Stack,
    pub(crate) masks: Vec<RunMask>,
}

impl Layers {
    /// Every mask of a request on the grid that it is placed on: of the source, or that of the first mask.
    pub(crate) fn of(request: &ObjectRequest<'_>) -> Result<Layers, ObjectError> {
        let of_source = Stack::of_series(request.source, request.limits);
        let stack = match request.placement {
            Placement::OnSource => of_source?,
            Placement::OwnGrid => {
                // Sheared or uneven slices are what such a grid is for; without identifiers nothing is written.
                if let Err(error @ ObjectError::SourceUid { .. }) = of_source {
                    return Err(error);
                }
                let first = request
                    .masks
                    .first()
                    .ok_or(ObjectError::NothingToWrite { labels: Vec::new() })?;
                Stack::of_grid(first.runs().geometry(), request.limits)?
            }
        };
        let masks = request.masks.iter();
        let masks = masks.map(|mask| reslice(mask.runs(), &stack.geometry, &request.limits.mask));
        Ok(Layers {
            masks: masks.collect::<Result<_, _>>()?,
            stack,
        })
    }

    /// The frames in which each label of a mask occurs, ascending.
    pub(crate) fn frames_by_label(&self, layer: usize) -> BTreeMap<u16, Vec<usize>> {
        let rows = self.stack.geometry.shape.zyx()[1];
        let mut frames: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (row, runs) in self.masks[layer].rows().enumerate() {
            for run in runs {
                let of_label = frames.entry(run.label).or_default();
                if of_label.last() != Some(&(row / rows)) {
                    of_label.push(row / rows);
                }
            }
        }
        frames
    }

    /// Those of one label.
    pub(crate) fn frames_of(&self, layer: usize, label: u16) -> Vec<usize> {
        let rows = self.stack.geometry.shape.zyx()[1];
        let mut frames = Vec::new();
        for (row, runs) in self.masks[layer].rows().enumerate() {
            if frames.last() != Some(&(row / rows)) && runs.iter().any(|run| run.label == label) {
                frames.push(row / rows);
            }
        }
        frames
    }

    /// Rows of a frame with their runs.
    pub(crate) fn rows(&self, layer: usize, frame: usize) -> impl Iterator<Item = (usize, &[Run])> + Clone {
        let rows = self.stack.geometry.shape.zyx()[1];
        let mask = &self.masks[layer];
        (0..rows).map(move |row| (row, mask.row(frame * rows + row)))
    }
}
