//! Whether a file is still the one that was read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file, and the state that it is in: what the system says of an open file, all of which is the same as long as nobody
/// writes to it, replaces it or gives it other rights. The one type by which caches know files.
///
/// The time of change is what a writer cannot set back: `cp -p` and `touch -d` restore size and time of modification of
/// what they overwrite, and set the time of change to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Of the file system.
    pub device: u64,
    /// Of the file in it.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its content was last modified, seconds and nanoseconds since 1970; anybody can set it.
    pub modified: (i64, i64),
    /// When its content or what is known of it was last changed, seconds and nanoseconds since 1970; only the system
    /// sets it.
    pub changed: (i64, i64),
}

impl FileIdentity {
    /// How long after its last change a file can be changed again without its identity showing it: the clock of a file
    /// system has a grain of some milliseconds, of old ones of 2 s.
    pub const GRAIN: Duration = Duration::from_secs(2);

    /// Of an open file, as it is now.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: &File) -> io::Result<FileIdentity> {
        Ok(FileIdentity::from(&file.metadata()?))
    }

    /// True if this is the same file, in whatever state. Sure only while one of the two is held open: a file system may
    /// give the number of a file that is gone to a new one.
    pub fn is_same_file(&self, other: &FileIdentity) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// True if a change after `now` would show in the identity: the last one is longer ago than [`FileIdentity::GRAIN`].
    /// What was read of a file that is not settled may be another content of the same identity; git calls such an entry
    /// of its index racily clean.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else {
            return false;
        };
        let (seconds, nanoseconds) = self.changed;
        let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
        let changed = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        let grain = i128::try_from(FileIdentity::GRAIN.as_nanos()).unwrap_or(i128::MAX);
        changed.saturating_add(grain) < now
    }
}

impl From<&Metadata> for FileIdentity {
    fn from(metadata: &Metadata) -> Self {
        FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_settles_two_seconds_after_its_last_change() {
        let identity = |changed| FileIdentity {
            device: 1,
            inode: 2,
            size: 3,
            modified: (0, 0),
            changed,
        };
        let now = UNIX_EPOCH + Duration::from_secs(100);
        assert!(identity((97, 999_999_999)).is_settled(now));
        assert!(!identity((98, 0)).is_settled(now));
        assert!(!identity((100, 0)).is_settled(now));
        assert!(
            !identity((5000, 0)).is_settled(now),
            "by the clock of another machine"
        );
        assert!(identity((-5, 0)).is_settled(now), "before 1970");
    }
}
