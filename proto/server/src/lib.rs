//! What every gRPC server of ours needs, and nothing that is one server's own.
//!
//! * [`Work`] hands requests to threads that may block: admitted or refused at once, stopped when their caller goes
//!   away, INTERNAL when they panic. Handlers return a [`Refusal`], which becomes a status.
//! * [`run`] serves [`Services`] with health and reflection: NOT_SERVING, warm up, SERVING, and a drain with an end.
//!   Every call goes through one layer first: its [`Deadline`], whom a malformed message is blamed on, and the name of
//!   our code on every status.
//! * [`settings`] are the keys that the configuration files of all servers have.
//! * [`run_process`] is the rest of a server's `main`: signals, the listening socket, and [`log_to_stderr`]. [`probe`] asks
//!   a running one for its health.
//! * [`mount_service`] says what lies on this process's shared volume, and [`check_mounts`] asks others.
//! * [`memory`] lets requests in by what they expect to hold: no process takes more than its machine, control group or
//!   configuration allows.
//! * [`usable_threads`] bounds the number of threads that somebody asks for.
//!
//! Nothing here computes, and nothing here knows what is served.

mod admission;
mod coded_body;
mod edge;
mod error;
mod log;
pub mod memory;
mod mount;
mod probe;
mod process;
mod refusal;
mod serve;
pub mod settings;
mod threads;
mod work;

pub use admission::{Permit, Ticket};
pub use edge::Deadline;
pub use error::ServerError;
pub use log::{LogFormat, log_to_stderr};
pub use mount::{MountError, MountFinding, MountState, check_mounts, mount_service};
pub use nephrite_settings::ConfigError;
pub use probe::{ProbeError, probe};
pub use process::{Shutdown, leave, run_process};
pub use refusal::Refusal;
pub use serve::{Hooks, Services, run};
pub use threads::{pool_threads, usable_threads};
pub use work::{Attended, Work, token};
