//! Strict TOML files: what servers, services and pipelines are told.
//!
//! Whoever reads a key declares it, once: name, kind, default, help. From that come the check, the value, and the reference.
//!
//! * [`parse`] gives a reader the top [`Section`] of a file and tells all faults at once, each with line and column: what is
//!   unknown (and what was probably meant), missing, there twice, of another type or out of range.
//! * [`Reference::of`] asks the same reader which keys there are, for `--explain` and for tables in documents.
//! * A file is hostile until read: bytes, tokens and depth are capped before a tree of it exists.
//!
//! ```
//! use nephrite_settings::{Reference, Section, kind, parse};
//!
//! fn port(top: &mut Section<'_>) -> u16 {
//!     top.get("port", kind::whole(1..=65535), 7443, "where to listen")
//! }
//!
//! assert_eq!(parse(b"port = 80", port), Ok(80));
//! assert_eq!(parse(b"", port), Ok(7443));
//! let faults = parse(b"\n prt = 0", port).unwrap_err();
//! assert_eq!(
//!     faults[0].to_string(),
//!     "prt: unknown key, known are port; did you mean port? (line 2, column 2)"
//! );
//! let row = "|  | `port` | whole number: from 1 to 65535 | 7443 | where to listen |\n";
//! assert!(Reference::of("Server", "", port).markdown().ends_with(row));
//! ```
//!
//! The parser is that of the crate `toml`, which goes on after a fault and knows the place of every key and value. `toml-span`
//! stops at the first fault, and takes a date for a fault of syntax, so that the key it belongs to could not be named.

mod document;
mod entry;
mod fault;
mod faults;
mod file;
pub mod kind;
mod lines;
mod named_tables;
mod reference;
mod section;
mod value;

pub use document::{Document, MAX_BYTES, parse};
pub use entry::Entry;
pub use fault::{Fault, FaultKind};
pub use file::{ConfigError, read_config};
pub use kind::Kind;
pub use reference::{Reference, page};
pub use section::Section;
pub use value::Value;
