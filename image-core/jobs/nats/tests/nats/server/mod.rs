//! NATS servers of tests: each has its own port and its own folder, dies with the test, and can be killed and started again.

#![allow(dead_code)] // each test uses a part of it
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test fails by panicking

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(20);

/// The server's program: `NEPHRITE_NATS_SERVER`, or what `server/fetch.py` has fetched. `None`, with a word about it, if there
/// is none: then the test is left out.
pub(crate) fn program() -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("build/nats-server/nats-server"))
        .find(|program| program.is_file());
    let program = std::env::var_os("NEPHRITE_NATS_SERVER")
        .map(PathBuf::from)
        .or(fetched);
    if program.is_none() {
        println!(
            "left out: no nats-server; get it with \
             `python3 image-core/jobs/nats/server/fetch.py --out build/nats-server` or set NEPHRITE_NATS_SERVER"
        );
    }
    program
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    folder: tempfile::TempDir,
    /// Where clients connect.
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts one of its own, which syncs every write to disk. `more` is put into its configuration.
    pub(crate) fn start(program: &Path, more: &str) -> Server {
        let mut server = Server::new(program, free_port(), "alone", more);
        server.restart();
        server
    }

    /// Not started yet.
    fn new(program: &Path, port: u16, name: &str, more: &str) -> Server {
        let folder = tempfile::Builder::new().prefix("nats-").tempdir().unwrap();
        let store = folder.path().join("store");
        let config = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{port}\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always }}\n{more}\n"
        );
        std::fs::write(folder.path().join("config"), config).unwrap();
        Server {
            program: program.to_owned(),
            folder,
            port,
            child: None,
        }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts it on the same port and folder, and waits until it takes clients.
    pub(crate) fn restart(&mut self) {
        self.spawn();
        self.wait();
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let child = Command::new(&self.program)
            .arg("--config")
            .arg(self.folder.path().join("config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn wait(&mut self) {
        let began = Instant::now();
        while !self.is_up() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(
                ended.is_none() && began.elapsed() < START,
                "the server does not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A server greets those who connect.
    fn is_up(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).is_ok() && greeting == *b"INFO"
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Its process, for other signals.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.lines().rev().take(20).collect::<Vec<_>>();
            eprintln!(
                "the server on port {}:\n{}",
                self.port,
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}

/// Three servers that know each other, on ports of this machine.
pub(crate) fn cluster(program: &Path) -> Vec<Server> {
    let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let all: Vec<String> = routes
        .iter()
        .map(|port| format!("nats://127.0.0.1:{port}"))
        .collect();
    let mut servers: Vec<Server> = (0..3)
        .map(|n| {
            let more = format!(
                "cluster {{ name: test, listen: 127.0.0.1:{}, routes: [{}] }}\n",
                routes[n],
                all.join(", ")
            );
            Server::new(program, free_port(), &format!("n{n}"), &more)
        })
        .collect();
    for server in &mut servers {
        server.spawn();
    }
    for server in &mut servers {
        server.wait();
    }
    servers
}

/// All addresses of a cluster, as one URL.
pub(crate) fn urls(servers: &[Server]) -> String {
    servers.iter().map(Server::url).collect::<Vec<_>>().join(",")
}

/// A port that nobody listens on, and that the system gives to no client by itself: one that tries to reach a server that is
/// away may get the server's port otherwise. Another one may take it before it is used; then the server does not start.
pub(crate) fn free_port() -> u16 {
    loop {
        let random = RandomState::new().hash_one(file!());
        let port = 10_000 + u16::try_from(random % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
