//! Where steps run: in this process, or in other cores that own models.

mod place;
mod remote_core;
mod remote_runtime;
mod services;
mod settings;

pub(crate) use place::Place;
pub use services::CaseServices;
pub use settings::{RemoteCoreSettings, ServiceSettings};
