//! An operation here or at a service, behind one call.

use std::collections::BTreeMap;
use std::sync::Arc;

use nephrite_types::CancelToken;

use super::RemoteService;
use crate::{
    Context, Inputs, OperationDescription, OperationError, Outcome, ParameterValue, Registry, run_checked,
};

/// Where a step runs. The same request gives the same masks either way.
#[derive(Debug, Clone)]
pub enum Placement {
    /// In this process.
    InProcess(Arc<Registry>),
    /// At a service.
    Endpoint(Arc<RemoteService>),
}

impl Placement {
    /// What an operation takes and gives.
    ///
    /// # Errors
    /// [`OperationError::UnknownOperation`]; at an endpoint also as [`RemoteService::describe`].
    pub fn describe(
        &self,
        operation: &str,
        cancel: &CancelToken,
    ) -> Result<OperationDescription, OperationError> {
        match self {
            Placement::InProcess(registry) => {
                let found = find(registry, operation)?;
                Ok(OperationDescription {
                    name: operation.to_owned(),
                    ..found.description().clone()
                })
            }
            Placement::Endpoint(service) => {
                let operation = service.operation(operation, cancel)?;
                Ok(crate::MaskOperation::description(&operation).clone())
            }
        }
    }

    /// Checks inputs and parameters, runs the operation and checks what came out. Blocks; not for threads of an async
    /// runtime.
    ///
    /// # Errors
    /// [`OperationError`]; [`OperationError::Service`] names the service.
    pub fn run(
        &self,
        operation: &str,
        inputs: &Inputs,
        given: &BTreeMap<String, ParameterValue>,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        match self {
            Placement::InProcess(registry) => {
                run_checked(find(registry, operation)?.as_ref(), inputs, given, context)
            }
            Placement::Endpoint(service) => service.run(operation, inputs, given, context),
        }
    }
}

fn find<'a>(registry: &'a Registry, name: &str) -> Result<&'a Arc<dyn crate::MaskOperation>, OperationError> {
    registry
        .get(name)
        .ok_or_else(|| OperationError::UnknownOperation {
            name: name.chars().take(64).collect(),
            known: registry.names().into_iter().map(str::to_owned).collect(),
        })
}
