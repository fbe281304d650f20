//! A folder that belongs to one piece of work, hidden until it is whole.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::time::Duration;

use cap_std::fs::Dir;
use nephrite_types::{HiddenKind, HiddenName};
use rustix::fs::RenameFlags;
use rustix::io::Errno;

use crate::locked_file::{self, Owner};

/// Tries for a name that nobody else has.
const N_NAMES: u32 = 100;
/// Tries for a name that somebody else has, and the pause between them.
const CLAIM_TRIES: u32 = 5;
const CLAIM_PAUSE: Duration = Duration::from_millis(10);

/// A folder with a hidden name, locked as long as this lives: the way of results to their final name, or a place for files
/// between two processes. It goes away when dropped, unless [`WorkFolder::publish`] gives it a name for good; what a
/// process leaves that is killed has no lock, and is removed by [`sweep`](crate::sweep) or by the next claim of its name.
///
/// The lock is an advisory one (`flock`) on an empty file beside the folder, since some file systems lock no folders. Where
/// there are no locks at all, folders get random names and are never swept.
#[derive(Debug)]
pub struct WorkFolder {
    parent: Dir,
    id: u64,
    folder: Dir,
    /// `None` where the file system has no locks.
    lock: Option<File>,
    /// It has its final name.
    published: bool,
}

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Somebody who lives has it.
    #[error("another process has it")]
    Taken,
    /// The system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WorkFolder {
    /// Makes one with a random name in `parent`, with the rights of `parent`, so that a process of another user of the same
    /// group can write to it.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(parent: &Dir) -> io::Result<WorkFolder> {
        for _ in 0..N_NAMES {
            match WorkFolder::take(parent, RandomState::new().hash_one(file!())) {
                Ok(folder) => return Ok(folder),
                Err(Refused::Taken | Refused::NoLocks) => {}
                Err(Refused::Io(error)) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The same with a name that stands for something, such as that of a result: of all who claim the same `id` in the
    /// same folder, one gets it. What a dead one left under it is removed first.
    ///
    /// # Errors
    /// [`ClaimError::Taken`] if another one has it and lives; what the system says.
    pub fn claim(parent: &Dir, id: u64) -> Result<WorkFolder, ClaimError> {
        let mut tries = 0;
        loop {
            match WorkFolder::take(parent, id) {
                Ok(folder) => return Ok(folder),
                // Whoever sweeps holds a lock for a moment.
                Err(Refused::Taken) if tries < CLAIM_TRIES => {
                    tries += 1;
                    std::thread::sleep(CLAIM_PAUSE);
                }
                Err(Refused::Taken) => return Err(ClaimError::Taken),
                // Nobody can tell the dead from the living there; the final name is given to one only.
                Err(Refused::NoLocks) => return Ok(WorkFolder::new(parent)?),
                Err(Refused::Io(error)) => return Err(error.into()),
            }
        }
    }

    fn take(parent: &Dir, id: u64) -> Result<WorkFolder, Refused> {
        let name = folder_name(id);
        let lock = match locked_file::hold(parent, &lock_name(id), true)? {
            Owner::Ours(lock) => Some(lock),
            Owner::Theirs => return Err(Refused::Taken),
            Owner::NoLocks => None,
        };
        match parent.create_dir(&name) {
            Ok(()) => {}
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                forget_lock(parent, id, lock.as_ref());
                return Err(error.into());
            }
            Err(_) if lock.is_none() => return Err(Refused::NoLocks),
            Err(_) => {
                remove_leftover(parent, &name)?;
                parent.create_dir(&name)?;
            }
        }
        let opened = parent.dir_metadata().and_then(|metadata| {
            let _ = parent.set_permissions(&name, metadata.permissions()); // refused by some file systems
            let folder = parent.open_dir(&name)?;
            if locked_file::leads_to(parent, &name, &folder.dir_metadata()?) {
                Ok(folder)
            } else {
                Err(io::Error::other("somebody took the folder away"))
            }
        });
        match opened {
            Ok(folder) => Ok(WorkFolder {
                parent: parent.try_clone()?,
                id,
                folder,
                lock,
                published: false,
            }),
            Err(error) => {
                let _ = parent.remove_dir(&name); // the error at hand says more
                forget_lock(parent, id, lock.as_ref());
                Err(error.into())
            }
        }
    }

    /// Open.
    pub fn folder(&self) -> &Dir {
        &self.folder
    }

    /// Its hidden name.
    pub fn name(&self) -> String {
        folder_name(self.id)
    }

    /// Gives it its final name beside the hidden one, if nobody has that: nothing that is there is ever replaced. On an
    /// error it goes away.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something has the final name; what the system says.
    pub fn publish(mut self, name: &str) -> io::Result<()> {
        let hidden = self.name();
        if !self.is_there() {
            return Err(io::Error::other(
                "somebody took the folder away while it was filled",
            ));
        }
        locked_file::sync(&self.folder)?;
        rename_new(&self.parent, &hidden, name)?;
        self.published = true;
        forget_lock(&self.parent, self.id, self.lock.as_ref());
        let _ = locked_file::sync(&self.parent); // it is there; that a power failure may still take its name is no failure now
        Ok(())
    }

    /// Removes it, with all that lies in it. What somebody else has put under its name stays.
    ///
    /// # Errors
    /// What the system says; then the next sweep removes it.
    pub fn discard(mut self) -> io::Result<()> {
        self.remove()
    }

    fn is_there(&self) -> bool {
        let own = self.folder.dir_metadata();
        own.is_ok_and(|own| locked_file::leads_to(&self.parent, &self.name(), &own))
    }

    fn remove(&mut self) -> io::Result<()> {
        if self.published {
            return Ok(());
        }
        self.published = true; // tried once
        if self.is_there() {
            self.parent.remove_dir_all(self.name())?;
        }
        forget_lock(&self.parent, self.id, self.lock.as_ref());
        Ok(())
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = self.remove(); // the next sweep tries again
    }
}

