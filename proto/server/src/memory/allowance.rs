//! What the machine allows this process: the smallest of physical memory, the limits of its control groups (version 1 or 2)
//! and its resource limits.
//!
//! Source: Linux `Documentation/admin-guide/cgroup-v2.rst` (`memory.max` of a group and of all groups above it),
//! `cgroup-v1/memory.rst` (`memory.limit_in_bytes`, `memory.use_hierarchy`), `getrlimit(2)`.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// Bytes that this process may hold, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Of all that the process holds.
    pub bytes: u64,
    /// The tightest bound.
    pub source: AllowanceSource,
}

/// Who bounds a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowanceSource {
    /// Its configuration or command line.
    Configured,
    /// The memory of the machine.
    Machine,
    /// Its control group, or one above it.
    ControlGroup,
    /// `RLIMIT_AS` or `RLIMIT_DATA`.
    ResourceLimit,
    /// Nothing that could be read.
    Unknown,
}

impl fmt::Display for AllowanceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AllowanceSource::Configured => "configured",
            AllowanceSource::Machine => "memory of the machine",
            AllowanceSource::ControlGroup => "control group",
            AllowanceSource::ResourceLimit => "resource limit",
            AllowanceSource::Unknown => "unknown",
        })
    }
}

impl Allowance {
    /// What was configured.
    pub fn configured(bytes: u64) -> Allowance {
        Allowance {
            bytes,
            source: AllowanceSource::Configured,
        }
    }

    /// What the machine allows, minus a reserve of a tenth, at least 64 MiB: for the kernel's pages of this process, for
    /// other processes, and for what estimates leave out.
    pub fn of_this_process() -> Allowance {
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        let physical = read(Path::new("/proc/meminfo")).and_then(|text| kib_of(&text, "MemTotal:"));
        let of_machine = physical.map(|kib| (kib.saturating_mul(1024), AllowanceSource::Machine));
        let of_groups = group_limit(&read).map(|bytes| (bytes, AllowanceSource::ControlGroup));
        // Address space also counts what is only claimed: libraries, stacks, room of the allocator.
        let claimed = read(Path::new("/proc/self/status")).and_then(|text| kib_of(&text, "VmSize:"));
        let of_space = getrlimit(Resource::As).current.map(|bytes| {
            let claimed = claimed.unwrap_or(0).saturating_mul(1024);
            (
                bytes.saturating_sub(claimed + CLAIMED_LATER),
                AllowanceSource::ResourceLimit,
            )
        });
        let of_data = getrlimit(Resource::Data).current.map(|bytes| {
            (
                bytes.saturating_sub(CLAIMED_LATER),
                AllowanceSource::ResourceLimit,
            )
        });
        let all = [of_machine, of_groups, of_space, of_data];
        smallest(all.into_iter().flatten())
    }
}

/// Address space that the process claims once it works: ONNX Runtime, stacks of its threads, room of the allocators.
const CLAIMED_LATER: u64 = 384 << 20;

fn smallest(bounds: impl Iterator<Item = (u64, AllowanceSource)>) -> Allowance {
    const LEAST_RESERVE: u64 = 64 << 20;
    match bounds.min_by_key(|(bytes, _)| *bytes) {
        None => Allowance {
            bytes: u64::MAX,
            source: AllowanceSource::Unknown,
        },
        Some((bytes, source)) => Allowance {
            bytes: bytes.saturating_sub((bytes / 10).max(LEAST_RESERVE)),
            source,
        },
    }
}

/// The smallest limit of this process's control groups and all above them; `None` if there is none.
///
/// `read` gives the text of a file that can be read.
fn group_limit(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (kind, file) = match controllers {
            "" => (Mount::Unified, "memory.max"),
            v1 if v1.split(',').any(|name| name == "memory") => (Mount::Memory, "memory.limit_in_bytes"),
            _ => return None,
        };
        let mount = mounts.lines().find_map(|line| kind.of(line))?;
        let folder = mount.folder_of(Path::new(path));
        folder
            .ancestors()
            .take_while(|folder| folder.starts_with(&mount.at))
            .filter_map(|folder| read(&folder.join(file)).and_then(|text| limit(&text)))
            .min()
    });
    limits.min()
}

