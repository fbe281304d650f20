use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{Access, AtFlags, OFlags};

use crate::PathError;

/// What paths may name: everything that the process may open (command line), or what lies beneath one folder
/// (server).
///
/// Confinement works by directory handle: the kernel resolves every component, `..` and symbolic link beneath the
/// open root, so that neither a crafted path nor a link changed meanwhile leads out. Absolute symbolic links are
/// refused beneath a root, also when their target lies beneath it.
#[derive(Debug)]
pub struct Root {
    scope: Scope,
}

#[derive(Debug)]
enum Scope {
    Filesystem,
    Beneath {
        dir: Dir,
        /// As configured, and with its own links resolved: both are accepted as the start of an absolute path.
        names: [PathBuf; 2],
    },
}

/// A folder that can be written to and the name that a file shall get in it.
#[derive(Debug)]
pub struct OutputFile {
    /// The open folder.
    pub folder: Dir,
    /// A plain file name, without separators.
    pub file_name: String,
    /// As the caller named it, for messages and reports.
    pub path: PathBuf,
}

impl Root {
    /// Everything that the process may open; relative paths start at the current directory. For the command line,
    /// whose user has these rights anyway.
    pub fn filesystem() -> Self {
        Root {
            scope: Scope::Filesystem,
        }
    }

    /// Only what lies beneath `folder`.
    ///
    /// # Errors
    /// [`PathError`] if `folder` cannot be opened.
    pub fn beneath(folder: &Path) -> Result<Self, PathError> {
        let failed = |source| PathError::from_io(folder, source);
        let dir = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
        let absolute = std::path::absolute(folder).map_err(failed)?;
        let resolved = folder.canonicalize().map_err(failed)?;
        Ok(Root {
            scope: Scope::Beneath {
                dir,
                names: [absolute, resolved],
            },
        })
    }

    /// Only what lies beneath a folder that is open already; `path` is its absolute path.
    pub fn of_folder(folder: Dir, path: &Path) -> Self {
        Root {
            scope: Scope::Beneath {
                dir: folder,
                names: [path.to_owned(), path.to_owned()],
            },
        }
    }

    /// The absolute path that other processes, which see the same files at the same place, know it by. Whether it leads
    /// out of the root is said when it is opened.
    ///
    /// # Errors
    /// [`PathError::Io`] if the current directory is gone.
    pub fn absolute(&self, path: &Path) -> Result<PathBuf, PathError> {
        match &self.scope {
            Scope::Filesystem => std::path::absolute(path).map_err(|source| PathError::from_io(path, source)),
            Scope::Beneath { names, .. } => Ok(names[0].join(path)),
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`PathError`]
    pub fn open_file(&self, path: &Path) -> Result<File, PathError> {
        let mut options = OpenOptions::new();
        // Without NONBLOCK, a named pipe would block the open until somebody writes to it.
        options
            .read(true)
            .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
        let opened = match &self.scope {
            Scope::Filesystem => cap_std::fs::File::open_ambient_with(path, &options, ambient_authority()),
            Scope::Beneath { dir, .. } => dir.open_with(self.relative(path)?, &options),
        };
        let file = opened
            .map_err(|source| PathError::from_io(path, source))?
            .into_std();
        let metadata = file
            .metadata()
            .map_err(|source| PathError::from_io(path, source))?;
        if metadata.is_file() {
            Ok(file)
        } else {
            Err(PathError::NotAFile {
                path: path.to_owned(),
            })
        }
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// [`PathError`]
    pub fn open_folder(&self, path: &Path) -> Result<Dir, PathError> {
        match &self.scope {
            Scope::Filesystem => Dir::open_ambient_dir(path, ambient_authority()),
            Scope::Beneath { dir, .. } => dir.open_dir(self.relative(path)?),
        }
        .map_err(|source| PathError::from_io(path, source))
    }

    /// Opens a folder and checks that files can be created in it. Creates nothing.
    ///
    /// # Errors
    /// [`PathError`]; [`PathError::NotWritable`].
    pub fn open_writable_folder(&self, path: &Path) -> Result<Dir, PathError> {
        let folder = self.open_folder(path)?;
        rustix::fs::accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(
            |errno| PathError::NotWritable {
                path: path.to_owned(),
                source: errno.into(),
            },
        )?;
        Ok(folder)
    }

    /// Opens the folder of a file to be written and checks that a file can be created there. Creates nothing.
    ///
    /// # Errors
    /// [`PathError`]; [`PathError::NotAFile`] if a folder has the name already.
    pub fn open_output(&self, path: &Path) -> Result<OutputFile, PathError> {
        let unusable = || PathError::FileName {
            path: path.to_owned(),
        };
        let file_name = match path.components().next_back() {
            Some(Component::Normal(name)) => name.to_str().ok_or_else(unusable)?.to_owned(),
            _ => return Err(unusable()),
        };
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let folder = self.open_writable_folder(parent)?;
        match folder.symlink_metadata(&file_name) {
            Ok(there) if there.is_dir() => Err(PathError::NotAFile {
                path: path.to_owned(),
            }),
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PathError::from_io(path, source)),
            _ => Ok(OutputFile {
                folder,
                file_name,
                path: path.to_owned(),
            }),
        }
    }

    /// The path below the root's handle; where it leads is decided when it is opened.
    fn relative<'a>(&self, path: &'a Path) -> Result<&'a Path, PathError> {
        let Scope::Beneath { names, .. } = &self.scope else {
            return Ok(path);
        };
        let below = if path.is_absolute() {
            let below = names.iter().find_map(|name| path.strip_prefix(name).ok());
            below.ok_or_else(|| PathError::OutsideRoot {
                path: path.to_owned(),
            })?
        } else {
            path
        };
        Ok(if below == Path::new("") {
            Path::new(".")
        } else {
            below
        })
    }
}

