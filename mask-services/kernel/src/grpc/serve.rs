//! Starts a mask service over the operations that somebody registered.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use nephrite_proto::v1::mask_service_server::MaskServiceServer;
use nephrite_root::Root;
use nephrite_server::memory::{Allowance, MemoryBudget, MemoryError, NothingIdle, Reservation};
use nephrite_server::{Hooks, Services, Work, mount_service};
use nephrite_types::{CancelToken, Limits};
use tokio::net::TcpListener;

use super::Service;
use super::host::{Lane, MaskHost, MaskPlace};
use super::{ServiceConfig, ServiceError};

/// What the requests of a service share.
struct Host {
    root: Root,
    limits: Limits,
    max_request_bytes: u64,
    /// Bytes of everything.
    memory: MemoryBudget,
}

impl MaskPlace for Host {
    fn root(&self) -> &Root {
        &self.root
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn max_request_bytes(&self) -> u64 {
        self.max_request_bytes
    }

    fn reserve(
        &self,
        what: &'static str,
        bytes: u64,
        cancel: &CancelToken,
    ) -> Result<Reservation<'_>, MemoryError> {
        self.memory.reserve(what, bytes, &NothingIdle, cancel)
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
    let configured = config.max_memory_bytes.map(Allowance::configured);
    let allowance = configured.unwrap_or_else(Allowance::of_this_process);
    let host = Host {
        memory: MemoryBudget::new(allowance, PROCESS_BYTES),
        root: Root::beneath(&config.root)?,
        limits: config.limits.clone(),
        max_request_bytes: config.max_request_bytes,
    };
    let work = Work::new(host, config.max_concurrent_requests, config.max_waiting_requests);
    let work = Arc::new(work);
    let masks = MaskServiceServer::new(MaskHost::new(work.clone(), Lane::Long, service, BTreeMap::new()));
    let services = Services::new(nephrite_proto::FILE_DESCRIPTOR_SET)
        .with(masks.max_decoding_message_size(config.max_message_bytes))
        .with(mount_service(Root::beneath(&config.root)?));
    let hooks = Hooks {
        warm_up: |_: &Host, _: &_| Ok(()),
        healthy: |host: &Host| host.root.check(),
    };
    nephrite_server::run(work, services, config.drain_timeout, listener, hooks, shutdown).await
}
