//! Services to be checked, each with a runtime of its own that can be killed.

#![allow(clippy::unwrap_used, dead_code)] // a test fails by panicking, in its helpers too; not every test uses all

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephrite_conformance::Options;
use nephrite_kernel::grpc::{Service, ServiceConfig, serve_all};
use nephrite_kernel::{MaskOperation, Registry};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A folder that is a service's root, with an exchange folder, and a folder beside it.
pub(crate) struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("root/exchange")).unwrap();
        std::fs::create_dir(temp.path().join("outside")).unwrap();
        Place { temp }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.temp.path().join("root")
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            exchange_folder: Some(self.root().join("exchange")),
            outside_folder: self.temp.path().join("outside"),
            deadline: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            ..Options::default()
        }
    }

    /// True if the kit has tidied up.
    pub(crate) fn is_clean(&self) -> bool {
        let is_empty = |folder: &str| {
            let mut entries = std::fs::read_dir(self.temp.path().join(folder)).unwrap();
            entries.next().is_none()
        };
        is_empty("root/exchange") && is_empty("outside")
    }
}

/// Serves operations on a free port until the runtime is dropped; gives the address.
pub(crate) fn serve(runtime: &Runtime, operations: Vec<Arc<dyn MaskOperation>>, root: PathBuf) -> String {
    let mut registry = Registry::new();
    for operation in operations {
        registry.register(operation).unwrap();
    }
    let service = Service {
        name: "test".to_owned(),
        version: "1.0.0".to_owned(),
        operations: registry,
    };
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let config = ServiceConfig::new(root);
    runtime.spawn(async move {
        serve_all(service, config, listener, std::future::pending())
            .await
            .unwrap();
    });
    format!("http://{address}")
}

/// A runtime of one worker.
pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}
