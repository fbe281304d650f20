//! What a process offers as a service.

use super::ServiceError;
use crate::{Registry, ServiceDescription};

/// A service: its name, its version and its operations.
#[derive(Debug, Clone)]
pub struct Service {
    /// Such as `mask-services`.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// What it can do.
    pub operations: Registry,
}

impl Service {
    /// What it says of itself.
    pub fn description(&self) -> ServiceDescription {
        ServiceDescription {
            name: self.name.clone(),
            version: self.version.clone(),
            operations: self.operations.descriptions(),
        }
    }

    /// The same with those operations only that a configuration names.
    ///
    /// # Errors
    /// [`ServiceError::UnknownOperation`]; [`ServiceError::Registry`] if a name is there twice.
    pub fn only(self, names: &[String]) -> Result<Service, ServiceError> {
        let mut operations = Registry::new();
        for name in names {
            let Some(operation) = self.operations.get(name) else {
                return Err(ServiceError::UnknownOperation {
                    name: name.chars().take(64).collect(),
                    known: self.operations.names().into_iter().map(str::to_owned).collect(),
                });
            };
            operations.register_as(name, operation.clone())?;
        }
        Ok(Service { operations, ..self })
    }
}
