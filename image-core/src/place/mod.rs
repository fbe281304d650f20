//! Where steps run: in this process, or in other cores that own models.

mod remote_core;
mod remote_runtime;
mod run;
mod services;
mod settings;

pub(crate) use run::Place;
pub use services::CaseServices;
pub use settings::{RemoteCoreSettings, ServiceSettings};
