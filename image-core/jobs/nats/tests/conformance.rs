//! The suite that every engine passes, against a server for each case.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod server;

use std::path::Path;
use std::sync::Arc;

use nephrite_jobs::conformance::{self, Rig};
use nephrite_jobs::{JobEngine, JobSettings};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};
use server::Server;

struct NatsRig {
    server: Server,
}

impl NatsRig {
    fn new(program: &Path) -> NatsRig {
        let server = Server::start(program, "");
        NatsRig { server }
    }
}

impl Rig for NatsRig {
    fn open(&self, settings: JobSettings) -> Arc<dyn JobEngine> {
        let nats = NatsSettings {
            url: self.server.url(),
            ..NatsSettings::default()
        };
        Arc::new(NatsEngine::open(settings, nats).unwrap())
    }
}

#[test]
fn the_engine_passes_the_suite() {
    let Some(program) = server::program() else { return };
    conformance::run(&|| Box::new(NatsRig::new(&program)));
}
