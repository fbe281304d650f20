//! The state folder: on a disk of this machine, and of one process at a time.

use std::fs::{File, OpenOptions, create_dir_all};
use std::path::Path;

use nephrite_jobs::JobError;
use rustix::fs::{FlockOperation, flock, fstatfs};

/// Whoever has this file locked has the folder.
const LOCK: &str = "jobs.lock";

/// Takes the folder for this process, until the file is dropped. It is made if it is not there.
///
/// # Errors
/// [`JobError::Store`], [`JobError::NetworkFileSystem`], [`JobError::Locked`].
pub(crate) fn take(folder: &Path) -> Result<File, JobError> {
    let failed = |error: std::io::Error| JobError::Store {
        path: folder.to_owned(),
        reason: error.to_string(),
    };
    create_dir_all(folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    let lock = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK));
    let lock = lock.map_err(failed)?;
    let kind = fstatfs(&lock).map_err(|errno| failed(errno.into()))?.f_type;
    #[allow(clippy::unnecessary_cast)] // its type is another one on other systems
    if let Some(kind) = network_file_system(kind as i64) {
        return Err(JobError::NetworkFileSystem {
            path: folder.to_owned(),
            kind,
        });
    }
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JobError::Locked {
            path: folder.to_owned(),
        }),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Kinds on which two machines may see different bytes, or locks that are none. Source: `statfs(2)` and `linux/magic.h`.
fn network_file_system(magic: i64) -> Option<&'static str> {
    Some(match magic & 0xFFFF_FFFF {
        0x6969 => "NFS",
        0x517B => "SMB",
        0xFF53_4D42 => "CIFS",
        0xFE53_4D42 => "SMB2",
        0x0102_1997 => "9P",
        0x564C => "NCP",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        // the kernel gives some as negative numbers
        assert_eq!(
            network_file_system(i64::from(0xFF53_4D42_u32.cast_signed())),
            Some("CIFS")
        );
        assert_eq!(network_file_system(0xFE53_4D42), Some("SMB2"));
        for local in [0xEF53, 0x5846_5342, 0x0102_1994, 0x794C_7630, 0x9123_683E] {
            assert_eq!(network_file_system(local), None, "{local:x}");
        }
    }
}
