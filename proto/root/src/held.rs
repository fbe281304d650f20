//! Files under hidden names that belong to whoever holds the lock on them.

use std::fs::{File, TryLockError};
use std::io;

use cap_std::fs::{Dir, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use nephrite_types::FileIdentity;
use rustix::fs::OFlags;

/// Tries for a file that others make and remove at the same time.
const N_TRIES: u32 = 100;

/// Who has a file.
#[derive(Debug)]
pub(crate) enum Held {
    /// This process, as long as the file is open.
    Ours(File),
    /// Another one that lives; or it is gone, or no file.
    Theirs,
    /// The file system has no locks.
    NoLocks,
}

/// Opens and locks a regular file, made if it is not there and `create` says so. The lock counts only if the name still
/// leads to the file once it is held: whoever had it before may have removed it.
pub(crate) fn hold(folder: &Dir, name: &str, create: bool) -> io::Result<Held> {
    for _ in 0..N_TRIES {
        let file = match open(folder, name, create) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !create => return Ok(Held::Theirs),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Ok(Held::Theirs);
        }
        match file.try_lock() {
            Ok(()) if is_there(folder, name, &file)? => return Ok(Held::Ours(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Held::Theirs),
            Err(TryLockError::Error(_)) => return Ok(Held::NoLocks),
        }
    }
    Ok(Held::Theirs)
}

/// For writing, which the locks of some file systems need; what another user made, for reading.
fn open(folder: &Dir, name: &str, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A pipe would block, and a link would lead elsewhere.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    options.custom_flags(flags.bits() as i32).read(true);
    let opened = folder.open_with(name, options.clone().write(true).create(create));
    let opened = match opened {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => folder.open_with(name, &options),
        opened => opened,
    };
    Ok(opened?.into_std())
}

/// True if the name leads to this file.
pub(crate) fn is_there(folder: &Dir, name: &str, file: &File) -> io::Result<bool> {
    let own = FileIdentity::of(file)?;
    let there = folder.symlink_metadata(name);
    Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (own.device, own.inode)))
}

/// True if the name leads to what has these metadata.
pub(crate) fn leads_to(folder: &Dir, name: &str, own: &Metadata) -> bool {
    let there = folder.symlink_metadata(name);
    there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()))
}

/// Removes a file that is held, if the name still leads to it.
pub(crate) fn remove(folder: &Dir, name: &str, file: &File) -> io::Result<()> {
    if is_there(folder, name, file)? {
        folder.remove_file(name)?;
    }
    Ok(())
}

/// Makes names in a folder durable.
pub(crate) fn sync(folder: &Dir) -> io::Result<()> {
    // The handle may be one that only names the folder (O_PATH), which cannot be synced.
    match folder.open(".")?.sync_all() {
        // Some network file systems do not sync folders.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}
