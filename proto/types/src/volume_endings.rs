//! Endings of files of volumes, for whoever checks a name before anything is written.

/// Endings of the names that volumes and label maps can be written under; each says the format.
pub const VOLUME_ENDINGS: [&str; 6] = [".nii.gz", ".nii", ".nrrd", ".mha", ".nhdr", ".mhd"];

/// Of those, the ones of headers whose voxels are in a file beside them, and the ending of that.
const PAIRS: [(&str, &str); 2] = [(".nhdr", ".raw.gz"), (".mhd", ".zraw")];

/// Whether a volume or a label map can be written under a name.
pub fn has_volume_ending(file_name: &str) -> bool {
    VOLUME_ENDINGS
        .iter()
        .any(|ending| file_name.len() > ending.len() && file_name.ends_with(ending))
}

/// The name of the file beside a header that holds its voxels, as it is written: `a.raw.gz` of `a.nhdr`, `a.zraw` of `a.mhd`; `None`
/// where one file holds both.
pub fn data_file_of(file_name: &str) -> Option<String> {
    PAIRS.iter().find_map(|(header, data)| {
        let stem = file_name.strip_suffix(header)?;
        Some(format!("{stem}{data}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_alone_have_a_file_of_voxels_beside_them() {
        let found = VOLUME_ENDINGS.map(|ending| data_file_of(&format!("a.b{ending}")));
        let [pair_of_nrrd, pair_of_meta_image] = ["a.b.raw.gz", "a.b.zraw"].map(|name| Some(name.to_owned()));
        assert_eq!(found, [None, None, None, None, pair_of_nrrd, pair_of_meta_image]);
        for ending in VOLUME_ENDINGS {
            assert!(
                has_volume_ending(&format!("a{ending}")) && !has_volume_ending(ending),
                "{ending}"
            );
        }
    }
}