enum Refused {
    Taken,
    NoLocks,
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::Io(error)
    }
}

fn folder_name(id: u64) -> String {
    let kind = HiddenKind::Folder;
    HiddenName { kind, id }.to_string()
}

fn lock_name(id: u64) -> String {
    let kind = HiddenKind::Lock;
    HiddenName { kind, id }.to_string()
}

/// Removes the lock file, still locked, so that nobody else can hold it.
fn forget_lock(parent: &Dir, id: u64, lock: Option<&File>) {
    if let Some(lock) = lock {
        let _ = locked_file::remove(parent, &lock_name(id), lock); // empty, and swept by the next one
    }
}

/// What a dead process left under the name of a folder, if that is a folder; a link is not followed.
pub(crate) fn remove_leftover(parent: &Dir, name: &str) -> io::Result<()> {
    match parent.symlink_metadata(name) {
        Ok(there) if there.is_dir() => parent.remove_dir_all(name),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{name} is not a folder: somebody else made it"),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// True of a hidden folder that nobody holds, as far as can be told; removes nothing.
pub fn is_abandoned(parent: &Dir, name: &str) -> bool {
    let Some(HiddenName {
        kind: HiddenKind::Folder,
        id,
    }) = HiddenName::parse(name)
    else {
        return false;
    };
    let lock = lock_name(id);
    match parent.symlink_metadata(&lock) {
        // given up again at once
        Ok(_) => matches!(locked_file::hold(parent, &lock, false), Ok(Owner::Ours(_))),
        Err(error) => error.kind() == io::ErrorKind::NotFound, // the lock is made first, and goes last
    }
}

/// Removes what a dead process left under these digits: the folder, then its lock file. `None` if somebody lives who has
/// it, or nobody can tell.
pub(crate) fn sweep_folder(parent: &Dir, id: u64) -> io::Result<Option<()>> {
    let has_folder = parent
        .symlink_metadata(folder_name(id))
        .is_ok_and(|there| there.is_dir());
    let Owner::Ours(lock) = locked_file::hold(parent, &lock_name(id), has_folder)? else {
        return Ok(None);
    };
    if has_folder {
        remove_leftover(parent, &folder_name(id))?;
    }
    locked_file::remove(parent, &lock_name(id), &lock)?;
    Ok(Some(()))
}

/// Renames within a folder; fails if something has the new name.
fn rename_new(parent: &Dir, from: &str, to: &str) -> io::Result<()> {
    match rustix::fs::renameat_with(parent, from, parent, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // The file system cannot. Renaming a folder replaces an empty folder at worst.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename_checked(parent, from, to),
        Err(errno) => Err(errno.into()),
    }
}

fn rename_checked(parent: &Dir, from: &str, to: &str) -> io::Result<()> {
    match parent.symlink_metadata(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) => return Err(error),
    }
    match parent.rename(from, parent, to) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
            ) =>
        {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        outcome => outcome,
    }
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
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_goes_away_unless_it_is_published() {
        let (temp, dir) = folder();
        let work = WorkFolder::new(&dir).unwrap();
        work.folder().write("a", "a").unwrap();
        assert_eq!(names(&temp).len(), 2, "the folder and its lock");
        drop(work);
        assert!(names(&temp).is_empty());
        let work = WorkFolder::claim(&dir, 7).unwrap();
        work.folder().write("a", "a").unwrap();
        work.publish("final").unwrap();
        assert_eq!(names(&temp), ["final"]);
        assert_eq!(std::fs::read_to_string(temp.path().join("final/a")).unwrap(), "a");
    }

    #[test]
    fn one_living_owner_has_a_claim_and_a_dead_one_has_none() {
        let (temp, dir) = folder();
        let first = WorkFolder::claim(&dir, 7).unwrap();
        assert!(matches!(WorkFolder::claim(&dir, 7), Err(ClaimError::Taken)));
        WorkFolder::claim(&dir, 8).unwrap();
        drop(first);
        // as a killed process leaves it
        std::fs::create_dir(temp.path().join(folder_name(7))).unwrap();
        std::fs::write(temp.path().join(folder_name(7)).join("half"), "half").unwrap();
        std::fs::write(temp.path().join(lock_name(7)), "").unwrap();
        let second = WorkFolder::claim(&dir, 7).unwrap();
        assert_eq!(second.folder().entries().unwrap().count(), 0);
        drop(second);
        assert!(names(&temp).is_empty());
    }

    #[test]
    fn nothing_that_is_there_is_replaced_with_and_without_help_of_the_system() {
        let (temp, dir) = folder();
        for way in [rename_new, rename_checked] {
            for empty in [true, false] {
                dir.create_dir("from").unwrap();
                dir.create_dir("to").unwrap();
                if !empty {
                    dir.write("to/theirs", "theirs").unwrap();
                }
                let error = way(&dir, "from", "to").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
                assert_eq!(names(&temp), ["from", "to"]);
                way(&dir, "from", "new").unwrap();
                assert_eq!(names(&temp), ["new", "to"]);
                dir.remove_dir_all("new").unwrap();
                dir.remove_dir_all("to").unwrap();
            }
        }
        let work = WorkFolder::new(&dir).unwrap();
        dir.write("final", "theirs").unwrap();
        let error = work.publish("final").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(&temp), ["final"], "the hidden folder is gone");
    }

    #[test]
    fn what_somebody_else_put_under_the_hidden_name_stays() {
        let (temp, dir) = folder();
        let work = WorkFolder::new(&dir).unwrap();
        let hidden = work.name();
        dir.rename(&hidden, &dir, "away").unwrap();
        dir.create_dir(&hidden).unwrap();
        dir.write(format!("{hidden}/theirs"), "theirs").unwrap();
        work.discard().unwrap();
        assert!(temp.path().join(&hidden).join("theirs").exists());
        let work = WorkFolder::new(&dir).unwrap();
        let hidden = work.name();
        dir.rename(&hidden, &dir, "away2").unwrap();
        dir.create_dir(&hidden).unwrap();
        assert!(work.publish("final").is_err());
        assert!(temp.path().join(&hidden).exists());
        assert!(!temp.path().join("final").exists());
    }

    /// Cases that start in one folder sweep it while others claim names there.
    #[test]
    fn sweeps_do_not_disturb_those_who_claim() {
        let (temp, dir) = folder();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        crate::sweep(&dir);
                    }
                });
            }
            for id in 0..300 {
                let work = WorkFolder::claim(&dir, id).unwrap();
                work.folder().write("a", "a").unwrap();
                assert_eq!(work.folder().read_to_string("a").unwrap(), "a");
                assert!(work.is_there());
                drop(work);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert!(names(&temp).is_empty());
    }

    #[test]
    fn many_who_claim_at_once_get_one_folder() {
        let (temp, dir) = folder();
        for _ in 0..20 {
            let claimed: Vec<_> = std::thread::scope(|scope| {
                let claim = || WorkFolder::claim(&dir, 7);
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let n_ours = claimed.iter().filter(|claim| claim.is_ok()).count();
            assert_eq!(n_ours, 1, "{claimed:?}");
            drop(claimed);
            assert!(names(&temp).is_empty());
        }
    }
}
