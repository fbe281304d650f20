//! Endings of files of volumes, for whoever checks a name before anything is written.

/// Endings of the names that volumes and label maps can be written under; each says the format.
pub const VOLUME_ENDINGS: [&str; 4] = [".nii.gz", ".nii", ".nrrd", ".mha"];

/// Whether a volume or a label map can be written under a name.
pub fn has_volume_ending(file_name: &str) -> bool {
    VOLUME_ENDINGS
        .iter()
        .any(|ending| file_name.len() > ending.len() && file_name.ends_with(ending))
}
