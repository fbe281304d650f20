//! Resolves paths of requests by directory handles, so that none leaves the folder it must stay beneath.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use nephrite_types::{check_file_name, data_file_of};
use rustix::fs::{Access, AtFlags, OFlags};

use crate::PathError;

/// What paths may name: everything that the process may open (command line), or what lies beneath one folder
/// (server).
///
/// Confinement works by directory handle: the kernel resolves every component, `..` and symbolic link beneath the
/// open root, so that neither a crafted path nor a link changed meanwhile leads out. Absolute symbolic links are
/// refused beneath a root, also when their target lies beneath it.
///
/// The handle is that of the folder that the root's own path leads to *now*: a root that was removed and made again, or
/// mounted anew, is opened again, and one that is gone refuses everything with [`PathError::RootGone`], instead of going on
/// in a folder that nobody else sees.
#[derive(Debug)]
pub struct Root {
    scope: Scope,
}

#[derive(Debug)]
enum Scope {
    Filesystem,
    /// Found by its path.
    Beneath {
        /// Absolute, as configured.
        path: PathBuf,
        opened: Mutex<Opened>,
    },
    /// Handed over open, and the only one of its kind.
    Folder(Opened),
}

/// An open root.
#[derive(Debug, Clone)]
struct Opened {
    dir: Arc<Dir>,
    /// Device and inode.
    identity: (u64, u64),
    /// As configured, and with its own links resolved: both are accepted as the start of an absolute path.
    names: [PathBuf; 2],
}

