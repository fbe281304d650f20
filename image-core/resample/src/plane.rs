//! Axis operators on one plane, `[rows, columns]` in C order.

use crate::Real;
use crate::axis::{AxisOperator, LANES, Lanes};
use crate::bounds::{Clip, LateClip, Range};
use crate::plan::Grid;

/// Samples that are turned at once, so that they stay in the cache.
const TILE: usize = 64;

/// What is done to every plane while it is in the cache: axes 1 and 2.
pub(crate) struct InPlane<T> {
    op_1: AxisOperator<T>,
    op_2: AxisOperator<T>,
    /// True if axis 1 goes first. Both orders give the same but for rounding.
    axis_1_first: bool,
}

/// What one thread needs to work on a plane.
pub(crate) struct PlaneBuffers<T> {
    source: Vec<T>,
    between: Vec<T>,
    scratch: Scratch<T>,
}

impl<T: Real> InPlane<T> {
    pub(crate) fn new(op_1: AxisOperator<T>, op_2: AxisOperator<T>, grid: Grid) -> Self {
        // The axis that shrinks more goes first; torch's trilinear kernel sums along the last axis first.
        let axis_1_first = op_1.m() * op_2.n() <= op_1.n() * op_2.m() && grid != Grid::Torch;
        InPlane {
            op_1,
            op_2,
            axis_1_first,
        }
    }

    /// `[rows, columns]` of a plane of the result.
    pub(crate) fn target_shape(&self) -> [usize; 2] {
        [self.op_1.m(), self.op_2.m()]
    }

    pub(crate) fn target_len(&self) -> usize {
        self.op_1.m() * self.op_2.m()
    }

    pub(crate) fn buffers(&self) -> PlaneBuffers<T> {
        let source_len = self.op_1.n() * self.op_2.n();
        let between_len = match (
            self.op_1.is_identity(),
            self.op_2.is_identity(),
            self.axis_1_first,
        ) {
            (true, _, _) | (_, true, _) => 0,
            (false, false, true) => self.op_1.m() * self.op_2.n(),
            (false, false, false) => self.op_1.n() * self.op_2.m(),
        };
        let zeros = |len| vec![T::zero(); len];
        PlaneBuffers {
            source: zeros(source_len),
            between: zeros(between_len),
            scratch: Scratch::new(),
        }
    }

    /// Fills one plane, resizes it into `target`, clips it if it is a slice of its own, and returns the ranges that a
    /// later clip needs.
    pub(crate) fn run(
        &self,
        fill: impl FnOnce(&mut [T]),
        target: &mut [T],
        clip: Clip,
        buffers: &mut PlaneBuffers<T>,
    ) -> Vec<Range<T>> {
        let PlaneBuffers {
            source,
            between,
            scratch,
        } = buffers;
        fill(source);
        let ranges = match clip {
            Clip::None => Vec::new(),
            Clip::Whole | Clip::Slices { axis: 0 } => vec![Range::of(source)],
            Clip::Slices { axis: 1 } => source.chunks_exact(self.op_2.n()).map(Range::of).collect(),
            Clip::Slices { .. } => ranges_of_columns(source, self.op_2.n()),
        };
        let (n_columns, m_columns) = (self.op_2.n(), self.op_2.m());
        match (self.op_1.is_identity(), self.op_2.is_identity()) {
            (true, true) => target.copy_from_slice(source),
            (false, true) => along_columns(&self.op_1, source, target, n_columns, scratch),
            (true, false) => along_rows(&self.op_2, source, target, scratch),
            (false, false) if self.axis_1_first => {
                along_columns(&self.op_1, source, between, n_columns, scratch);
                along_rows(&self.op_2, between, target, scratch);
            }
            (false, false) => {
                along_rows(&self.op_2, source, between, scratch);
                along_columns(&self.op_1, between, target, m_columns, scratch);
            }
        }
        if let (Clip::Slices { axis: 0 }, [range]) = (clip, &ranges[..]) {
            let range = range.finished();
            target.iter_mut().for_each(|value| *value = range.clip(*value));
        }
        ranges
    }

