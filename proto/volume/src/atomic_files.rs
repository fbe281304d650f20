//! Many files at once, each whole or absent, in the time of few.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use cap_std::fs::Dir;
use nephrite_types::FileIdentity;
use rayon::prelude::*;

use crate::VolumeError;
use crate::atomic::{Temporary, check_name, sync_dir, write_error};

/// Files that are open at the same time.
const FILES_AT_ONCE: usize = 128;
/// Syncs under way: a file system commits those that wait together at once.
const SYNCS_AT_ONCE: usize = 16;

/// Many files, each as [`write_atomically`](crate::write_atomically) writes one, in the time of few: a disk is asked to
/// commit for many at once, and for the folder at the end.
///
/// `write` gets the index of a file and a buffered writer, on any thread. `written` is told the index of every file that
/// has its final name, and which file it is, in order: these stay if a later one fails.
///
/// # Errors
/// As [`write_atomically`](crate::write_atomically), for the first file that fails.
pub fn write_files_atomically(
    dir: &Dir,
    file_names: &[String],
    write: impl Fn(usize, &mut dyn Write) -> io::Result<()> + Sync,
    mut written: impl FnMut(usize, FileIdentity),
) -> Result<(), VolumeError> {
    for name in file_names {
        check_name(name)?;
    }
    let indices: Vec<usize> = (0..file_names.len()).collect();
    for group in indices.chunks(FILES_AT_ONCE) {
        let staged = group.par_iter().map(|&index| {
            stage(dir, |out| write(index, out)).map_err(|source| write_error(&file_names[index], source))
        });
        // Collected before the first failure is looked for, so that it is that of the first file on any number of threads.
        let staged: Vec<Result<Temporary<'_>, VolumeError>> = staged.collect();
        let staged: Vec<Temporary<'_>> = staged.into_iter().collect::<Result<_, _>>()?;
        sync_all(&staged).map_err(|(at, source)| write_error(&file_names[group[at]], source))?;
        for (&index, temporary) in group.iter().zip(staged) {
            let name = &file_names[index];
            let file = temporary
                .publish(name)
                .map_err(|source| write_error(name, source))?;
            written(index, file);
        }
    }
    match file_names.last() {
        Some(name) => sync_dir(dir).map_err(|source| write_error(name, source)),
        None => Ok(()),
    }
}

fn stage<'a>(
    dir: &'a Dir,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Temporary<'a>> {
    let temporary = Temporary::create(dir)?;
    temporary.write(write)?;
    Ok(temporary)
}

/// Waits for all of them; which failed first, if any did.
fn sync_all(files: &[Temporary<'_>]) -> Result<(), (usize, io::Error)> {
    let next = AtomicUsize::new(0);
    let sync = || {
        let mut failed: Option<(usize, io::Error)> = None;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(temporary) = files.get(at) else {
                return failed;
            };
            if let Err(error) = temporary.file.sync_all() {
                failed.get_or_insert((at, error));
            }
        }
    };
    let failures = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SYNCS_AT_ONCE.min(files.len()))
            .map(|_| scope.spawn(sync))
            .collect();
        let results = threads
            .into_iter()
            .map(|thread| thread.join().expect("a sync does not panic"));
        results.flatten().collect::<Vec<_>>()
    });
    match failures.into_iter().min_by_key(|(at, _)| *at) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use nephrite_types::{Coded, ErrorCode};

    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|k| format!("{k}.stl")).collect()
    }

    #[test]
    fn all_files_appear_whole() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let n = 2 * FILES_AT_ONCE + 3;
        let mut done = Vec::new();
        write_files_atomically(
            &dir,
            &names(n),
            |k, out| write!(out, "file {k}"),
            |k, _| done.push(k),
        )
        .unwrap();
        assert_eq!(done, (0..n).collect::<Vec<_>>());
        for k in 0..n {
            let text = std::fs::read_to_string(temp.path().join(format!("{k}.stl"))).unwrap();
            assert_eq!(text, format!("file {k}"));
        }
        assert_eq!(
            std::fs::read_dir(temp.path()).unwrap().count(),
            n,
            "nothing else is left"
        );
        write_files_atomically(&dir, &[], |_, _| Ok(()), |_, _| ()).unwrap();
    }

    #[test]
    fn the_first_failure_is_told_and_leaves_nothing_half() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let n = 2 * FILES_AT_ONCE;
        let bad = FILES_AT_ONCE + 5;
        let write = |k: usize, out: &mut dyn Write| {
            out.write_all(b"half")?;
            if k >= bad {
                Err(io::Error::other("broken"))
            } else {
                Ok(())
            }
        };
        let mut done = Vec::new();
        let error = write_files_atomically(&dir, &names(n), write, |k, _| done.push(k)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Environment);
        assert!(error.to_string().starts_with(&format!("{bad}.stl ")), "{error}");
        assert_eq!(done.len(), FILES_AT_ONCE, "the group before");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), FILES_AT_ONCE);
        let outside =
            write_files_atomically(&dir, &["../x".to_owned()], |_, _| Ok(()), |_, _| ()).unwrap_err();
        assert!(matches!(outside, VolumeError::OutputName { .. }), "{outside}");
    }
}
