//! Files that appear under their final name only when they are whole.
//!
//! `cap-tempfile` would write and rename too, but its files have no name that can be asked for, or one of its own choice where a
//! file system has no nameless files (NFS), and no lock: what a killed process left there could not be told from what a living one
//! writes, and so could not be swept (`image-core/tests/cases/killed.rs` holds that it is).

use std::fs::{File, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;

use cap_std::fs::{Dir, MetadataExt as _, OpenOptions};
use nephrite_types::{FileIdentity, HiddenKind, HiddenName, check_file_name};

use crate::VolumeError;

/// Tries for a temporary name that nobody else has, or takes away before it is locked.
const N_NAMES: u32 = 100;

/// Writes a file that appears under its final name only when it is whole: hidden name in the same folder, sync, rename,
/// sync of the folder. A file of that name is replaced. On any error, or a panic in `write`, the hidden file is removed
/// and what had the final name stays.
///
/// The hidden file is locked as long as it is written (see [`HiddenName`]): what a process leaves that is killed has no
/// lock, and is removed by the next one that looks.
///
/// `write` gets a buffered writer. `file_name` is one plain name, without folders.
///
/// # Errors
/// [`VolumeError::OutputName`], [`VolumeError::OutputFolderMissing`], [`VolumeError::NotWritable`],
/// [`VolumeError::DiskFull`], [`VolumeError::Write`]. An error of `write` itself that is none of the system's becomes
/// [`VolumeError::Write`].
pub fn write_atomically<T>(
    dir: &Dir,
    file_name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
) -> Result<T, VolumeError> {
    write_identified(dir, file_name, write).map(|(result, _)| result)
}

/// [`write_atomically`], and which file it was: for whoever may have to remove it again, and nothing else of that name.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_identified<T>(
    dir: &Dir,
    file_name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
) -> Result<(T, FileIdentity), VolumeError> {
    write_with_late_bytes(dir, file_name, |out| write(out).map(|result| (result, None)))
}

/// Bytes whose value is known only when all others are written: they replace those from `offset` on.
#[derive(Debug)]
pub(crate) struct LateBytes {
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// [`write_identified`] for a file of which a part is filled in at the end.
pub(crate) fn write_with_late_bytes<T>(
    dir: &Dir,
    file_name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<(T, Option<LateBytes>)>,
) -> Result<(T, FileIdentity), VolumeError> {
    check_name(file_name)?;
    let failed = |source| write_error(file_name, source);
    let temporary = Temporary::create(dir).map_err(failed)?;
    let (result, late) = temporary.write(write).map_err(failed)?;
    if let Some(LateBytes { offset, bytes }) = late {
        temporary.file.write_all_at(&bytes, offset).map_err(failed)?;
    }
    temporary.file.sync_all().map_err(failed)?;
    let identity = temporary.publish(file_name).map_err(failed)?;
    sync_dir(dir).map_err(failed)?;
    Ok((result, identity))
}

/// A file of ours under a hidden name, locked; removed when dropped, unless it got its final name.
pub(crate) struct Temporary<'a> {
    dir: &'a Dir,
    name: String,
    /// Holds the lock, and keeps the file's number from being given to another one.
    pub(crate) file: File,
    remove: bool,
}

