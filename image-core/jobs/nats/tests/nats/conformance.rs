//! The suite that every engine passes, against a server for each case.

use std::path::Path;
use std::sync::Arc;

use crate::server::Server;
use nephrite_jobs::conformance::{self, Rig};
use nephrite_jobs::{JobEngine, JobSettings};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};

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
    let Some(program) = crate::server::program() else {
        return;
    };
    conformance::run(&|| Box::new(NatsRig::new(&program)));
}
