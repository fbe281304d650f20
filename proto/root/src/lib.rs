//! The one place where a path that somebody names becomes an open file or folder.
//!
//! A [`Root`] says what paths may name: everything (command line) or what lies beneath one folder (servers). Both sides
//! of the system take paths from requests, so both use this one.
//!
//! What is made beneath it and is not whole yet has a hidden name and a lock: a [`WorkFolder`] for folders, a file of
//! `nephrite_volume::write_atomically` for files. [`sweep`] removes what dead processes left of them.
//!
//! ```
//! use std::path::Path;
//!
//! use nephrite_root::{PathError, Root};
//!
//! let root = Root::beneath(&std::env::temp_dir())?;
//! let refused = root.open_file(Path::new("../etc/passwd"));
//! assert!(matches!(refused, Err(PathError::OutsideRoot { .. })));
//! # Ok::<(), PathError>(())
//! ```

mod error;
mod locked_file;
mod remove;
mod root;
mod sweep;
mod work_folder;

pub use error::PathError;
pub use remove::remove_file_if_same;
pub use root::{OutputFile, Root};
pub use sweep::{Swept, sweep, sweep_below};
pub use work_folder::{ClaimError, WorkFolder, is_abandoned};
