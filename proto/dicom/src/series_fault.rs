//! Why a series is not read: one kind for each irregularity, with the files concerned.

use serde::Serialize;

/// What is wrong with a series.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SeriesFault {
    /// The modality is not among those that are read.
    #[error("modality {modality:?} is not read; {expected} are")]
    WrongModality {
        /// As in the files.
        modality: String,
        /// Those that are.
        expected: String,
    },
    /// Photographs of a screen, or images that a program drew: pixels are no measurements.
    #[error("secondary captures are not read ({what}): {}", some(files))]
    SecondaryCapture {
        /// The SOP class, or that annotations are burned in.
        what: &'static str,
        /// Those that say so.
        files: Vec<String>,
    },
    /// Images that show where other images lie.
    #[error("localizer images are not read: {}", some(files))]
    Localizer {
        /// Those that say so.
        files: Vec<String>,
    },
    /// Files that begin as DICOM files do lie beside the series, and cannot be read: slices may be among them.
    #[error(
        "files in the folder are broken, and may belong to the series: {}",
        some(files)
    )]
    BrokenFiles {
        /// Name and fault of each.
        files: Vec<String>,
    },
    /// A file cannot be used.
    #[error("{file}: {fault}")]
    File {
        /// Its name.
        file: String,
        /// What is wrong with it.
        fault: crate::FileFault,
    },
    /// No coordinate system is named.
    #[error("FrameOfReferenceUID (0020,0052) is missing: {}", some(files))]
    NoFrameOfReference {
        /// Those without.
        files: Vec<String>,
    },
    /// Stored values become intensities by a table.
    #[error("a modality LUT sequence (0028,3000) is not supported: {}", some(files))]
    ModalityLut {
        /// Those that have one.
        files: Vec<String>,
    },
    /// Slope or intercept is absent where it must be, or is no factor.
    #[error(
        "rescale slope and intercept (0028,1053), (0028,1052) {what}: {}",
        some(files)
    )]
    BadRescale {
        /// What is wrong.
        what: &'static str,
        /// Where.
        files: Vec<String>,
    },
    /// An attribute that places images is absent, or cannot be.
    #[error("{attribute} {what}: {}", some(files))]
    Geometry {
        /// Name and tag.
        attribute: &'static str,
        /// What is wrong.
        what: &'static str,
        /// Where.
        files: Vec<String>,
    },
    /// One image is no volume.
    #[error("there is one slice only: {file}")]
    OneSlice {
        /// It.
        file: String,
    },
    /// All images lie at one place.
    #[error("all {n} images lie at one place: this is no volume, {}", some(files))]
    NotAVolume {
        /// How many.
        n: usize,
        /// Some of them.
        files: Vec<String>,
    },
    /// Images lie at one place that should be two.
    #[error("{n} images lie where another lies ({pixels}): {}", some(files))]
    DuplicatePosition {
        /// How many.
        n: usize,
        /// Whether they show the same.
        pixels: DuplicatePixels,
        /// Pairs, one after the other.
        files: Vec<String>,
    },
    /// A slice is absent.
    #[error("{missing} of the slices are missing: there are {gap} steps of {step:.3} mm between {} and {}", files[0], files[1])]
    MissingSlice {
        /// How many, in all gaps.
        missing: usize,
        /// Steps in the first gap.
        gap: usize,
        /// mm.
        step: f64,
        /// Before and behind the first gap.
        files: [String; 2],
    },
    /// Steps from slice to slice differ.
    #[error(
        "slices are not evenly spaced: {file} lies {deviation:.3} mm from its place at a step of {step:.3} mm"
    )]
    UnevenSpacing {
        /// mm.
        deviation: f64,
        /// mm, from first to last.
        step: f64,
        /// The one that is farthest off.
        file: String,
    },
    /// Slices are shifted against each other: the gantry was tilted.
    #[error("the gantry is tilted by {degrees:.2}°: slices shift by {shift:.2} mm from {} to {}", files[0], files[1])]
    GantryTilt {
        /// Between the normal of the slices and the line that they lie on.
        degrees: f64,
        /// mm, from first to last.
        shift: f64,
        /// First and last.
        files: [String; 2],
    },
    /// A slice is off the line that the others lie on.
    #[error("{file} lies {shift:.3} mm beside the line that the slices lie on")]
    Misaligned {
        /// mm.
        shift: f64,
        /// The one that is farthest off.
        file: String,
    },
    /// Planes of one series lie in several directions.
    #[error("slices of the series lie in {n} directions: {}", some(files))]
    MixedOrientation {
        /// How many.
        n: usize,
        /// One of each.
        files: Vec<String>,
    },
    /// Images of one series differ in rows or columns, or in the size of their pixels.
    #[error("images of the series differ in {what}: {}", some(files))]
    MixedMatrix {
        /// Matrix or spacing.
        what: &'static str,
        /// One of each.
        files: Vec<String>,
    },
    /// Images of one series are of several kinds at the same places: echoes, phases, time points.
    #[error("the series has {n} stacks of slices; name one of {}", ids.join(", "))]
    SeveralStacks {
        /// How many.
        n: usize,
        /// What they are called.
        ids: Vec<String>,
    },
    /// Something wants pixels of the images, where voxels lie between them.
    #[error("the series was resampled, since the gantry was tilted: its voxels are no pixels of its images")]
    Resampled,
    /// Several files claim to be one image.
    #[error("two files have SOPInstanceUID {uid}: {}", some(files))]
    SameInstance {
        /// The UID.
        uid: String,
        /// Both.
        files: Vec<String>,
    },
}

/// Whether images at one place show the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicatePixels {
    /// Their pixels have not been read.
    Unread,
    /// They do.
    Same,
    /// They do not.
    Different,
}

impl std::fmt::Display for DuplicatePixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            DuplicatePixels::Unread => "pixels not compared",
            DuplicatePixels::Same => "with the same pixels",
            DuplicatePixels::Different => "with other pixels",
        })
    }
}

impl SeriesFault {
    /// The kind, as a name for programs.
    pub fn kind(&self) -> &'static str {
        use SeriesFault::*;
        match self {
            WrongModality { .. } => "wrong_modality",
            SecondaryCapture { .. } => "secondary_capture",
            Localizer { .. } => "localizer",
            BrokenFiles { .. } => "broken_files",
            File { .. } => "file",
            NoFrameOfReference { .. } => "no_frame_of_reference",
            ModalityLut { .. } => "modality_lut",
            BadRescale { .. } => "bad_rescale",
            Geometry { .. } => "geometry",
            OneSlice { .. } => "one_slice",
            NotAVolume { .. } => "not_a_volume",
            DuplicatePosition { .. } => "duplicate_position",
            MissingSlice { .. } => "missing_slice",
            UnevenSpacing { .. } => "uneven_spacing",
            GantryTilt { .. } => "gantry_tilt",
            Misaligned { .. } => "misaligned",
            MixedOrientation { .. } => "mixed_orientation",
            MixedMatrix { .. } => "mixed_matrix",
            SeveralStacks { .. } => "several_stacks",
            Resampled => "resampled",
            SameInstance { .. } => "same_instance",
        }
    }
}

/// The first few names.
pub(crate) fn some(files: &[String]) -> String {
    const N: usize = 4;
    let shown = files[..files.len().min(N)].join(", ");
    match files.len() {
        n if n > N => format!("{shown} and {} more", n - N),
        _ => shown,
    }
}
