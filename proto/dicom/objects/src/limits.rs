//! What one object may cost, compared before anything is allocated.

use nephrite_types::Limits;

/// What one object may cost, read or written. Checked before anything is allocated; strict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectLimits {
    /// Voxels, rows and runs of masks.
    pub mask: Limits,
    /// Slices of a source series.
    pub max_slices: usize,
    /// Frames of a segmentation.
    pub max_frames: u64,
    /// Bytes of the pixel data of a segmentation.
    pub max_pixel_bytes: u64,
    /// Segments of a segmentation, or regions of a structure set.
    pub max_segments: usize,
    /// Contours of a structure set.
    pub max_contours: u64,
    /// Points of all contours of a structure set.
    pub max_points: u64,
    /// Masks that overlapping labels are spread over when they are read.
    pub max_layers: usize,
}

/// Segment numbers are 16 bits wide, and 0 is none.
pub(crate) const MAX_SEGMENT_NUMBERS: usize = 65_535;

impl Default for ObjectLimits {
    /// 16 384 slices, 262 144 frames, 2 GiB of pixel data, 65 535 segments, 1 M contours, 32 M points, 256 layers.
    fn default() -> Self {
        ObjectLimits {
            mask: Limits::default(),
            max_slices: 1 << 14,
            max_frames: 1 << 18,
            max_pixel_bytes: 2 << 30,
            max_segments: MAX_SEGMENT_NUMBERS,
            max_contours: 1 << 20,
            max_points: 32 << 20,
            max_layers: 256,
        }
    }
}