impl Opened {
    fn open(path: &Path) -> io::Result<Opened> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        let metadata = dir.dir_metadata()?;
        Ok(Opened {
            identity: (metadata.dev(), metadata.ino()),
            dir: Arc::new(dir),
            names: [path.to_owned(), path.canonicalize()?],
        })
    }

    /// The path below the handle; where it leads is decided when it is opened.
    fn relative<'a>(&self, path: &'a Path) -> Result<&'a Path, PathError> {
        let below = if path.is_absolute() {
            let below = self.names.iter().find_map(|name| path.strip_prefix(name).ok());
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
        let path = std::path::absolute(folder).map_err(failed)?;
        let opened = Mutex::new(Opened::open(&path).map_err(failed)?);
        Ok(Root {
            scope: Scope::Beneath { path, opened },
        })
    }

    /// Only what lies beneath a folder that is open already; `path` is its absolute path, and is not looked up again.
    pub fn of_folder(folder: Dir, path: &Path) -> Self {
        let metadata = folder.dir_metadata();
        Root {
            scope: Scope::Folder(Opened {
                identity: metadata.map_or((0, 0), |metadata| (metadata.dev(), metadata.ino())),
                dir: Arc::new(folder),
                names: [path.to_owned(), path.to_owned()],
            }),
        }
    }

    /// Whether the root is there: what a server tells as its health. Opens it again if its path leads to another folder.
    ///
    /// # Errors
    /// [`PathError::RootGone`]
    pub fn check(&self) -> Result<(), PathError> {
        self.opened().map(|_| ())
    }

    /// The folder that the root's path leads to now; `None` if there is no root.
    fn opened(&self) -> Result<Option<Opened>, PathError> {
        let (path, opened) = match &self.scope {
            Scope::Filesystem => return Ok(None),
            Scope::Folder(opened) => return Ok(Some(opened.clone())),
            Scope::Beneath { path, opened } => (path, opened),
        };
        let gone = |source| PathError::RootGone {
            path: path.clone(),
            source,
        };
        // Outside of the lock: a file system that hangs holds only those that wait for it.
        let there = std::fs::metadata(path).map_err(gone)?;
        let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.identity != (there.dev(), there.ino()) {
            *opened = Opened::open(path).map_err(gone)?;
        }
        Ok(Some(opened.clone()))
    }

    /// The absolute path that other processes, which see the same files at the same place, know it by. Whether it leads
    /// out of the root is said when it is opened.
    ///
    /// # Errors
    /// [`PathError::Io`] if the current directory is gone.
    pub fn absolute(&self, path: &Path) -> Result<PathBuf, PathError> {
        match &self.scope {
            Scope::Filesystem => std::path::absolute(path).map_err(|source| PathError::from_io(path, source)),
            Scope::Beneath { path: root, .. } => Ok(root.join(path)),
            Scope::Folder(opened) => Ok(opened.names[0].join(path)),
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
        let opened = match self.opened()? {
            None => cap_std::fs::File::open_ambient_with(path, &options, ambient_authority()),
            Some(root) => root.dir.open_with(root.relative(path)?, &options),
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
        match self.opened()? {
            None => Dir::open_ambient_dir(path, ambient_authority()),
            Some(root) => root.dir.open_dir(root.relative(path)?),
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

    /// Opens the folder that something new shall lie in, and checks that files can be created in it; gives the name that it
    /// shall get there, too. Creates nothing.
    ///
    /// # Errors
    /// [`PathError`]; [`PathError::FileName`] if `path` ends in no name, by [`check_file_name`].
    pub fn open_parent(&self, path: &Path) -> Result<(Dir, String), PathError> {
        let (parent, name) = split_output(path)?;
        let folder = self.open_writable_folder(parent).map_err(|error| match error {
            // the whole path leads out, not only the folder
            PathError::OutsideRoot { .. } => PathError::OutsideRoot {
                path: path.to_owned(),
            },
            error => error,
        })?;
        Ok((folder, name))
    }

    /// Opens a folder to write to; makes it if only its last part is not there. Says whether it was made.
    ///
    /// # Errors
    /// As [`Root::open_writable_folder`] and [`Root::open_parent`].
    pub fn open_or_make_folder(&self, path: &Path) -> Result<(Dir, bool), PathError> {
        match self.open_writable_folder(path) {
            Err(PathError::NotFound { .. }) => {}
            opened => return Ok((opened?, false)),
        }
        let (parent, name) = self.open_parent(path)?;
        let made = parent.create_dir(&name).map(|()| true);
        let made = made.or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(false), // meanwhile
            _ => Err(PathError::from_io(path, error)),
        })?;
        Ok((self.open_writable_folder(path)?, made))
    }

    /// Opens the folder of a file to be written and checks that a file can be created there. Creates nothing.
    ///
    /// # Errors
    /// [`PathError`]; [`PathError::FileName`] if the name is none, [`PathError::NotAFile`] if a folder has it already.
    pub fn open_output(&self, path: &Path) -> Result<OutputFile, PathError> {
        let (folder, file_name) = self.open_parent(path)?;
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
}

/// The folder that something new shall lie in, and the name that it shall get there; the current folder if only a name is
/// given.
///
/// # Errors
/// [`PathError::FileName`] if that is no name, by [`check_file_name`].
fn split_output(path: &Path) -> Result<(&Path, String), PathError> {
    let refused = |reason| PathError::FileName {
        path: path.to_owned(),
        reason,
    };
    let name = match path.components().next_back() {
        Some(Component::Normal(name)) => name.to_str().ok_or_else(|| refused("is not UTF-8"))?,
        _ => return Err(refused("is a folder")),
    };
    check_file_name(name).map_err(|fault| refused(fault.reason()))?;
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    Ok((parent, name.to_owned()))
}

impl OutputFile {
    /// The names that it is written under: its own, and of a volume whose name is that of a header alone also that of the file of its
    /// voxels.
    pub fn names(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.file_name.clone()).chain(data_file_of(&self.file_name))
    }

    /// True if a file that has one of its names now is `other`: writing the output would replace an input.
    pub fn is_same_file(&self, other: &File) -> bool {
        let Ok(other) = cap_std::fs::Metadata::from_file(other) else {
            return false;
        };
        let mut there = self.names().filter_map(|name| self.folder.metadata(name).ok());
        there.any(|there| (other.dev(), other.ino()) == (there.dev(), there.ino()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nephrite_types::{Coded, ErrorCode};

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
    fn an_output_that_looks_like_another_name_is_refused() {
        let (_temp, root) = tree();
        for name in [
            "a\u{202e}zg.iin",
            "folder/a\nb.nii",
            ".nephrite-0123456789abcdef.partial",
            "NUL",
        ] {
            let error = root.open_output(name.as_ref()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
            assert!(!error.to_string().contains(['\n', '\u{202e}']), "{error}");
        }
    }

    #[test]
    fn a_root_that_is_gone_says_so_and_is_found_again_when_it_is_back() {
        let (temp, root) = tree();
        let path = temp.path().join("root");
        let away = temp.path().join("away");
        std::fs::rename(&path, &away).unwrap();
        let unavailable = Some(ErrorCode::Unavailable);
        let error = root.open_file("a.nii".as_ref()).unwrap_err();
        assert!(matches!(error, PathError::RootGone { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        check(root.open_folder(".".as_ref()), unavailable);
        check(root.open_output("m.nii".as_ref()), unavailable);
        check(root.check(), unavailable);
        // another folder at this path: not the one that is open
        std::fs::create_dir(&path).unwrap();
        check(root.check(), None);
        check(root.open_file("a.nii".as_ref()), Some(ErrorCode::NotFound));
        std::fs::write(path.join("b.nii"), "b").unwrap();
        check(root.open_file("b.nii".as_ref()), None);
        check(root.open_file(&path.join("b.nii")), None);
        check(
            root.open_file("../secret".as_ref()),
            Some(ErrorCode::PermissionDenied),
        );
        // the old one again
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::rename(&away, &path).unwrap();
        check(root.open_file("a.nii".as_ref()), None);
        // a file where the root was
        std::fs::rename(&path, &away).unwrap();
        std::fs::write(&path, "").unwrap();
        check(root.open_file("a.nii".as_ref()), unavailable);
    }

    /// A root that is a link, as deployments have them, leads where the link leads now.
    #[test]
    fn a_root_whose_link_is_set_anew_is_opened_anew() {
        let (temp, _) = tree();
        let link = temp.path().join("current");
        symlink("root", &link).unwrap();
        let root = Root::beneath(&link).unwrap();
        check(root.open_file("a.nii".as_ref()), None);
        std::fs::create_dir(temp.path().join("next")).unwrap();
        std::fs::write(temp.path().join("next/b.nii"), "b").unwrap();
        std::fs::remove_file(&link).unwrap();
        symlink("next", &link).unwrap();
        check(root.open_file("a.nii".as_ref()), Some(ErrorCode::NotFound));
        check(root.open_file("b.nii".as_ref()), None);
        check(root.open_file(&temp.path().join("next/b.nii")), None);
        check(
            root.open_file(&temp.path().join("root/a.nii")),
            Some(ErrorCode::PermissionDenied),
        );
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
