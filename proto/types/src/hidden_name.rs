//! Names of what is not whole yet, from which a sweep knows whose it is.

use std::fmt;

use crate::file_name::HIDDEN_PREFIX;

/// The name of something that nephrite makes for itself while it works, such as `.nephrite-00f1e2d3c4b5a697.partial`: 16
/// hexadecimal digits that are random, or stand for a name. No name rests on a process number, which is always 1 in a
/// container.
///
/// What has such a name belongs to the process that holds an advisory lock (`flock`) on it: on the file itself; for a
/// folder on the lock file of the same digits. Without a lock it was left behind by a process that is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HiddenName {
    /// What it is.
    pub kind: HiddenKind,
    /// The digits.
    pub id: u64,
}

/// See [`HiddenName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HiddenKind {
    /// A file on its way to its final name.
    Partial,
    /// A folder: results on their way to their final name, or files between two processes.
    Folder,
    /// The lock file of a folder.
    Lock,
    /// A file by which processes find out whether they see the same volume.
    Check,
}

impl HiddenName {
    /// Begins the names of check files, which other processes are asked for.
    pub const CHECK_PREFIX: &'static str = ".nephrite-check-";

    /// The name that this is; `None` if nephrite makes no such name.
    pub fn parse(name: &str) -> Option<HiddenName> {
        let rest = name.strip_prefix(HIDDEN_PREFIX)?;
        let (digits, kind) = match rest.strip_prefix("check-") {
            Some(digits) => (digits, HiddenKind::Check),
            None => {
                let (digits, ending) = rest.split_once('.')?;
                let kind = match ending {
                    "partial" => HiddenKind::Partial,
                    "work" => HiddenKind::Folder,
                    "lock" => HiddenKind::Lock,
                    _ => return None,
                };
                (digits, kind)
            }
        };
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 16 || !digits.bytes().all(is_digit) {
            return None;
        }
        let id = u64::from_str_radix(digits, 16).ok()?;
        Some(HiddenName { kind, id })
    }
}

impl fmt::Display for HiddenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match self.kind {
            HiddenKind::Partial => write!(f, "{HIDDEN_PREFIX}{id:016x}.partial"),
            HiddenKind::Folder => write!(f, "{HIDDEN_PREFIX}{id:016x}.work"),
            HiddenKind::Lock => write!(f, "{HIDDEN_PREFIX}{id:016x}.lock"),
            HiddenKind::Check => write!(f, "{HIDDEN_PREFIX}check-{id:016x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_nothing_else_is_one() {
        for kind in [
            HiddenKind::Partial,
            HiddenKind::Folder,
            HiddenKind::Lock,
            HiddenKind::Check,
        ] {
            for id in [0, 0x00f1_e2d3_c4b5_a697, u64::MAX] {
                let name = HiddenName { kind, id };
                assert_eq!(HiddenName::parse(&name.to_string()), Some(name));
            }
        }
        let check = HiddenName {
            kind: HiddenKind::Check,
            id: 1,
        };
        assert!(check.to_string().starts_with(HiddenName::CHECK_PREFIX));
        for other in [
            "",
            ".nephrite-",
            ".nephrite-1-2.partial",
            ".nephrite-0123456789abcde.partial",
            ".nephrite-0123456789abcdef0.partial",
            ".nephrite-0123456789ABCDEF.partial",
            ".nephrite-+123456789abcdef.partial",
            ".nephrite-0123456789abcdef",
            ".nephrite-0123456789abcdef.partial.nii",
            ".nephrite-0123456789abcdef.works",
            ".nephrite-check-0123",
            "nephrite-0123456789abcdef.partial",
            "a.nephrite-0123456789abcdef.partial",
        ] {
            assert_eq!(HiddenName::parse(other), None, "{other}");
        }
    }
}
