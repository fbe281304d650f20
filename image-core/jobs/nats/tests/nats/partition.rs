//! Three servers, each in a network of its own; the network of one is cut off. Needs to be root and the program `ip`; left out
//! elsewhere.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::{again, drain, get, lease, nats, result, submit, until};
use nephrite_jobs::conformance::{new_job, settings, worker};
use nephrite_jobs::{Beat, JobEngine as _, JobError, JobState, Orders};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};

/// Three networks behind a bridge, with a server in each.
struct Networks {
    tag: String,
    subnet: u8,
    folder: tempfile::TempDir,
    servers: Vec<Child>,
}

fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command
        .args(arguments.split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Networks {
    /// `None` where that is not allowed.
    fn new() -> Option<Networks> {
        let number = std::process::id() % 10_000;
        let networks = Networks {
            tag: format!("np{number}"),
            subnet: u8::try_from(number % 250).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            servers: Vec::new(),
        };
        let (tag, subnet) = (&networks.tag, networks.subnet);
        let mut made = ip(&format!("link add {tag}br type bridge"))
            && ip(&format!("addr add 10.213.{subnet}.1/24 dev {tag}br"))
            && ip(&format!("link set {tag}br up"));
        for n in 0..3 {
            made = made
                && ip(&format!("netns add {tag}n{n}"))
                && ip(&format!("link add {tag}v{n} type veth peer name {tag}p{n}"))
                && ip(&format!("link set {tag}p{n} netns {tag}n{n}"))
                && ip(&format!("link set {tag}v{n} master {tag}br"))
                && ip(&format!("link set {tag}v{n} up"))
                && ip(&format!(
                    "-n {tag}n{n} addr add {}/24 dev {tag}p{n}",
                    networks.address(n)
                ))
                && ip(&format!("-n {tag}n{n} link set {tag}p{n} up"))
                && ip(&format!("-n {tag}n{n} link set lo up"));
        }
        made.then_some(networks) // what was made goes away with it
    }

    fn address(&self, n: usize) -> String {
        format!("10.213.{}.{}", self.subnet, n + 2)
    }

    fn start(&mut self, program: &std::path::Path) {
        let routes: Vec<String> = (0..3)
            .map(|n| format!("nats://{}:6222", self.address(n)))
            .collect();
        for n in 0..3 {
            let (address, store) = (self.address(n), self.folder.path().join(format!("store{n}")));
            let text = format!(
                "server_name: n{n}\nlisten: {address}:4222\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n\
                 cluster {{ name: test, listen: {address}:6222, routes: [{}] }}\n",
                routes.join(", ")
            );
            let config = self.folder.path().join(format!("config{n}"));
            fs::write(&config, text).unwrap();
            let child = Command::new("ip")
                .args(["netns", "exec", &format!("{}n{n}", self.tag)])
                .arg(program)
                .arg("--config")
                .arg(config)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            self.servers.push(child);
        }
    }

    fn urls(&self) -> String {
        let urls: Vec<String> = (0..3)
            .map(|n| format!("nats://{}:4222", self.address(n)))
            .collect();
        urls.join(",")
    }

    /// Nobody reaches the server any more, and it reaches nobody.
    fn cut(&self, n: usize) {
        assert!(ip(&format!("link set {}v{n} down", self.tag)));
    }

    fn mend(&self, n: usize) {
        assert!(ip(&format!("link set {}v{n} up", self.tag)));
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        for n in 0..3 {
            ip(&format!("netns del {}n{n}", self.tag));
            ip(&format!("link del {}v{n}", self.tag));
        }
        ip(&format!("link del {}br", self.tag));
    }
}

#[test]
#[ignore = "takes more than a minute; make test-jobs runs it"]
fn a_server_that_is_cut_off_takes_nothing_that_is_lost() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let Some(mut networks) = Networks::new() else {
        println!("left out: networks cannot be made here");
        return;
    };
    networks.start(&program);
    let settings = {
        let mut settings = settings();
        settings.lease = Duration::from_secs(6);
        settings
    };
    let with = |urls: &str| NatsSettings {
        replicas: 3,
        connect_timeout: Duration::from_secs(60),
        ..nats(urls)
    };
    let engine = NatsEngine::open(settings.clone(), with(&networks.urls())).unwrap();
    let ids: Vec<_> = (0..10).map(|n| submit(&engine, &format!("job {n:02}"))).collect();
    let held = lease(&engine, &worker("w"));

    // Each of the three once: the leader is among them.
    for n in 0..3 {
        // A client that knows only the server that is cut off, and sits beside it.
        networks.cut(n);
        let began = Instant::now();
        again(|| engine.submit(new_job(&format!("while {n} is cut off")))).unwrap();
        println!(
            "server {n} is cut off: the next job was taken after {:.1?}",
            began.elapsed()
        );
        let _ = again(|| engine.heartbeat(&held, Beat::default())); // the election may take longer than the lease
        networks.mend(n);
        let other = again(|| {
            NatsEngine::open(
                settings.clone(),
                with(&format!("nats://{}:4222", networks.address(n))),
            )
        })
        .unwrap();
        for id in &ids {
            until("it has caught up", || other.get(id).is_ok());
        }
    }
    // Two are cut off: nothing is taken, and nothing is lost.
    networks.cut(0);
    networks.cut(1);
    let error = engine.submit(new_job("refused")).unwrap_err();
    assert!(matches!(error, JobError::Unavailable { .. }), "{error}");
    networks.mend(0);
    networks.mend(1);
    again(|| engine.submit(new_job("refused"))).unwrap();
    for id in &ids {
        assert!(matches!(
            get(&engine, id).state,
            JobState::Queued | JobState::Running
        ));
    }
    let first = again(|| engine.complete(&held, result()));
    let still_held = first.is_ok();
    if !still_held {
        assert_eq!(engine.orders(&held), Orders::Lost);
    }
    let left = 10 + 3 + 1 - usize::from(still_held);
    let mut keys = drain(&engine, &worker("v"), left);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), left, "each once");
}
