//! Servers and workers as processes, with an engine of jobs behind them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nephrite_proto::v1::{self, CaseServiceRunRequest, JobState, SubmitRequest};
use nephrite_proto::{Client, RemoteError};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::runtime::Runtime;

use crate::nats;
use crate::patient::{KIDNEYS, PATIENCE, Patient};

/// One model with a few tiles: a case of a second.
pub(crate) fn short_pipeline() -> String {
    format!(
        "[[models]]\nid = 'kidneys'\nmodel = '{KIDNEYS}'\nphases = ['portal_venous']\nno_mirroring = true\n\
         tile_step_size = 1.0\n[[masks]]\nid = 'clean'\noperation = 'cleanup'\ninputs = {{ mask = 'kidneys' }}\n\
         parameters = {{ min_volume_mm3 = 50 }}\n[[save]]\nstep = 'clean'\nfile = 'kidneys.nii.gz'\n"
    )
}

/// A case of one scan.
pub(crate) fn short_case(output: &str) -> CaseServiceRunRequest {
    CaseServiceRunRequest {
        pipeline: "short.toml".into(),
        scans: vec![v1::PhaseScan {
            phase: v1::Phase::PortalVenous.into(),
            path: "scans/portal_venous.nii.gz".into(),
        }],
        output: format!("results/{output}"),
        ..CaseServiceRunRequest::default()
    }
}

/// The whole case of the patient.
pub(crate) fn whole_case(patient: &Patient, output: &str) -> CaseServiceRunRequest {
    (&patient.request(output)).into()
}

pub(crate) fn submission(key: &str, request: CaseServiceRunRequest) -> SubmitRequest {
    SubmitRequest {
        key: key.into(),
        request: Some(request),
        ..SubmitRequest::default()
    }
}

/// What keeps the jobs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Engine {
    Sqlite,
    Nats,
}

/// A patient, an engine, and processes around them.
pub(crate) struct Place {
    pub(crate) patient: Patient,
    pub(crate) runtime: Runtime,
    pub(crate) engine: Engine,
    pub(crate) nats: Option<nats::Server>,
    /// Of the engine's own names: a new one is a new, empty engine.
    pub(crate) generation: u32,
    /// More lines of `[jobs]`.
    pub(crate) jobs: String,
}

impl Place {
    /// `None`, with a word about it, if there is no server of this engine.
    pub(crate) fn new(engine: Engine) -> Option<Place> {
        let nats = match engine {
            Engine::Sqlite => None,
            Engine::Nats => Some(nats::Server::start(&nats::program()?, "")),
        };
        let patient = Patient::new();
        fs::write(patient.path("short.toml"), short_pipeline()).unwrap();
        Some(Place {
            patient,
            runtime: Runtime::new().unwrap(),
            engine,
            nats,
            generation: 0,
            jobs: "lease_seconds = 2\naffinity_seconds = 0\n".into(),
        })
    }

