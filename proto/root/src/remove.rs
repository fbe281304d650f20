//! Takes back a file that this process wrote, and only that one.

use std::io;

use cap_std::fs::{Dir, MetadataExt as _};
use nephrite_types::FileIdentity;

/// Removes a file that this process wrote and closed, if its name still leads to it as it was written: number, size and
/// time of modification. What somebody else has put there stays. True if it was removed.
///
/// # Errors
/// What the system says; that nothing is there is no error.
pub fn remove_file_if_same(folder: &Dir, name: &str, written: &FileIdentity) -> io::Result<bool> {
    let there = match folder.symlink_metadata(name) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let same = (there.dev(), there.ino(), there.size()) == (written.device, written.inode, written.size)
        && (there.mtime(), there.mtime_nsec()) == written.modified;
    if same {
        folder.remove_file(name)?;
    }
    Ok(same)
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn only_the_file_that_was_written_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let path = temp.path().join("a");
        let write = |text: &str| {
            std::fs::write(&path, text).unwrap();
            FileIdentity::of(&std::fs::File::open(&path).unwrap()).unwrap()
        };
        let written = write("ours");
        assert!(remove_file_if_same(&dir, "a", &written).unwrap());
        assert!(!remove_file_if_same(&dir, "a", &written).unwrap(), "it is gone");
        let written = write("ours");
        std::fs::write(temp.path().join("b"), "theirs").unwrap();
        std::fs::rename(temp.path().join("b"), &path).unwrap();
        assert!(!remove_file_if_same(&dir, "a", &written).unwrap());
        let written = write("ours");
        std::thread::sleep(std::time::Duration::from_millis(20));
        write("mine");
        assert!(
            !remove_file_if_same(&dir, "a", &written).unwrap(),
            "written again by somebody"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
