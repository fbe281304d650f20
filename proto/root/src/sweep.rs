//! Removes what dead processes left behind.

use std::io;
use std::time::Instant;

use cap_std::fs::{Dir, MetadataExt as _};
use nephrite_types::{FileIdentity, HiddenKind, HiddenName};

use crate::locked_file::{self, Owner};
use crate::work_folder::sweep_folder;

/// Entries of one folder that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// Folders below one another that are looked into.
const MAX_DEPTH: usize = 16;
/// Bytes of a check file, at most.
const MAX_CHECK_BYTES: u64 = 64;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files and folders that were removed.
    pub removed: usize,
    /// Entries that were looked at.
    pub seen: usize,
    /// True if everything was looked at.
    pub complete: bool,
}

/// Removes from one folder what dead processes left there: files on their way to their final name, folders of work, check
/// files. Removed is only what has exactly such a name ([`HiddenName`]), is what that name says (a file, a folder; links
/// are neither followed nor removed), and whose lock nobody holds. What cannot be removed stays for the next one.
pub fn sweep(folder: &Dir) -> Swept {
    let mut swept = Swept {
        complete: true,
        ..Swept::default()
    };
    look_at(folder, &mut swept, MAX_ENTRIES, &mut |_| {});
    swept
}

/// [`sweep`] for a folder and all below it, within `max_entries` and until `deadline`. Stays on its file system.
pub fn sweep_below(folder: &Dir, max_entries: usize, deadline: Instant) -> Swept {
    let mut swept = Swept {
        complete: true,
        ..Swept::default()
    };
    let (Ok(own), Ok(folder)) = (folder.dir_metadata(), folder.try_clone()) else {
        swept.complete = false;
        return swept;
    };
    let device = own.dev();
    let mut waiting = vec![(folder, 0)];
    while let Some((folder, depth)) = waiting.pop() {
        if swept.seen >= max_entries || Instant::now() >= deadline {
            swept.complete = false;
            break;
        }
        let mut below = Vec::new();
        look_at(&folder, &mut swept, max_entries, &mut |name| {
            below.push(name.to_owned())
        });
        if depth >= MAX_DEPTH {
            swept.complete &= below.is_empty();
            continue;
        }
        for name in below {
            // Looked at without following, opened, and compared: a link that took its place meanwhile is not followed.
            let Ok(opened) = folder.open_dir(&name) else {
                continue;
            };
            let Ok(own) = opened.dir_metadata() else { continue };
            if own.dev() == device && locked_file::leads_to(&folder, &name, &own) {
                waiting.push((opened, depth + 1));
            }
        }
    }
    swept
}

/// Looks at the entries of one folder; `below` hears of its other folders.
fn look_at(folder: &Dir, swept: &mut Swept, max_entries: usize, below: &mut dyn FnMut(&str)) {
    let Ok(entries) = folder.entries() else {
        swept.complete = false;
        return;
    };
    // Names first: removing while reading may hide others.
    let mut ours = Vec::new();
    for entry in entries {
        if swept.seen >= max_entries {
            swept.complete = false;
            break;
        }
        swept.seen += 1;
        let Ok(entry) = entry else { continue };
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        match HiddenName::parse(&name) {
            Some(hidden) => ours.push(hidden),
            None if entry.file_type().is_ok_and(|kind| kind.is_dir()) => below(&name),
            None => {}
        }
    }
    for hidden in ours {
        match remove(folder, hidden) {
            Ok(true) => swept.removed += 1,
            Ok(false) => {}
            Err(_) => swept.complete = false,
        }
    }
}

