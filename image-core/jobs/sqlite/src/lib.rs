//! Jobs of one server, on its own disk: SQLite in a state folder.
//!
//! [`SqliteEngine::open`] takes the folder for this process. Every change is committed (`journal_mode = WAL`,
//! `synchronous = FULL`) before it is answered, and only then seen by anyone. Leases are measured by a monotonic clock
//! in memory: the process that has the folder is the only one that has jobs, and if it dies, its jobs wait again when the
//! next one opens the folder.

mod engine;
mod failed;
mod folder;
mod schema;
mod store;

pub use engine::SqliteEngine;
