//! Class sums of a case on a card: a ring of planes that tiles are added to, from which labels of the scan are made.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::card::Card;
use crate::device::Mark;
use crate::memory::{At, Memory};
use crate::network::HeadInput;
use crate::scan::Scan;
use crate::tile_run::TileRun;
use crate::work::{FEW_CLASSES, Interpolation, Ring, Tap, Work};
use crate::{CudaError, Network, Precision};

/// Shape of class sums, axes `[z, y, x]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumsShape {
    /// The grid of the network, with its padding: no smaller than the patch.
    pub grid: [usize; 3],
    /// The input of the network.
    pub patch: [usize; 3],
    /// Channels of its output.
    pub n_classes: usize,
}

impl SumsShape {
    /// The axis along which tiles advance: planes across it are few, and used again. That with which sums take the least memory.
    pub fn axis(&self) -> usize {
        let n = |axis: &usize| product(self.size_along(*axis));
        (0..3).min_by_key(n).unwrap_or(0)
    }

    /// Bytes of sums and weights.
    pub fn bytes(&self) -> u64 {
        let n_voxels = product(self.size());
        n_voxels
            .saturating_mul(self.pitch() as u64 + 1)
            .saturating_mul(size_of::<f32>() as u64)
    }

    fn size(&self) -> [usize; 3] {
        self.size_along(self.axis())
    }

    /// One plane more than the patch is deep: the last finished one is still read when the next ones are.
    fn size_along(&self, axis: usize) -> [usize; 3] {
        let mut size = self.grid;
        size[axis] = (self.patch[axis] + 1).min(self.grid[axis]);
        size
    }

    fn pitch(&self) -> usize {
        match self.n_classes <= FEW_CLASSES {
            true => self.n_classes,
            false => self.n_classes.next_multiple_of(2), // two at a time
        }
    }
}

fn product(size: [usize; 3]) -> u64 {
    size.iter().fold(1, |n: u64, len| n.saturating_mul(*len as u64))
}

/// Where an index of the scan lies on the padded grid of the network: between two indices, and how much of each it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridTap {
    /// The lower index.
    pub lo: usize,
    /// The higher index, or the same.
    pub hi: usize,
    /// Of the lower.
    pub w_lo: f32,
    /// Of the higher.
    pub w_hi: f32,
}

impl GridTap {
    /// One index, whole.
    pub fn at(index: usize) -> Self {
        GridTap {
            lo: index,
            hi: index,
            w_lo: 1.0,
            w_hi: 0.0,
        }
    }
}

/// What class sums become.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Where each index of the scan lies, for each of its axes `[z, y, x]`.
    pub taps: [Vec<GridTap>; 3],
    /// The label that each region writes, if classes are regions; the class itself otherwise.
    pub class_order: Option<Vec<u16>>,
    /// Labels are u16, otherwise u8.
    pub is_wide: bool,
}