/// Removes one thing of a dead process; false if its owner lives, or it is none.
fn remove(folder: &Dir, hidden: HiddenName) -> io::Result<bool> {
    match hidden.kind {
        HiddenKind::Folder | HiddenKind::Lock => {
            let name = hidden.to_string();
            let is_ours = folder
                .symlink_metadata(&name)
                .is_ok_and(|there| match hidden.kind {
                    HiddenKind::Folder => there.is_dir(),
                    _ => there.is_file() && there.len() == 0,
                });
            Ok(is_ours && sweep_folder(folder, hidden.id)?.is_some())
        }
        HiddenKind::Partial | HiddenKind::Check => {
            let name = hidden.to_string();
            if !folder.symlink_metadata(&name).is_ok_and(|there| there.is_file()) {
                return Ok(false);
            }
            let Owner::Ours(file) = locked_file::hold(folder, &name, false)? else {
                return Ok(false);
            };
            if hidden.kind == HiddenKind::Check && FileIdentity::of(&file)?.size > MAX_CHECK_BYTES {
                return Ok(false);
            }
            locked_file::remove(folder, &name, &file)?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::Duration;

    use cap_std::ambient_authority;

    use super::*;
    use crate::WorkFolder;

    const FOLDER: &str = ".nephrite-0000000000000001.work";
    const LOCK: &str = ".nephrite-0000000000000001.lock";
    const PARTIAL: &str = ".nephrite-0000000000000002.partial";
    const CHECK: &str = ".nephrite-check-0000000000000003";

    fn open(path: &Path) -> Dir {
        Dir::open_ambient_dir(path, ambient_authority()).unwrap()
    }

    fn leave_behind(folder: &Path) {
        fs::create_dir(folder.join(FOLDER)).unwrap();
        fs::write(folder.join(FOLDER).join("half"), "half").unwrap();
        fs::write(folder.join(LOCK), "").unwrap();
        fs::write(folder.join(PARTIAL), "half").unwrap();
        fs::write(folder.join(CHECK), "content").unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_the_dead_left_goes_away_also_below() {
        let temp = tempfile::tempdir().unwrap();
        let below = temp.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        leave_behind(temp.path());
        leave_behind(&below);
        assert!(sweep(&open(temp.path())).removed >= 3);
        assert_eq!(names(temp.path()), ["a"]);
        assert_eq!(names(&below).len(), 4);
        let later = Instant::now() + Duration::from_secs(60);
        let swept = sweep_below(&open(temp.path()), 1000, later);
        assert!(swept.complete && swept.removed >= 3, "{swept:?}");
        assert!(names(&below).is_empty());
        // a lock file alone, and a folder alone
        fs::write(temp.path().join(LOCK), "").unwrap();
        assert_eq!(sweep(&open(temp.path())).removed, 1);
        fs::create_dir(temp.path().join(FOLDER)).unwrap();
        assert_eq!(sweep(&open(temp.path())).removed, 1);
        assert_eq!(names(temp.path()), ["a"]);
    }

    #[test]
    fn what_the_living_hold_stays() {
        let temp = tempfile::tempdir().unwrap();
        let dir = open(temp.path());
        let work = WorkFolder::new(&dir).unwrap();
        work.folder().write("half", "half").unwrap();
        fs::write(temp.path().join(PARTIAL), "half").unwrap();
        let partial = fs::File::open(temp.path().join(PARTIAL)).unwrap();
        partial.try_lock().unwrap();
        assert_eq!(sweep(&dir).removed, 0);
        assert_eq!(work.folder().read_to_string("half").unwrap(), "half");
        assert_eq!(names(temp.path()).len(), 3);
        drop(partial);
        assert_eq!(sweep(&dir).removed, 1);
        drop(work);
        assert!(names(temp.path()).is_empty());
    }

    #[test]
    fn what_only_looks_like_ours_stays_and_no_link_is_followed() {
        let temp = tempfile::tempdir().unwrap();
        let precious = temp.path().join("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "precious").unwrap();
        fs::write(precious.join(PARTIAL), "half, but in another place").unwrap();
        let here = temp.path().join("here");
        fs::create_dir(&here).unwrap();
        for name in [
            ".nephrite-1-2.partial",
            ".nephrite-0000000000000001.partial.nii.gz",
            ".nephrite-notes",
            "0000000000000001.partial",
        ] {
            fs::write(here.join(name), "mine").unwrap();
        }
        fs::write(here.join(CHECK), [7; 65]).unwrap();
        fs::write(here.join(LOCK), "not empty: somebody's own").unwrap();
        fs::create_dir(here.join(PARTIAL)).unwrap();
        symlink(&precious, here.join(".nephrite-0000000000000004.work")).unwrap();
        symlink(
            precious.join("file"),
            here.join(".nephrite-0000000000000005.partial"),
        )
        .unwrap();
        symlink("/nowhere", here.join(".nephrite-0000000000000006.lock")).unwrap();
        symlink(&precious, here.join("link")).unwrap();
        let before = names(&here);
        let later = Instant::now() + Duration::from_secs(60);
        let swept = sweep_below(&open(&here), 1000, later);
        assert_eq!(swept.removed, 0, "{swept:?}");
        assert_eq!(names(&here), before);
        assert_eq!(names(&precious), [PARTIAL, "file"]);
        assert_eq!(
            names(temp.path()),
            ["here", "precious"],
            "nothing was made elsewhere"
        );
    }

    #[test]
    fn a_folder_of_a_dead_one_goes_without_what_its_links_lead_to() {
        let temp = tempfile::tempdir().unwrap();
        let precious = temp.path().join("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "precious").unwrap();
        let dead = temp.path().join(FOLDER);
        fs::create_dir(&dead).unwrap();
        symlink(&precious, dead.join("link")).unwrap();
        symlink(precious.join("file"), dead.join("file")).unwrap();
        assert_eq!(sweep(&open(temp.path())).removed, 1);
        assert_eq!(names(temp.path()), ["precious"]);
        assert_eq!(names(&precious), ["file"]);
    }

    #[test]
    fn a_sweep_has_an_end() {
        let temp = tempfile::tempdir().unwrap();
        for n in 0..50 {
            fs::create_dir(temp.path().join(n.to_string())).unwrap();
        }
        let later = Instant::now() + Duration::from_secs(60);
        let swept = sweep_below(&open(temp.path()), 20, later);
        assert!(!swept.complete && swept.seen == 20, "{swept:?}");
        let swept = sweep_below(&open(temp.path()), 1000, Instant::now());
        assert!(!swept.complete && swept.seen == 0, "{swept:?}");
    }
}