    /// The clip that is left to do once all planes have been seen; `ranges` are those of every plane.
    pub(crate) fn late_clip(&self, clip: Clip, ranges: Vec<Vec<Range<T>>>) -> Option<LateClip<T>> {
        let op = match clip {
            Clip::None | Clip::Slices { axis: 0 } => return None,
            Clip::Whole => return Some(LateClip::of_volume(ranges)),
            Clip::Slices { axis: 1 } => &self.op_1,
            Clip::Slices { .. } => &self.op_2,
        };
        let picks = op
            .picks()
            .expect("an operator that mixes slices is left to the last pass");
        match clip {
            Clip::Slices { axis: 1 } => Some(LateClip::rows(ranges, &picks, self.op_2.m())),
            _ => Some(LateClip::columns(ranges, &picks)),
        }
    }
}

fn ranges_of_columns<T: Real>(plane: &[T], width: usize) -> Vec<Range<T>> {
    let mut ranges = vec![Range::empty(); width];
    for row in plane.chunks_exact(width) {
        ranges
            .iter_mut()
            .zip(row)
            .for_each(|(range, &value)| range.add(value));
    }
    ranges
}

/// Blocks of lines on their way in and out of an operator.
pub(crate) struct Scratch<T> {
    pub(crate) block: Vec<Lanes<T>>,
    /// Output of lines that lie across the block.
    turned: Vec<Lanes<T>>,
}

impl<T> Scratch<T> {
    pub(crate) fn new() -> Self {
        Scratch {
            block: Vec::new(),
            turned: Vec::new(),
        }
    }
}

/// Applies `op` to the columns: `source` is `[op.n, width]`, `target` `[op.m, width]`.
pub(crate) fn along_columns<T: Real>(
    op: &AxisOperator<T>,
    source: &[T],
    target: &mut [T],
    width: usize,
    scratch: &mut Scratch<T>,
) {
    let block = &mut scratch.block;
    for column in (0..width).step_by(LANES) {
        let n_columns = LANES.min(width - column);
        for (lanes, row) in op.input(block).iter_mut().zip(source.chunks_exact(width)) {
            copy_padded(lanes, &row[column..column + n_columns]);
        }
        op.prepare(block);
        op.sample(block, |k, lanes| {
            target[k * width + column..][..n_columns].copy_from_slice(&lanes[..n_columns]);
        });
    }
}

/// Applies `op` to the rows: `source` is `[rows, op.n]`, `target` `[rows, op.m]`.
pub(crate) fn along_rows<T: Real>(
    op: &AxisOperator<T>,
    source: &[T],
    target: &mut [T],
    scratch: &mut Scratch<T>,
) {
    let (n, m) = (op.n(), op.m());
    let Scratch { block, turned } = scratch;
    turned.resize(m, [T::zero(); LANES]);
    for (source, target) in source.chunks(LANES * n).zip(target.chunks_mut(LANES * m)) {
        // Lanes past the last row keep what they had; they are not written back.
        for (tile, lanes) in op.input(block).chunks_mut(TILE).enumerate() {
            for (lane, row) in source.chunks_exact(n).enumerate() {
                let row = &row[tile * TILE..][..lanes.len()];
                lanes
                    .iter_mut()
                    .zip(row)
                    .for_each(|(lanes, &value)| lanes[lane] = value);
            }
        }
        op.prepare(block);
        op.sample(block, |k, lanes| turned[k] = lanes);
        for (tile, lanes) in turned.chunks(TILE).enumerate() {
            for (lane, row) in target.chunks_exact_mut(m).enumerate() {
                let row = &mut row[tile * TILE..][..lanes.len()];
                row.iter_mut()
                    .zip(lanes)
                    .for_each(|(value, lanes)| *value = lanes[lane]);
            }
        }
    }
}

/// Copies up to [`LANES`] values; the lanes past them become zero.
pub(crate) fn copy_padded<T: Real>(lanes: &mut Lanes<T>, values: &[T]) {
    match values.try_into() {
        Ok(values) => *lanes = values,
        Err(_) => {
            lanes[..values.len()].copy_from_slice(values);
            lanes[values.len()..].fill(T::zero());
        }
    }
}
