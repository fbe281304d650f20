//! Opens the files of a volume beneath a root: the one that is named, and the one that its header names.

use std::path::Path;

use nephrite_root::{PathError, Root};
use nephrite_volume::{VolumeError, VolumeFiles};

/// Opens a scan or a mask. Where the file is a header (`.nhdr`, `.mhd`) whose voxels are in another file, that one is opened too: in or
/// below the folder of the header, and beneath the root whatever links there are.
///
/// # Errors
/// [`PathError`], of either file; [`VolumeError::DataFile`] for a header that names something else; what a broken header is refused for.
pub fn open_volume<E: From<PathError> + From<VolumeError>>(
    root: &Root,
    path: &Path,
) -> Result<VolumeFiles, E> {
    let file = root.open_file(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    VolumeFiles::open(file, &path.to_string_lossy(), |data_file| {
        Ok(root.open_file(&folder.join(data_file))?)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::OperationError;

    const HEADER: &str =
        "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\nElementDataFile = a.raw\n";

    #[test]
    fn no_link_leads_out_of_the_root() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("root/scans");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(temp.path().join("secret"), [7; 24]).unwrap();
        std::fs::write(temp.path().join("root/inside"), [7; 24]).unwrap();
        std::fs::write(folder.join("a.mhd"), HEADER).unwrap();
        let root = Root::beneath(&temp.path().join("root")).unwrap();
        let open = || open_volume::<OperationError>(&root, Path::new("scans/a.mhd"));
        let data = folder.join("a.raw");
        let refused = open().unwrap_err();
        assert!(
            matches!(&refused, OperationError::Path(PathError::NotFound { path }) if path == Path::new("scans/a.raw")),
            "{refused}"
        );
        symlink("../../secret", &data).unwrap();
        let refused = open().unwrap_err();
        assert!(
            matches!(&refused, OperationError::Path(PathError::OutsideRoot { .. })),
            "{refused}"
        );
        std::fs::remove_file(&data).unwrap();
        symlink("../inside", &data).unwrap();
        assert_eq!(open().unwrap().files().count(), 2);
        std::fs::remove_file(&data).unwrap();
        std::fs::create_dir(&data).unwrap();
        let refused = open().unwrap_err();
        assert!(
            matches!(&refused, OperationError::Path(PathError::NotAFile { .. })),
            "{refused}"
        );
    }
}
