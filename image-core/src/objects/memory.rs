//! What writing an object may hold, from the size of its mask.

use nephrite_dicom_objects::SegKind;
use nephrite_kernel::Mask;
use nephrite_types::OutputFormat;

/// Of a frame in memory, besides its pixels: its functional groups, written and read back.
const FRAME_BYTES: u64 = 16 << 10;
/// Of a run: corners of contours as numbers and as text, written and read back.
const RUN_BYTES: u64 = 2 << 10;
/// Of a label, and of an object that has none.
const LABEL_BYTES: u64 = 64 << 10;

/// Bytes at the peak, at most: the object, its copy that is read back, and what both are as values.
pub(super) fn peak_bytes(format: OutputFormat, seg: SegKind, mask: &Mask) -> u64 {
    let shape = mask.runs().shape().map(|n| n as u64);
    let n_voxels = shape.iter().product::<u64>();
    // Frames may lie across any axis of the mask.
    let (mut n_frames, mut n_bits) = (0u64, 0u64);
    for summary in mask.summaries().values() {
        let bounds = summary.bounding_box;
        let extent = |axis: usize| (bounds.end[axis] - bounds.start[axis]) as u64;
        n_frames = n_frames.saturating_add((0..3).map(extent).max().unwrap_or(0));
        let bits = (0..3)
            .map(|axis| extent(axis) * (n_voxels / shape[axis].max(1)))
            .max();
        n_bits = n_bits.saturating_add(bits.unwrap_or(0));
    }
    let n_runs = mask.runs().runs().len() as u64;
    let labels = LABEL_BYTES * (mask.summaries().len() as u64 + 1);
    let of_format = match (format, seg) {
        (OutputFormat::Nifti, _) => return 0,
        (OutputFormat::Sr, _) => 0,
        (OutputFormat::Rtstruct, _) => n_runs.saturating_mul(RUN_BYTES),
        (OutputFormat::DicomSeg, SegKind::Binary) => {
            (2 * n_bits.div_ceil(8)).saturating_add(n_frames.saturating_mul(FRAME_BYTES))
        }
        (OutputFormat::DicomSeg, SegKind::Labelmap(_)) => {
            let n_slices = shape.into_iter().max().unwrap_or(0);
            (4 * n_voxels).saturating_add(n_slices.saturating_mul(FRAME_BYTES))
        }
    };
    of_format.saturating_add(labels)
}
