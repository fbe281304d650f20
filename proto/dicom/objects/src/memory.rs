//! What writing an object may hold, from its mask.

use std::collections::BTreeSet;

use nephrite_mask_codec::Run;
use nephrite_types::OutputFormat;

use crate::ObjectError;
use crate::layers::Layers;
use crate::request::ObjectRequest;
use crate::seg::SegKind;

/// Copies of the pixels of binary frames: the object as bytes, and as values when it is read back.
const PIXEL_COPIES: u64 = 2;
/// Of a frame besides its pixels: its functional groups, as values and as bytes, written and read back.
const FRAME_BYTES: u64 = 24 << 10;
/// Of a run: on the grid of the series, and in what is read back.
const RUN_BYTES: u64 = 64;
/// Of a contour: its item, as values and as bytes, written and read back.
const CONTOUR_BYTES: u64 = 6 << 10;
/// Of a corner of a contour, as numbers and as text.
const CORNER_BYTES: u64 = 160;
/// Of an image that a structure set refers to.
const IMAGE_BYTES: u64 = 8 << 10;
/// Of a label, and of an object that has none.
const LABEL_BYTES: u64 = 64 << 10;

/// How much there is of a mask to write, on the grid of its series: what the bytes of all its objects follow from.
#[derive(Debug, Clone, Copy, Default)]
pub struct ObjectAmount {
    /// Of the series, or of the grid of the mask's own.
    images: u64,
    /// Bits of a binary frame.
    pixels: u64,
    runs: u64,
    labels: u64,
    /// Slices with a voxel of a label, summed over labels.
    frames: u64,
    /// Slices with a voxel of any label.
    slices: u64,
    /// At most.
    contours: u64,
    /// At most.
    corners: u64,
}

impl ObjectAmount {
    /// *Cost*: runs of the masks on the grid of the series, as writing makes them.
    ///
    /// # Errors
    /// [`ObjectError`] of a mask that does not lie on its series.
    pub fn of(request: &ObjectRequest<'_>) -> Result<ObjectAmount, ObjectError> {
        let layers = Layers::of(request)?;
        let [images, rows, columns] = layers.stack.geometry.shape.zyx().map(|n| n as u64);
        let mut amount = ObjectAmount {
            images,
            pixels: rows * columns,
            ..ObjectAmount::default()
        };
        for layer in 0..layers.masks.len() {
            amount.add_layer(&layers, layer);
        }
        Ok(amount)
    }

    fn add_layer(&mut self, layers: &Layers, layer: usize) {
        let by_label = layers.frames_by_label(layer);
        self.labels += by_label.len() as u64;
        self.frames += by_label.values().map(|frames| frames.len() as u64).sum::<u64>();
        let slices: BTreeSet<&usize> = by_label.values().flatten().collect();
        self.slices += slices.len() as u64;
        for slice in slices {
            let mut above: &[Run] = &[];
            for (_, runs) in layers.rows(layer, *slice) {
                self.runs += runs.len() as u64;
                for run in runs {
                    let (contours, corners) = of_run(run, above);
                    self.contours += contours;
                    self.corners += corners;
                }
                above = runs;
            }
        }
    }

    /// Bytes at the peak, at most, while an object is written and verified; 0 of a label map. A report is small, whatever its masks
    /// are. `tests/memory.rs` holds it against an allocator that counts.
    pub fn peak_bytes(&self, format: OutputFormat, seg: SegKind) -> u64 {
        let of_frames =
            |n_frames: u64, pixels: u64| n_frames.saturating_mul(pixels.saturating_add(FRAME_BYTES));
        let of_format = match (format, seg) {
            (OutputFormat::Nifti, _) => return 0,
            (OutputFormat::Sr, _) => 0,
            (OutputFormat::Rtstruct, _) => {
                let contours = self.contours.saturating_mul(CONTOUR_BYTES);
                let corners = self.corners.saturating_mul(CORNER_BYTES);
                let images = self.images.saturating_mul(IMAGE_BYTES);
                contours.saturating_add(corners).saturating_add(images)
            }
            (OutputFormat::DicomSeg, SegKind::Binary) => {
                of_frames(self.frames, PIXEL_COPIES * self.pixels.div_ceil(8))
            }
            (OutputFormat::DicomSeg, SegKind::Labelmap(_)) => of_frames(self.slices, 0),
        };
        let of_labels = LABEL_BYTES.saturating_mul(self.labels + 1);
        let of_runs = self.runs.saturating_mul(RUN_BYTES);
        of_format.saturating_add(of_labels).saturating_add(of_runs)
    }
}

/// Contours that a run may begin, given the row above, and corners that it may add. A contour is the outline of a part, or that of
/// a hole that the run closes; corners are where an end of the run does not go on straight.
fn of_run(run: &Run, above: &[Run]) -> (u64, u64) {
    let touching = above
        .iter()
        .skip(above.partition_point(|other| other.end <= run.start))
        .take_while(|other| other.start < run.end)
        .filter(|other| other.label == run.label);
    let (mut n, mut corners) = (0u64, 4);
    for other in touching {
        n += 1;
        corners -= 2 * u64::from(other.start == run.start) + 2 * u64::from(other.end == run.end);
        corners += if n > 1 { 4 } else { 0 };
    }
    (n.abs_diff(1), corners)
}
