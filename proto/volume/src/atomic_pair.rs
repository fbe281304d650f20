//! A header and the file of its voxels, of which the header appears last, and only when both are whole.

use std::io::{self, Write};

use cap_std::fs::Dir;
use nephrite_types::FileIdentity;

use crate::VolumeError;
use crate::atomic::{Temporary, check_name, sync_dir, write_error};

/// Which files a header and its data file were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PairIdentity {
    pub(crate) header: FileIdentity,
    pub(crate) data: FileIdentity,
}

/// Writes the data file, then the header that `write_data` gives, both under hidden names; once both are whole and on disk they get
/// their final names, the data file first. A header that has the name already goes before that: what it says is of other voxels. So
/// there is no moment in which a header stands beside voxels that are not its own.
///
/// # Errors
/// As [`write_atomically`](crate::write_atomically), naming the file at fault; neither file is left then. What had their names stays,
/// unless it is the naming itself that fails.
pub(crate) fn write_pair(
    dir: &Dir,
    header_name: &str,
    data_name: &str,
    write_data: impl FnOnce(&mut dyn Write) -> io::Result<String>,
) -> Result<PairIdentity, VolumeError> {
    check_name(header_name)?;
    check_name(data_name)?;
    let of_header = |source| write_error(header_name, source);
    let of_data = |source| write_error(data_name, source);
    let data = Temporary::create(dir).map_err(of_data)?;
    let text = data.write(write_data).map_err(of_data)?;
    let header = Temporary::create(dir).map_err(of_header)?;
    header
        .write(|out| out.write_all(text.as_bytes()))
        .map_err(of_header)?;
    data.file.sync_all().map_err(of_data)?;
    header.file.sync_all().map_err(of_header)?;
    match dir.remove_file(header_name) {
        Ok(()) => sync_dir(dir).map_err(of_header)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(of_header(error)),
    }
    let data = data.publish(data_name).map_err(of_data)?;
    let header = header.publish(header_name).inspect_err(|_| {
        let _ = dir.remove_file(data_name); // the error at hand says more
    });
    let header = header.map_err(of_header)?;
    sync_dir(dir).map_err(of_header)?;
    Ok(PairIdentity { header, data })
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn folder() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        (temp, dir)
    }

    fn names(temp: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(temp.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn write(dir: &Dir, voxels: &[u8]) -> Result<PairIdentity, VolumeError> {
        write_pair(dir, "a.mhd", "a.zraw", |out| {
            out.write_all(voxels)?;
            Ok(format!("{} voxels", voxels.len()))
        })
    }

    #[test]
    fn both_files_appear_and_replace() {
        let (temp, dir) = folder();
        for voxels in [&b"first"[..], b"the second"] {
            let written = write(&dir, voxels).unwrap();
            assert_eq!(std::fs::read(temp.path().join("a.zraw")).unwrap(), voxels);
            let header = std::fs::read_to_string(temp.path().join("a.mhd")).unwrap();
            assert_eq!(header, format!("{} voxels", voxels.len()));
            assert_eq!(written.data.size, voxels.len() as u64);
            assert_eq!(written.header.size, header.len() as u64);
        }
        assert_eq!(names(&temp), ["a.mhd", "a.zraw"]);
    }

    #[test]
    fn a_failure_while_writing_leaves_nothing_and_keeps_the_old_pair() {
        let (temp, dir) = folder();
        let failed = |dir: &Dir| {
            write_pair(dir, "a.mhd", "a.zraw", |out| {
                out.write_all(&[0; 100_000])?;
                Err(io::Error::other("no"))
            })
        };
        let error = failed(&dir).unwrap_err();
        assert!(
            matches!(&error, VolumeError::Write { name, .. } if name == "a.zraw"),
            "{error}"
        );
        assert!(names(&temp).is_empty());
        write(&dir, b"old").unwrap();
        assert!(failed(&dir).is_err());
        assert_eq!(names(&temp), ["a.mhd", "a.zraw"]);
        assert_eq!(std::fs::read(temp.path().join("a.zraw")).unwrap(), b"old");
    }

    /// Whatever cannot be replaced: no header is left beside voxels of another one.
    #[test]
    fn a_name_that_cannot_be_given_leaves_no_header() {
        for (taken, named) in [("a.zraw", "a.zraw"), ("a.mhd", "a.mhd")] {
            let (temp, dir) = folder();
            std::fs::create_dir(temp.path().join(taken)).unwrap();
            let error = write(&dir, b"voxels").unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
            assert_eq!(names(&temp), [taken], "the folder that was there");
        }
        let (temp, dir) = folder();
        write(&dir, b"old").unwrap();
        std::fs::remove_file(temp.path().join("a.zraw")).unwrap();
        std::fs::create_dir(temp.path().join("a.zraw")).unwrap();
        assert!(write(&dir, b"voxels").is_err());
        assert_eq!(names(&temp), ["a.zraw"], "a header without its voxels goes");
    }

    #[test]
    fn names_with_folders_are_refused() {
        let (temp, dir) = folder();
        for (header, data) in [("../a.mhd", "a.zraw"), ("a.mhd", "b/a.zraw")] {
            let error = write_pair(&dir, header, data, |_| Ok(String::new())).unwrap_err();
            assert!(matches!(error, VolumeError::OutputName { .. }), "{error}");
        }
        assert!(names(&temp).is_empty());
    }
}
