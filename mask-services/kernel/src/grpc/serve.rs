//! Starts a mask service over the operations that somebody registered.

use std::future::Future;
use std::sync::Arc;

use nephrite_proto::v1::mask_service_server::MaskServiceServer;
use nephrite_root::Root;
use nephrite_server::memory::{Allowance, MemoryBudget};
use nephrite_server::{Hooks, Services, Work, mount_service};
use tokio::net::TcpListener;

use super::host::{Host, MaskHost};
use super::{ServiceConfig, ServiceError};
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

/// Of a service before any request: its code, its threads, messages on their way.
const PROCESS_BYTES: u64 = 24 << 20;

/// Serves on `listener` until `shutdown` is ready, then drains: accepts nothing new, says NOT_SERVING, sends those away
/// who wait, lets running requests finish within the configured time, and cancels them then. While the root folder is gone,
/// health says NOT_SERVING.
///
/// # Errors
/// [`ServiceError`] if the root or an operation that the configuration names cannot be used.
pub async fn serve_all(
    service: Service,
    config: ServiceConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServiceError> {
    let service = match &config.operations {
        Some(names) => service.only(names)?,
        None => service,
    };
    let description = service.description();
    let configured = config.max_memory_bytes.map(Allowance::configured);
    let allowance = configured.unwrap_or_else(Allowance::of_this_process);
    let host = Host {
        memory: MemoryBudget::new(allowance, PROCESS_BYTES),
        registry: service.operations,
        root: Root::beneath(&config.root)?,
        limits: config.limits.clone(),
        max_request_bytes: config.max_request_bytes,
    };
    let work = Work::new(host, config.max_concurrent_requests, config.max_waiting_requests);
    let work = Arc::new(work);
    let masks = MaskServiceServer::new(MaskHost::new(work.clone(), &description));
    let services = Services::new(nephrite_proto::FILE_DESCRIPTOR_SET)
        .with(masks.max_decoding_message_size(config.max_message_bytes))
        .with(mount_service(Root::beneath(&config.root)?));
    let hooks = Hooks {
        warm_up: |_: &Host, _: &_| Ok(()),
        healthy: |host: &Host| host.root.check(),
    };
    nephrite_server::run(work, services, config.drain_timeout, listener, hooks, shutdown).await
}