impl Temporary<'_> {
    pub(crate) fn create(dir: &Dir) -> io::Result<Temporary<'_>> {
        for _ in 0..N_NAMES {
            let name = HiddenName {
                kind: HiddenKind::Partial,
                id: RandomState::new().hash_one(file!()), // not for secrets
            };
            let name = name.to_string();
            let file = match dir.open_with(&name, OpenOptions::new().write(true).create_new(true)) {
                Ok(file) => file.into_std(),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let temporary = Temporary {
                dir,
                name,
                file,
                remove: true,
            };
            match temporary.file.try_lock() {
                // Whoever sweeps may have come between the creation and the lock.
                Ok(()) if temporary.is_there() => return Ok(temporary),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                // A file system without locks: nobody can sweep there either.
                Err(TryLockError::Error(_)) => return Ok(temporary),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// True if the hidden name still leads to this file.
    fn is_there(&self) -> bool {
        let Ok(own) = FileIdentity::of(&self.file) else {
            return false;
        };
        let there = self.dir.symlink_metadata(&self.name);
        there.is_ok_and(|there| (there.dev(), there.ino()) == (own.device, own.inode))
    }

    /// Its content, buffered.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
        let mut writer = BufWriter::with_capacity(64 << 10, &self.file);
        let result = write(&mut writer)?;
        writer.into_inner().map_err(|error| error.into_error())?;
        Ok(result)
    }

    /// Gives it its final name.
    pub(crate) fn publish(mut self, file_name: &str) -> io::Result<FileIdentity> {
        if !self.is_there() {
            return Err(io::Error::other(
                "somebody took the file away while it was written",
            ));
        }
        self.dir.rename(&self.name, self.dir, file_name)?;
        self.remove = false;
        FileIdentity::of(&self.file)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.remove && self.is_there() {
            // Nothing can be done if this fails too; the error that led here is the one to report.
            let _ = self.dir.remove_file(&self.name);
        }
    }
}

/// Makes the rename itself durable.
pub(crate) fn sync_dir(dir: &Dir) -> io::Result<()> {
    // The handle may be one that only names the folder (O_PATH), which cannot be synced.
    match dir.open(".")?.sync_all() {
        // Some network file systems do not sync folders.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// One plain file name, that looks like what it is.
pub(crate) fn check_name(file_name: &str) -> Result<(), VolumeError> {
    check_file_name(file_name).map_err(|fault| VolumeError::OutputName {
        name: file_name.to_owned(),
        reason: fault.reason(),
    })
}

/// Sorts the errors of the system by what a caller can do about them.
pub(crate) fn write_error(file_name: &str, source: io::Error) -> VolumeError {
    use io::ErrorKind::*;
    let name = file_name.to_owned();
    match source.kind() {
        NotFound => VolumeError::OutputFolderMissing { name },
        PermissionDenied | ReadOnlyFilesystem => VolumeError::NotWritable { name, source },
        StorageFull | QuotaExceeded | FileTooLarge => VolumeError::DiskFull { name, source },
        _ => VolumeError::Write { name, source },
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use nephrite_types::{Coded, ErrorCode};

    use super::*;

    fn folder() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        (temp, dir)
    }

    fn names(temp: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(temp.path()).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_whole_file_appears_and_replaces() {
        let (temp, dir) = folder();
        for text in ["first", "second"] {
            let n = write_atomically(&dir, "a.json", |out| {
                out.write_all(text.as_bytes()).map(|()| text.len())
            });
            assert_eq!(n.unwrap(), text.len());
            assert_eq!(std::fs::read_to_string(temp.path().join("a.json")).unwrap(), text);
        }
        assert_eq!(names(&temp), ["a.json"]);
    }

    #[test]
    fn a_failure_or_panic_leaves_nothing_and_keeps_the_old_file() {
        let (temp, dir) = folder();
        write_atomically(&dir, "a.json", |out| out.write_all(b"old")).unwrap();
        let error = write_atomically(&dir, "a.json", |out| {
            out.write_all(&[0; 100_000])?;
            Err::<(), _>(io::Error::other("no"))
        });
        assert!(matches!(error, Err(VolumeError::Write { .. })));
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            write_atomically(&dir, "a.json", |out| -> io::Result<()> {
                out.write_all(&[0; 100_000])?;
                panic!("in the writer")
            })
        }));
        assert!(panics.is_err());
        assert_eq!(names(&temp), ["a.json"]);
        assert_eq!(std::fs::read(temp.path().join("a.json")).unwrap(), b"old");
    }

    #[test]
    fn names_with_folders_are_refused() {
        let (temp, dir) = folder();
        for name in ["", ".", "..", "../a", "a/b", "/a", &"a".repeat(256)] {
            let error = write_atomically(&dir, name, |_| Ok(())).unwrap_err();
            assert!(matches!(error, VolumeError::OutputName { .. }), "{name}: {error}");
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
        }
        assert!(names(&temp).is_empty());
        write_atomically(&dir, &"a".repeat(255), |_| Ok(())).unwrap();
    }

    #[test]
    fn names_that_look_like_others_are_refused() {
        let (temp, dir) = folder();
        for name in [
            "a\u{202e}nii.bat",
            "a\nb.nii",
            ".nephrite-0123456789abcdef.partial",
            "nul.nii",
        ] {
            let error = write_atomically(&dir, name, |_| Ok(())).unwrap_err();
            assert!(matches!(error, VolumeError::OutputName { .. }), "{error}");
            assert!(!error.to_string().contains(['\n', '\u{202e}']), "{error:?}");
        }
        assert!(names(&temp).is_empty());
    }

    /// While it is written, the file is locked and has a hidden name that rests on no process number.
    #[test]
    fn the_hidden_file_is_locked_by_who_writes_it() {
        let (temp, dir) = folder();
        write_atomically(&dir, "a.json", |_| {
            let found = names(&temp);
            let hidden = HiddenName::parse(&found[0]).expect("a hidden name");
            assert_eq!((found.len(), hidden.kind), (1, HiddenKind::Partial));
            let file = File::open(temp.path().join(&found[0]))?;
            assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
            Ok(())
        })
        .unwrap();
        let (_, identity) = write_identified(&dir, "b.json", |out| out.write_all(b"b")).unwrap();
        let file = File::open(temp.path().join("b.json")).unwrap();
        assert_eq!(FileIdentity::of(&file).unwrap(), identity);
        file.try_lock().expect("nobody holds what is written");
    }

    /// Somebody took the hidden file away and put another one there: it is neither given the final name nor removed.
    #[test]
    fn what_another_process_put_under_the_hidden_name_is_left_alone() {
        for fails in [true, false] {
            let (temp, dir) = folder();
            let error = write_atomically(&dir, "a.json", |_| {
                let hidden = temp.path().join(&names(&temp)[0]);
                std::fs::remove_file(&hidden)?;
                std::fs::write(&hidden, "theirs")?;
                if fails {
                    Err(io::Error::other("no"))
                } else {
                    Ok(())
                }
            });
            assert!(matches!(error, Err(VolumeError::Write { .. })), "{error:?}");
            let left = names(&temp);
            assert_eq!(left.len(), 1, "{left:?}");
            assert_eq!(std::fs::read(temp.path().join(&left[0])).unwrap(), b"theirs");
        }
    }

    #[test]
    fn a_folder_under_the_final_name_stays() {
        let (temp, dir) = folder();
        dir.create_dir("a.json").unwrap();
        assert!(matches!(
            write_atomically(&dir, "a.json", |_| Ok(())),
            Err(VolumeError::Write { .. })
        ));
        assert_eq!(names(&temp), ["a.json"]);
    }

    #[test]
    fn a_folder_that_is_gone_is_not_found() {
        let (temp, dir) = folder();
        drop(temp);
        let error = write_atomically(&dir, "a.json", |_| Ok(())).unwrap_err();
        assert!(
            matches!(error, VolumeError::OutputFolderMissing { .. }),
            "{error}"
        );
        assert_eq!(error.code(), ErrorCode::NotFound);
    }

    #[test]
    fn errors_of_the_system_are_sorted() {
        use io::ErrorKind::*;
        let check = |kind: io::ErrorKind, code, part: &str| {
            let error = write_error("a.json", kind.into());
            assert_eq!(error.code(), code);
            assert!(format!("{error:?}").starts_with(part), "{error:?}");
        };
        check(PermissionDenied, ErrorCode::Environment, "NotWritable");
        check(ReadOnlyFilesystem, ErrorCode::Environment, "NotWritable");
        check(StorageFull, ErrorCode::Environment, "DiskFull");
        check(QuotaExceeded, ErrorCode::Environment, "DiskFull");
        check(FileTooLarge, ErrorCode::Environment, "DiskFull");
        check(NotFound, ErrorCode::NotFound, "OutputFolderMissing");
        check(BrokenPipe, ErrorCode::Environment, "Write");
    }

    /// A folder that nobody may write to, the administrator included.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_is_not_writable_is_refused() {
        let dir = Dir::open_ambient_dir("/sys/kernel", ambient_authority()).unwrap();
        let error = write_atomically(&dir, "a.json", |_| Ok(())).unwrap_err();
        assert!(matches!(error, VolumeError::NotWritable { .. }), "{error}");
    }
}
