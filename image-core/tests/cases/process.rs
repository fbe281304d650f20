//! `nephrite serve` as a process, to be stopped and killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nephrite_proto::Client;
use nephrite_proto::v1::ListRequest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::patient::PATIENCE;

/// A server process; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

/// The address that a process prints when it listens.
pub(crate) fn address_of(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim_end().strip_prefix("listening on ");
    address.expect("an address").to_owned()
}

impl Server {
    /// Starts one with this configuration, and waits until it serves.
    pub(crate) fn start(root: &Path, name: &str, config: &str, runtime: &Runtime) -> Server {
        let file = root.join(format!("{name}.toml"));
        std::fs::write(&file, format!("root = '.'\nthreads = 1\n{config}")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nephrite"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = address_of(&mut child);
        let server = Server { child, address };
        let started = Instant::now();
        loop {
            let listed = runtime.block_on(async {
                let client = Client::connect(&server.address).await?;
                client.list_models(ListRequest::default()).await
            });
            if listed.is_ok() {
                return server;
            }
            assert!(started.elapsed() < PATIENCE, "{name} does not become ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
