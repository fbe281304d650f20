//! Which frames a segmentation has.

use std::collections::BTreeSet;

use crate::layers::Layers;
use crate::request::{Segment, Segments};

/// A frame of a segmentation: of one segment, or of all where each voxel names its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameOf {
    /// Index among the segments that are written.
    pub(crate) segment: Option<usize>,
    /// Index in the stack.
    pub(crate) frame: usize,
}

/// Segment by segment, each in ascending order; frames without a voxel are left out.
pub(crate) fn binary_frames(layers: &Layers, segments: &Segments) -> Vec<FrameOf> {
    let by_label: Vec<_> = (0..layers.masks.len())
        .map(|layer| layers.frames_by_label(layer))
        .collect();
    let of_segment = |(idx, segment): (usize, &Segment)| {
        let frames = by_label[segment.layer]
            .get(&segment.id)
            .cloned()
            .unwrap_or_default();
        frames.into_iter().map(move |frame| FrameOf {
            segment: Some(idx),
            frame,
        })
    };
    segments.present.iter().enumerate().flat_map(of_segment).collect()
}

/// In ascending order; frames without a voxel are left out.
pub(crate) fn labelmap_frames(layers: &Layers) -> Vec<FrameOf> {
    let all = (0..layers.masks.len()).flat_map(|layer| layers.frames_by_label(layer).into_values().flatten());
    let frames: BTreeSet<usize> = all.collect();
    let frame = |frame| FrameOf { segment: None, frame };
    frames.into_iter().map(frame).collect()
}
