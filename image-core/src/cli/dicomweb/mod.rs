//! `nephrite pull` and `nephrite push`: series from a DICOMweb server, files to one.

mod files;
mod progress;
mod pull;
mod push;
mod server;

pub(crate) use pull::{PullArguments, run as pull};
pub(crate) use push::{PushArguments, run as push};
