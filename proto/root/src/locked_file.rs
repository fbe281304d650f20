//! Files under hidden names that belong to whoever holds the lock on them.

use std::fs::{File, TryLockError};
use std::io;

use cap_std::fs::{Dir, Metadata, MetadataExt as _};
use nephrite_types::FileIdentity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Tries for a file that others make and remove at the same time.
const N_TRIES: u32 = 100;

/// Who has a file.
#[derive(Debug)]
pub(crate) enum Owner {
    /// This process, as long as the file is open.
    Ours(File),
    /// Another one that lives; or it is gone, or no file.
    Theirs,
    /// The file system has no locks.
    NoLocks,
}

/// Opens and locks a regular file, made if it is not there and `create` says so. The lock counts only if the name still
/// leads to the file once it is held: whoever had it before may have removed it.
pub(crate) fn hold(folder: &Dir, name: &str, create: bool) -> io::Result<Owner> {
    for _ in 0..N_TRIES {
        let mut file = match open(folder, name, create, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) if !create => return Ok(Owner::Theirs),
            Err(errno) => return Err(errno.into()),
        };
        if !file.metadata()?.is_file() {
            return Ok(Owner::Theirs);
        }
        let mut locked = file.try_lock();
        if matches!(&locked, Err(TryLockError::Error(error)) if error.raw_os_error() == Some(Errno::BADF.raw_os_error()))
        {
            // A network file system locks only what is open for writing. Elsewhere that would keep a file system from being
            // made read-only.
            file = open(folder, name, false, OFlags::RDWR)?;
            locked = file.try_lock();
        }
        match locked {
            Ok(()) if is_there(folder, name, &file)? => return Ok(Owner::Ours(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Owner::Theirs),
            Err(TryLockError::Error(_)) => return Ok(Owner::NoLocks),
        }
    }
    Ok(Owner::Theirs)
}

/// `name` is one of ours, without folders. A pipe would block, and a link would lead elsewhere.
fn open(folder: &Dir, name: &str, create: bool, access: OFlags) -> Result<File, Errno> {
    let create = if create { OFlags::CREATE } else { OFlags::empty() };
    let flags = access | create | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let rights = Mode::from_raw_mode(0o666); // less what the process masks
    Ok(File::from(rustix::fs::openat(folder, name, flags, rights)?))
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