impl OutputFile {
    /// True if the file that has this name now is `other`: writing the output would replace an input.
    pub fn is_same_file(&self, other: &File) -> bool {
        let Ok(other) = cap_std::fs::Metadata::from_file(other) else {
            return false;
        };
        let Ok(there) = self.folder.metadata(&self.file_name) else {
            return false;
        };
        (other.dev(), other.ino()) == (there.dev(), there.ino())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nephrite_types::ErrorCode;

    use super::*;

    /// `root/` with a file, a folder and links; `secret` beside it.
    fn tree() -> (tempfile::TempDir, Root) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        std::fs::create_dir_all(root.join("folder")).unwrap();
        std::fs::write(root.join("a.nii"), "a").unwrap();
        std::fs::write(temp.path().join("secret"), "s").unwrap();
        std::fs::create_dir(temp.path().join("rootless")).unwrap();
        symlink("a.nii", root.join("link_inside")).unwrap();
        symlink("../secret", root.join("link_out")).unwrap();
        symlink(temp.path().join("secret"), root.join("link_absolute")).unwrap();
        symlink("..", root.join("folder_out")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let beneath = Root::beneath(&root).unwrap();
        (temp, beneath)
    }

    #[track_caller]
    fn check(found: Result<impl Sized, PathError>, expected: Option<ErrorCode>) {
        assert_eq!(
            found.as_ref().err().map(PathError::code),
            expected,
            "{:?}",
            found.err()
        );
    }

    #[test]
    fn files_beneath_the_root_open_however_they_are_named() {
        let (temp, root) = tree();
        let absolute = temp.path().join("root/folder/../a.nii");
        for path in [
            "a.nii",
            "./a.nii",
            "folder/../a.nii",
            "link_inside",
            absolute.to_str().unwrap(),
        ] {
            check(root.open_file(path.as_ref()), None);
        }
        let elsewhere = temp.path().join("alias");
        symlink(temp.path().join("root"), &elsewhere).unwrap();
        let root = Root::beneath(&elsewhere).unwrap();
        check(root.open_file(&elsewhere.join("a.nii")), None);
        check(root.open_file(&temp.path().join("root/a.nii")), None);
        check(root.open_folder(&elsewhere), None);
    }

    #[test]
    fn an_open_folder_is_a_root_and_knows_its_absolute_path() {
        let (temp, root) = tree();
        let path = temp.path().join("root/folder");
        std::fs::write(path.join("b.nii"), "b").unwrap();
        assert_eq!(root.absolute("folder".as_ref()).unwrap(), path);
        assert_eq!(root.absolute(&path).unwrap(), path);
        let inner = Root::of_folder(root.open_writable_folder("folder".as_ref()).unwrap(), &path);
        check(inner.open_file("b.nii".as_ref()), None);
        check(inner.open_file(&path.join("b.nii")), None);
        check(
            inner.open_file(&temp.path().join("root/a.nii")),
            Some(ErrorCode::PermissionDenied),
        );
        check(
            inner.open_file("../a.nii".as_ref()),
            Some(ErrorCode::PermissionDenied),
        );
        assert!(Root::filesystem().absolute("x".as_ref()).unwrap().is_absolute());
    }

    #[test]
    fn what_leads_out_of_the_root_is_refused() {
        let (temp, root) = tree();
        let denied = Some(ErrorCode::PermissionDenied);
        let beside = temp.path().join("rootless/x");
        let up = temp.path().join("root/../secret");
        let absolute = [beside.to_str().unwrap(), up.to_str().unwrap(), "/etc/passwd"];
        let relative = [
            "../secret",
            "folder/../../secret",
            "link_out",
            "link_absolute",
            "folder_out/secret",
        ];
        for path in absolute.into_iter().chain(relative) {
            check(root.open_file(path.as_ref()), denied);
            check(root.open_folder(path.as_ref()), denied);
        }
        for path in ["../m.nii", "folder_out/m.nii", "/tmp/m.nii"] {
            check(root.open_output(path.as_ref()), denied);
        }
    }

    #[test]
    fn an_output_named_like_a_link_that_leads_out_replaces_the_link() {
        let (temp, root) = tree();
        let output = root.open_output("link_out".as_ref()).unwrap();
        nephrite_volume::write_atomically(&output.folder, &output.file_name, |out| {
            std::io::Write::write_all(out, b"mask")
        })
        .unwrap();
        assert_eq!(std::fs::read_to_string(temp.path().join("secret")).unwrap(), "s");
        assert_eq!(
            std::fs::read_to_string(temp.path().join("root/link_out")).unwrap(),
            "mask"
        );
    }

    #[test]
    fn things_of_the_wrong_kind_are_refused_in_both_scopes() {
        let (temp, beneath) = tree();
        let at = |name: &str| temp.path().join("root").join(name);
        let pipe = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status()
            .unwrap();
        assert!(pipe.success());
        for root in [beneath, Root::filesystem()] {
            check(root.open_file(&at("missing")), Some(ErrorCode::NotFound));
            check(root.open_file(&at("folder")), Some(ErrorCode::InvalidInput));
            check(root.open_file(&at("pipe")), Some(ErrorCode::InvalidInput));
            check(root.open_file(&at("a.nii/b")), Some(ErrorCode::InvalidInput));
            check(root.open_file(&at("loop")), Some(ErrorCode::Environment));
            check(root.open_folder(&at("a.nii")), Some(ErrorCode::InvalidInput));
            check(root.open_folder(&at("missing")), Some(ErrorCode::NotFound));
            check(root.open_output(&at("missing/m.nii")), Some(ErrorCode::NotFound));
            check(
                root.open_output(&at("a.nii/m.nii")),
                Some(ErrorCode::InvalidInput),
            );
            check(root.open_output(&at("folder")), Some(ErrorCode::InvalidInput));
            check(
                root.open_output(&at("folder/..")),
                Some(ErrorCode::InvalidArgument),
            );
            check(root.open_output(&at("m.nii")), None);
            check(root.open_output(&at("a.nii")), None);
        }
    }

    #[test]
    fn an_output_that_is_an_input_is_seen_through_links() {
        let (temp, root) = tree();
        let input = root.open_file("a.nii".as_ref()).unwrap();
        assert!(
            root.open_output("folder/../a.nii".as_ref())
                .unwrap()
                .is_same_file(&input)
        );
        assert!(!root.open_output("m.nii".as_ref()).unwrap().is_same_file(&input));
        std::fs::hard_link(temp.path().join("root/a.nii"), temp.path().join("root/b.nii")).unwrap();
        assert!(root.open_output("b.nii".as_ref()).unwrap().is_same_file(&input));
    }
}
