//! A NATS server of our own: it syncs every write, and ends with the bench, unless a signal ends that first.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts one that keeps its files in a folder.
    pub(crate) fn start(program: &Path, folder: &Path) -> anyhow::Result<Server> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let config = format!(
            "server_name: bench\nlisten: 127.0.0.1:{port}\njetstream {{ store_dir: {:?}, sync_interval: always }}\n",
            folder.join("store")
        );
        std::fs::write(folder.join("config"), config)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let child = Command::new(program)
            .arg("--config")
            .arg(folder.join("config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| program.display().to_string())?;
        let server = Server { child, port };
        let began = Instant::now();
        while !server.is_up() {
            if began.elapsed() > START {
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                bail!("the NATS server does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A server greets those who connect.
    fn is_up(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut greeting = [0; 4];
        stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
            && stream.read_exact(&mut greeting).is_ok()
            && greeting == *b"INFO"
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
