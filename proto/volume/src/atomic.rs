use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, File, OpenOptions};

use crate::VolumeError;

/// Tries for a temporary name that a stopped process has not left behind.
const N_NAMES: u32 = 100;

/// Numbers the temporary files of this process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Writes a file that appears under its final name only when it is whole: temporary name in the same folder, sync,
/// rename, sync of the folder. A file of that name is replaced. On any error, or a panic in `write`, the temporary file
/// is removed and what had the final name stays.
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
    check_plain(file_name)?;
    let failed = |source| write_error(file_name, source);
    let (file, temporary) = create_temporary(dir).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(64 << 10, file);
    let result = write(&mut writer).map_err(failed)?;
    let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    drop(file);
    dir.rename(&temporary.name, dir, file_name).map_err(failed)?;
    temporary.keep();
    sync_dir(dir).map_err(failed)?;
    Ok(result)
}

/// Removes the file when dropped.
pub(crate) struct Temporary<'a> {
    dir: &'a Dir,
    pub(crate) name: String,
    remove: bool,
}

impl Temporary<'_> {
    pub(crate) fn keep(mut self) {
        self.remove = false;
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.remove {
            // Nothing can be done if this fails too; the error that led here is the one to report.
            let _ = self.dir.remove_file(&self.name);
        }
    }
}

pub(crate) fn create_temporary(dir: &Dir) -> io::Result<(File, Temporary<'_>)> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..N_NAMES {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".nephrite-{}-{number}.partial", std::process::id());
        match dir.open_with(&name, OpenOptions::new().write(true).create_new(true)) {
            Ok(file) => {
                return Ok((
                    file,
                    Temporary {
                        dir,
                        name,
                        remove: true,
                    },
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
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

pub(crate) fn check_plain(file_name: &str) -> Result<(), VolumeError> {
    let refuse = |reason| {
        Err(VolumeError::OutputName {
            name: file_name.to_owned(),
            reason,
        })
    };
    match file_name {
        "" => refuse("is empty"),
        "." | ".." => refuse("is a folder"),
        name if name.contains(['/', '\\', '\0']) => refuse("is not a plain file name"),
        name if name.len() > 255 => refuse("is longer than 255 bytes"),
        _ => Ok(()),
    }
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
    use nephrite_types::ErrorCode;

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