    fn config(&self, name: &str, workers: usize, more: &str) -> PathBuf {
        let engine = match &self.nats {
            None => format!("state = 'state-{}'\n{}", self.generation, self.jobs),
            Some(nats) => format!(
                "engine = 'nats'\n{}\n[jobs.nats]\nurl = '{}'\nname = 'n{}'\n",
                self.jobs,
                nats.url(),
                self.generation
            ),
        };
        let text = format!(
            "root = '.'\nthreads = 1\nlisten = '127.0.0.1:0'\nexchange = 'exchange'\n{more}\n[worker]\nname = '{name}'\n\
             [jobs]\nworkers = {workers}\n{engine}"
        );
        let file = self.patient.path(&format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        file
    }

    /// A server; with SQLite it does jobs itself.
    pub(crate) fn server(&self) -> Process {
        self.server_with("server", &[], "")
    }

    pub(crate) fn server_with(&self, name: &str, variables: &[(&str, &str)], more: &str) -> Process {
        let workers = usize::from(self.engine == Engine::Sqlite);
        let config = self.config(name, workers, more);
        Process::start("serve", &config, variables)
    }

    /// One that only takes jobs in.
    pub(crate) fn server_without_worker(&self) -> Process {
        Process::start("serve", &self.config("front", 0, ""), &[])
    }

    /// A process that only works.
    pub(crate) fn worker(&self, name: &str, variables: &[(&str, &str)]) -> Process {
        Process::start("worker", &self.config(name, 1, ""), variables)
    }

    pub(crate) fn client(&self, server: &Process) -> Client {
        let began = Instant::now();
        loop {
            match self.runtime.block_on(Client::connect(&server.address)) {
                Ok(client) => return client,
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Submits, again and again as a careful client does until it is answered.
    pub(crate) fn submit(&self, server: &Process, request: &SubmitRequest) -> v1::Job {
        let began = Instant::now();
        loop {
            let submitted = self.try_submit(server, request);
            match submitted {
                Ok(job) => return job,
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn try_submit(
        &self,
        server: &Process,
        request: &SubmitRequest,
    ) -> Result<v1::Job, RemoteError> {
        self.runtime.block_on(async {
            let client = Client::connect(&server.address).await?;
            let submitted = client.submit(request.clone()).await?;
            Ok(submitted.job.unwrap())
        })
    }

    pub(crate) fn get(&self, server: &Process, id: &str) -> Result<v1::Job, RemoteError> {
        self.runtime.block_on(async {
            let client = Client::connect(&server.address).await?;
            let got = client.get_job(v1::GetJobRequest { id: id.into() }).await?;
            Ok(got.job.unwrap())
        })
    }

    /// Waits until the job has ended.
    pub(crate) fn ended(&self, server: &Process, id: &str) -> v1::Job {
        let began = Instant::now();
        loop {
            let job = self.get(server, id);
            if let Ok(job) = &job
                && !matches!(job.state(), JobState::Queued | JobState::Running)
            {
                return job.clone();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end: {job:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn files(&self, output: &str) -> BTreeMap<String, Vec<u8>> {
        self.patient.files(output)
    }

    /// Nothing hidden in the results: no half-written folder, no lock.
    pub(crate) fn hidden(&self) -> Vec<String> {
        let entries = fs::read_dir(self.patient.path("results")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

/// A process of ours; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    pub(crate) fn start(command: &str, config: &Path, variables: &[(&str, &str)]) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nephrite"))
            .args([command, "--config"])
            .arg(config)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(match std::env::var_os("NEPHRITE_LOG") {
                Some(_) => Stdio::inherit(),
                None => Stdio::null(),
            })
            .spawn()
            .unwrap();
        let address = address_of(&mut child);
        let process = Process { child, address };
        let began = Instant::now();
        // it is at its port before it serves
        while !is_serving(&process.address) {
            assert!(began.elapsed() < PATIENCE, "{command} does not become ready");
            std::thread::sleep(Duration::from_millis(10));
        }
        process
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    pub(crate) fn raw_pid(&self) -> Pid {
        self.pid()
    }

    /// Waits until it has stopped itself.
    pub(crate) fn wait_until_stopped(&self) {
        let began = Instant::now();
        loop {
            let options = WaitOptions::UNTRACED | WaitOptions::NOHANG;
            match waitpid(Some(self.pid()), options).unwrap() {
                Some((_, status)) if status.stopped() => return,
                Some((_, status)) => panic!("it ended: {status:?}"),
                None => {}
            }
            assert!(began.elapsed() < PATIENCE, "it does not come to that point");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address_of(child: &mut Child) -> String {
    use std::io::BufRead as _;
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on ");
    address
        .unwrap_or_else(|| panic!("no address: {line:?}"))
        .to_owned()
}

fn is_serving(address: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        use tonic_health::pb::health_client::HealthClient;
        let endpoint = tonic::transport::Endpoint::new(address.to_owned()).unwrap();
        let Ok(channel) = endpoint.connect().await else {
            return false;
        };
        let mut client = HealthClient::new(channel);
        let status = client
            .check(tonic_health::pb::HealthCheckRequest::default())
            .await;
        status.is_ok_and(|status| status.into_inner().status == 1)
    })
}