/// Labels of a box of voxels, `[z, y, x]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelBox<'l> {
    /// Values up to 255.
    U8(&'l [u8]),
    /// All others.
    U16(&'l [u16]),
}

/// Class sums of a case.
#[derive(Debug)]
pub struct ClassSums {
    card: Arc<Card>,
    shape: SumsShape,
    size: [usize; 3],
    sums: Arc<Memory>,
    weights: Arc<Memory>,
    /// `[z, y, x]` of the patch.
    importance: At,
    /// One u32 for each tile.
    not_finite: Arc<Memory>,
    n_tiles: usize,
    /// Runs that may not be done yet.
    queued: VecDeque<Mark>,
    outcome: Option<UploadedOutcome>,
}

#[derive(Debug)]
struct UploadedOutcome {
    taps: [At; 3],
    /// Voxels of the scan.
    voxels: [usize; 3],
    class_order: Option<At>,
    is_wide: bool,
    /// For labels on their way to the host.
    labels: Arc<Memory>,
}

/// Runs that wait on the card at most: enough that it never waits, few enough that canceling takes effect within a tile.
const MAX_QUEUED: usize = 2;

impl ClassSums {
    /// Bytes of labels, or of logits, that are made at once.
    pub const OUTPUT_BYTES: usize = 8 << 20;

    /// Class sums, all zero. `importance` is that of the voxels of a patch.
    ///
    /// # Errors
    /// [`CudaError::Memory`]; what the driver says.
    ///
    /// # Panics
    /// If `importance` is not that of a patch.
    pub fn new(
        card: &Arc<Card>,
        shape: SumsShape,
        importance: &[f32],
        n_tiles: usize,
    ) -> Result<Self, CudaError> {
        assert_eq!(
            importance.len() as u64,
            product(shape.patch),
            "one for each voxel"
        );
        let size = shape.size();
        let n_voxels = usize::try_from(product(size)).unwrap_or(usize::MAX);
        let bytes = |n: usize| n_voxels.saturating_mul(n).saturating_mul(size_of::<f32>());
        Ok(ClassSums {
            sums: card.allocate("class sums", bytes(shape.pitch()))?,
            weights: card.allocate("the weights of class sums", bytes(1))?,
            importance: card.upload("the importance of voxels", importance)?,
            not_finite: card.allocate("counters", n_tiles * size_of::<u32>())?,
            card: card.clone(),
            shape,
            size,
            n_tiles,
            queued: VecDeque::new(),
            outcome: None,
        })
    }

    /// Says what they will become.
    ///
    /// # Errors
    /// [`CudaError::Memory`]; what the driver says.
    ///
    /// # Panics
    /// If a tap leads out of the grid.
    pub fn prepare(&mut self, outcome: &Outcome) -> Result<(), CudaError> {
        let voxels = std::array::from_fn(|a| outcome.taps[a].len());
        let mut taps = Vec::new();
        for (axis, of_axis) in outcome.taps.iter().enumerate() {
            let n = self.size[axis];
            let in_ring = |i: usize| {
                assert!(i < self.shape.grid[axis], "a tap leads out of the grid");
                (i % n) as i32
            };
            let tap = |tap: &GridTap| Tap {
                lo: in_ring(tap.lo),
                hi: in_ring(tap.hi),
                w_lo: tap.w_lo,
                w_hi: tap.w_hi,
            };
            taps.push(
                self.card
                    .upload("taps", &of_axis.iter().map(tap).collect::<Vec<_>>())?,
            );
        }
        let taps = taps.try_into().expect("three axes");
        let class_order = outcome.class_order.as_ref();
        let class_order = class_order
            .map(|order| self.card.upload("the order of regions", order))
            .transpose()?;
        let bytes = if outcome.is_wide { 2 } else { 1 };
        let plane = voxels.iter().product::<usize>() / voxels[self.axis()].max(1) * bytes;
        let labels = self.card.allocate(
            "labels",
            plane.max(Self::OUTPUT_BYTES.min(plane * voxels[self.axis()])),
        )?;
        self.outcome = Some(UploadedOutcome {
            taps,
            voxels,
            class_order,
            is_wide: outcome.is_wide,
            labels,
        });
        Ok(())
    }

    /// The axis along which tiles advance.
    pub fn axis(&self) -> usize {
        self.shape.axis()
    }

    /// Queues a run of a network on a tile; waits while too many are queued.
    ///
    /// # Errors
    /// What the driver says; it may be about a run that was queued before.
    ///
    /// # Panics
    /// If network, scan, and sums are not on one card, or not of one patch.
    pub fn add_run(&mut self, network: &Network, scan: &Scan, run: &TileRun) -> Result<(), CudaError> {
        assert!(
            Arc::ptr_eq(network.card(), &self.card) && scan.suits(&self.card, network.precision()),
            "one card"
        );
        assert_eq!(
            (network.patch(), network.n_classes()),
            (self.shape.patch, self.shape.n_classes),
            "one patch"
        );
        while self.queued.len() >= MAX_QUEUED
            && let Some(mark) = self.queued.pop_front()
        {
            self.card.watch(mark.wait())?;
        }
        let patch = self.shape.patch;
        network.queue(|tile| scan.tile(run, tile, patch), |last| self.head(run, last))?;
        self.queued.push_back(self.card.mark()?);
        Ok(())
    }

    /// Queues the adding of a tile's importance to the weights; once for each tile.
    ///
    /// # Errors
    /// What the driver says.
    pub fn add_weights(&self, start: [usize; 3]) -> Result<(), CudaError> {
        let work = Work::AddWeights {
            importance: self.importance.clone(),
            patch: self.shape.patch,
            weights: At::new(&self.weights, 0),
            ring: self.ring(start, 1),
        };
        self.card.run(Precision::Single, &work)
    }

    /// The first tile that had a logit that is infinite or NaN; waits for all runs.
    ///
    /// # Errors
    /// What the driver says.
    pub fn not_finite(&mut self) -> Result<Option<usize>, CudaError> {
        self.queued.clear();
        let mut counts = vec![0u32; self.n_tiles];
        self.card.watch(self.not_finite.read(0, &mut counts))?;
        Ok(counts.iter().position(|n| *n > 0))
    }

    /// Forgets planes that lie before the last finished one: their places are used again.
    ///
    /// # Errors
    /// What the driver says.
    pub fn clear(&self, planes: Range<usize>) -> Result<(), CudaError> {
        let axis = self.axis();
        let n = self.size[axis];
        let mut places: Vec<usize> = planes.map(|plane| plane % n).collect();
        places.sort_unstable();
        places.dedup();
        let n_after: usize = self.size[axis + 1..].iter().product();
        let n_before: usize = self.size[..axis].iter().product();
        for chunk in places.chunk_by(|a, b| a + 1 == *b) {
            for (memory, values) in [(&self.sums, self.shape.pitch()), (&self.weights, 1)] {
                let plane = n_after * values * size_of::<f32>();
                let (start, len) = (chunk[0] * plane, chunk.len() * plane);
                self.card
                    .watch(memory.clear_rows(start, len, n * plane, n_before))?;
            }
        }
        Ok(())
    }

    /// Labels of planes of the scan, across [`ClassSums::axis`]; a few at a time are given to `take` with their range. The planes of
    /// the grid that they lie between are finished.
    ///
    /// # Errors
    /// What the driver says; what `take` says.
    ///
    /// # Panics
    /// Unless [`ClassSums::prepare`] was called.
    pub fn labels<E: From<CudaError>>(
        &self,
        planes: Range<usize>,
        mut take: impl FnMut(Range<usize>, LabelBox<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let outcome = self.outcome();
        let bytes = if outcome.is_wide { 2 } else { 1 };
        let plane = self.plane_voxels();
        let n_planes = (outcome.labels.len() / (plane * bytes).max(1)).max(1);
        // One buffer for all: memory that was touched before is filled faster.
        let mut narrow = vec![
            0u8;
            if outcome.is_wide {
                0
            } else {
                n_planes.min(planes.len()) * plane
            }
        ];
        let mut wide = vec![
            0u16;
            if outcome.is_wide {
                n_planes.min(planes.len()) * plane
            } else {
                0
            }
        ];
        for planes in chunks(planes, n_planes) {
            let n = planes.len() * plane;
            let work = Work::Labels {
                from: self.interpolation(&planes),
                class_order: outcome.class_order.clone(),
                is_wide: outcome.is_wide,
                labels: At::new(&outcome.labels, 0),
            };
            self.card.run(Precision::Single, &work)?;
            let labels = if outcome.is_wide {
                self.card.watch(outcome.labels.read(0, &mut wide[..n]))?;
                LabelBox::U16(&wide[..n])
            } else {
                self.card.watch(outcome.labels.read(0, &mut narrow[..n]))?;
                LabelBox::U8(&narrow[..n])
            };
            take(planes, labels)?;
        }
        Ok(())
    }

    /// Logits of planes of the scan, `[class, z, y, x]`, as [`ClassSums::labels`].
    ///
    /// # Errors
    /// [`CudaError::Memory`]; what the driver says; what `take` says.
    ///
    /// # Panics
    /// Unless [`ClassSums::prepare`] was called.
    pub fn logits<E: From<CudaError>>(
        &self,
        planes: Range<usize>,
        mut take: impl FnMut(Range<usize>, Vec<f32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let of_plane = self.plane_voxels() * self.shape.n_classes;
        let n_planes = (Self::OUTPUT_BYTES / (of_plane * size_of::<f32>()).max(1)).max(1);
        let memory = self
            .card
            .allocate("logits", n_planes.min(planes.len()) * of_plane * size_of::<f32>())?;
        for planes in chunks(planes, n_planes) {
            let logits = At::new(&memory, 0);
            let work = Work::Logits {
                from: self.interpolation(&planes),
                logits: logits.clone(),
            };
            self.card.run(Precision::Single, &work)?;
            let values = self.card.watch(logits.read(planes.len() * of_plane))?;
            take(planes, values)?;
        }
        Ok(())
    }

    /// Voxels of a plane of the scan.
    fn plane_voxels(&self) -> usize {
        let voxels = self.outcome().voxels;
        let n = |axis: usize| if axis == self.axis() { 1 } else { voxels[axis] };
        n(0) * n(1) * n(2)
    }

    fn outcome(&self) -> &UploadedOutcome {
        self.outcome.as_ref().expect("it was said what the sums become")
    }

    fn interpolation(&self, planes: &Range<usize>) -> Interpolation {
        let outcome = self.outcome();
        let (mut taps, mut voxels) = (outcome.taps.clone(), outcome.voxels);
        let axis = self.axis();
        taps[axis] = taps[axis].plus(planes.start * size_of::<Tap>());
        voxels[axis] = planes.len();
        Interpolation {
            sums: At::new(&self.sums, 0),
            weights: At::new(&self.weights, 0),
            size: self.size,
            pitch: self.shape.pitch(),
            n_classes: self.shape.n_classes,
            taps,
            voxels,
        }
    }

    /// Where a tile lies.
    fn ring(&self, start: [usize; 3], pitch: usize) -> Ring {
        let inside = (0..3).all(|a| start[a] + self.shape.patch[a] <= self.shape.grid[a]);
        assert!(inside, "a tile reaches out of the grid");
        let start = std::array::from_fn(|a| start[a] % self.size[a]);
        Ring {
            start,
            size: self.size,
            pitch,
        }
    }

    /// What adds the logits of a run.
    fn head(&self, run: &TileRun, last: HeadInput) -> Work {
        let HeadInput {
            x,
            n_in,
            weight,
            bias,
        } = last;
        assert!(run.tile < self.n_tiles, "there are fewer tiles");
        Work::Head {
            x,
            weight,
            bias,
            n_in,
            n_classes: self.shape.n_classes,
            patch: self.shape.patch,
            flip: run.flip,
            importance: self.importance.clone(),
            factor: run.factor,
            sums: At::new(&self.sums, 0),
            ring: self.ring(run.start, self.shape.pitch()),
            not_finite: At::new(&self.not_finite, run.tile * size_of::<u32>()),
        }
    }
}

/// Ranges of at most `n`.
fn chunks(range: Range<usize>, n: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(n.max(1))
        .map(move |start| start..(start + n).min(end))
}