/// Which hierarchy is mounted.
enum Mount {
    /// Version 2.
    Unified,
    /// The memory controller of version 1.
    Memory,
}

/// Where a hierarchy is mounted, and which of its groups stands there.
struct MountPoint {
    at: PathBuf,
    root: PathBuf,
}

impl Mount {
    /// From a line of `mountinfo`, if it is this hierarchy.
    fn of(&self, line: &str) -> Option<MountPoint> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, at) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let is_this = match self {
            Mount::Unified => kind == "cgroup2",
            Mount::Memory => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        };
        is_this.then(|| MountPoint {
            at: at.into(),
            root: root.into(),
        })
    }
}

impl MountPoint {
    /// The folder of a group. In a container the group may lie above what is mounted: its limits are then those of the
    /// mount point.
    fn folder_of(&self, group: &Path) -> PathBuf {
        let below = group.strip_prefix(&self.root).unwrap_or(Path::new(""));
        self.at.join(below.strip_prefix("/").unwrap_or(below))
    }
}

/// `max` is no limit; version 1 writes a number near 2^63 instead.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
}

/// The number in a line such as `MemTotal:  123 kB`.
fn kib_of(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(files: &[(&str, &str)]) -> Option<u64> {
        group_limit(&|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(found.1.to_owned())
        })
    }

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_tightest_group_on_the_way_up_counts() {
        let v2 = |own, above| {
            limit_of(&[
                ("/proc/self/cgroup", "0::/app.slice/web\n"),
                ("/proc/self/mountinfo", V2),
                ("/sys/fs/cgroup/app.slice/web/memory.max", own),
                ("/sys/fs/cgroup/app.slice/memory.max", above),
            ])
        };
        assert_eq!(v2("1000\n", "max\n"), Some(1000));
        assert_eq!(v2("1000\n", "500\n"), Some(500));
        assert_eq!(v2("max\n", "500\n"), Some(500));
        assert_eq!(v2("max\n", "max\n"), None);
        let v1 = limit_of(&[
            ("/proc/self/cgroup", "4:memory:/docker/x\n3:cpuset:/\n0::/\n"),
            ("/proc/self/mountinfo", V1),
            (
                "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes",
                "2147483648\n",
            ),
            (
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ]);
        assert_eq!(v1, Some(2 << 30));
    }

    #[test]
    fn in_a_container_the_group_is_what_is_mounted() {
        // version 2 with a namespace of its own: the group is `/`
        let own = limit_of(&[
            ("/proc/self/cgroup", "0::/\n"),
            ("/proc/self/mountinfo", V2),
            ("/sys/fs/cgroup/memory.max", "77\n"),
        ]);
        assert_eq!(own, Some(77));
        // version 1: the path is the host's, and only the container's group is mounted
        let v1 = limit_of(&[
            ("/proc/self/cgroup", "4:memory:/docker/x\n"),
            (
                "/proc/self/mountinfo",
                "35 31 0:32 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            ),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "88\n"),
        ]);
        assert_eq!(v1, Some(88));
    }

    #[test]
    fn a_tenth_is_left_and_at_least_64_mib() {
        let allowed = |bytes| smallest([(bytes, AllowanceSource::Machine)].into_iter()).bytes;
        assert_eq!(allowed(10 << 30), 9 << 30);
        assert_eq!(allowed(128 << 20), 64 << 20);
        assert_eq!(allowed(1), 0);
        assert_eq!(smallest(std::iter::empty()).bytes, u64::MAX);
    }

    #[test]
    fn this_process_has_some_memory() {
        let allowance = Allowance::of_this_process();
        assert!(allowance.bytes > 64 << 20, "{allowance:?}");
        assert_ne!(allowance.source, AllowanceSource::Configured);
    }
}
