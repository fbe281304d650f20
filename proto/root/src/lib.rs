//! The one place where a path that somebody names becomes an open file or folder.
//!
//! A [`Root`] says what paths may name: everything (command line) or what lies beneath one folder (servers). Both sides
//! of the system take paths from requests, so both use this one.
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
mod root;

pub use error::PathError;
pub use root::{OutputFile, Root};
