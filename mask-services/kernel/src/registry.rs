//! The operations of a process, by name; one that describes itself wrongly does not get in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{MaskOperation, OperationDescription};

/// Operations by name.
///
/// **Clashes**: a name belongs to whoever registered it first, and a second registration is an error, never a silent
/// replacement: the order in which things load decides nothing. To run two operations of one name, register one of
/// them under another with [`Registry::register_as`].
#[derive(Clone, Default)]
pub struct Registry {
    operations: BTreeMap<String, Arc<dyn MaskOperation>>,
}

/// An operation that cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Another operation has the name already.
    #[error(
        "operation {name} is registered already, in version {first}; version {second} needs another name"
    )]
    NameTaken {
        /// Of both.
        name: String,
        /// Version of the one that has it.
        first: String,
        /// Version of the one that was refused.
        second: String,
    },
    /// Its description contradicts itself.
    #[error("operation {name}: {}", faults.join("; "))]
    Description {
        /// Of the operation.
        name: String,
        /// All of them.
        faults: Vec<String>,
    },
}

impl Registry {
    /// No operations.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds an operation under its own name.
    ///
    /// # Errors
    /// [`RegistryError`]
    pub fn register(&mut self, operation: Arc<dyn MaskOperation>) -> Result<(), RegistryError> {
        let name = operation.description().name.clone();
        self.register_as(&name, operation)
    }

    /// Adds an operation under a name that the configuration gives it.
    ///
    /// # Errors
    /// [`RegistryError`]
    pub fn register_as(
        &mut self,
        name: &str,
        operation: Arc<dyn MaskOperation>,
    ) -> Result<(), RegistryError> {
        let mut faults = operation.description().faults();
        if !crate::description::is_name(name) {
            faults.push(format!("name {name:?} is not of the form [a-z][a-z0-9_-]*"));
        }
        if !faults.is_empty() {
            return Err(RegistryError::Description {
                name: name.to_owned(),
                faults,
            });
        }
        if let Some(first) = self.operations.get(name) {
            return Err(RegistryError::NameTaken {
                name: name.to_owned(),
                first: first.description().version.clone(),
                second: operation.description().version.clone(),
            });
        }
        self.operations.insert(name.to_owned(), operation);
        Ok(())
    }

    /// The operation of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn MaskOperation>> {
        self.operations.get(name)
    }

    /// Names and operations, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<dyn MaskOperation>)> {
        self.operations
            .iter()
            .map(|(name, operation)| (name.as_str(), operation))
    }

    /// Names, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.operations.keys().map(String::as_str).collect()
    }

    /// Descriptions under the names that they are registered with, sorted.
    pub fn descriptions(&self) -> Vec<OperationDescription> {
        let named = self
            .operations
            .iter()
            .map(|(name, operation)| OperationDescription {
                name: name.clone(),
                ..operation.description().clone()
            });
        named.collect()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.operations.keys()).finish()
    }
}
