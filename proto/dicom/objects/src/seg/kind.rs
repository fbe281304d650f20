//! Which kinds of segmentation are written.

/// How the pixel data of a label map are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelmapCompression {
    /// As they are.
    Native,
    /// Run-length encoded, without loss.
    Rle,
}

/// Which of the two kinds of segmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegKind {
    /// A frame of bits per segment and slice; every viewer reads it, and segments may overlap.
    Binary,
    /// A frame of segment numbers per slice (Supplement 243); small for many labels, read by fewer viewers.
    Labelmap(LabelmapCompression),
}
