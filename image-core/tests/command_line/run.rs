//! What `run` and `verify` make of the scans of a patient, here and at a server, and what they refuse.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nephrite_proto::{Client, v1};
use tokio::runtime::Runtime;

use crate::patient::{ARTERIES, Around, KIDNEYS, PATIENCE, Patient};
use crate::scene::Outcome;

const SCANS: [&str; 6] = [
    "--scan",
    "portal_venous=scans/portal_venous.nii.gz",
    "--scan",
    "arterial=scans/arterial.nii.gz",
    "--scan",
    "delayed=scans/delayed.nii.gz",
];

/// Runs `nephrite` in a folder.
pub(crate) fn nephrite(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nephrite"));
    Outcome::of(command.current_dir(folder).args(arguments).output().unwrap())
}

impl Patient {
    /// `nephrite run` with all scans into `results/<output>`, in the folder of the patient.
    fn run(&self, output: &str, arguments: &[&str]) -> Outcome {
        let output = format!("results/{output}");
        let whole = [&["run", "--output", &output], arguments].concat();
        nephrite(self.root.path(), &whole)
    }

    fn verify(&self, output: &str) -> Outcome {
        let record = format!("results/{output}/record.json");
        nephrite(self.root.path(), &["verify", &record])
    }

    fn record(&self, output: &str) -> serde_json::Value {
        let path = self.path("results").join(output).join("record.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

/// `nephrite serve` over the folder of a patient, ended when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) url: String,
}

impl Served {
    /// `more` is more of its configuration.
    pub(crate) fn new(patient: &Patient, more: &str) -> Served {
        let config = format!("root = '.'\nlisten = '127.0.0.1:0'\n{more}");
        fs::write(patient.path("server.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_nephrite"));
        command
            .current_dir(patient.root.path())
            .args(["serve", "--config", "server.toml"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let served = Served { child, url };
        served.wait();
        served
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&self) {
        let began = Instant::now();
        Runtime::new().unwrap().block_on(async {
            let client = Client::lazy(&self.url).unwrap();
            while client.list_models(v1::ListRequest::default()).await.is_err() {
                assert!(began.elapsed() < PATIENCE, "the server does not become ready");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_case_gives_the_same_bytes_here_at_a_server_and_where_a_configuration_says() {
    let patient = Patient::new();
    let pipeline = [&["--pipeline", "pipeline.toml"], &SCANS[..]].concat();
    let here = patient.run("here", &pipeline).succeeded();
    let files = patient.files("here");
    for says in [
        "results/here/abdomen.nii.gz\n",
        "structure",
        "kidney ",
        "artery ",
        "10 files from 3 scans in",
    ] {
        assert!(here.stdout.contains(says), "{says:?} is not in {}", here.stdout);
    }
    for says in [
        "kidneys: in process\n",
        "kidneys: segmenting\n",
        "kidneys: tile ",
        "look: done in ",
    ] {
        assert!(here.stderr.contains(says), "{says:?} is not in {}", here.stderr);
    }

    let server = Served::new(&patient, "threads = 1\n");
    let there = patient
        .run("there", &[&["--server", &server.url], &pipeline[..]].concat())
        .succeeded();
    assert_eq!(patient.files("there"), files);
    // The same table and the same words, but for times, memory and the name of the folder.
    let table = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("peak memory"));
        lines
            .map(|line| line.replace("there", "here"))
            .collect::<Vec<_>>()
    };
    assert_eq!(table(&there.stdout), table(&here.stdout));
    assert!(there.stderr.contains("kidneys: segmenting\n"), "{}", there.stderr);

    // From another folder: typed paths are those of the shell, those of the pipeline start at the root.
    let mut around = Around::new();
    let address = around.mask_services(patient.root.path());
    let operations =
        ["merge", "cleanup", "sample", "compare"].map(|name| format!("{name} = 'http://{address}'\n"));
    let config = format!(
        "root = '.'\nexchange = 'exchange'\n[operations]\n{}",
        operations.concat()
    );
    fs::write(patient.path("hybrid.toml"), config).unwrap();
    let scans: Vec<String> = SCANS.iter().map(|text| text.replace("scans/", "")).collect();
    let mut arguments = vec![
        "run",
        "--config",
        "../hybrid.toml",
        "--pipeline",
        "../pipeline.toml",
    ];
    arguments.extend(scans.iter().map(String::as_str));
    arguments.extend(["--output", "../results/placed", "--quiet"]);
    let placed = nephrite(&patient.path("scans"), &arguments).succeeded();
    assert_eq!(
        (placed.stdout.as_str(), placed.stderr.as_str()),
        ("", ""),
        "--quiet"
    );
    assert_eq!(patient.files("placed"), files);
    let steps = &patient.record("placed")["steps"];
    let place = |id: &str| {
        let step = steps.as_array().unwrap().iter().find(|step| step["id"] == id);
        step.unwrap()["place"].clone()
    };
    let at = place("all")["service"]["address"].clone();
    assert_eq!(at, format!("http://{address}"));
    assert_eq!(place("kidneys"), "in_process");
}

#[test]
fn models_run_without_a_pipeline_and_steps_can_be_chosen() {
    let patient = Patient::new();
    let kidneys = format!("portal_venous={KIDNEYS}");
    let arteries = format!("arterial={ARTERIES}");
    let models = ["--model", &kidneys, "--model", &arteries];
    let two = patient.run("two", &[&models, &SCANS[..4], &["--profile", "quick"]].concat());
    two.succeeded();
    let names: Vec<String> = patient.files("two").into_keys().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(patient.record("two")["request"]["profile"], "quick");

    let pipeline = ["--pipeline", "pipeline.toml"];
    let only = [&pipeline, &SCANS[..2], &["--steps", "kidneys"]].concat();
    patient.run("only", &only).succeeded();
    assert_eq!(
        patient.files("only").keys().collect::<Vec<_>>(),
        ["kidneys.nii.gz"]
    );

    // On a scan that the step does not accept: only if that is meant.
    let elsewhere = [&pipeline, &SCANS[..4], &["--steps", "kidneys"]].concat();
    let refused = patient.run(
        "refused",
        &[&elsewhere[..], &["--phase", "kidneys=arterial"]].concat(),
    );
    refused.refused(2, &["kidneys", "does not accept", "arterial"]);
    patient.assert_nothing_left("refused");
    let meant = patient.run(
        "meant",
        &[&elsewhere[..], &["--override-phase", "kidneys=arterial"]].concat(),
    );
    meant.succeeded();
    let overrides = &patient.record("meant")["overrides"];
    assert_eq!(overrides[0]["step"], "kidneys", "{overrides}");
}

#[test]
fn a_record_is_verified_and_every_change_is_named() {
    let patient = Patient::new();
    let arguments = [
        &["--pipeline", "pipeline.toml", "--steps", "kidneys"],
        &SCANS[..2],
    ]
    .concat();
    patient.run("a", &arguments).succeeded();
    let said = patient.verify("a").succeeded();
    assert!(said.stdout.contains("1 file is equal"), "{}", said.stdout);
    let names = fs::read_dir(patient.path("results/a")).unwrap().count();
    assert_eq!(names, 2, "the second run is gone");

    let change = |path: &str, change: &dyn Fn(&mut Vec<u8>), says: &[&str]| {
        let path = patient.path(path);
        let before = fs::read(&path).unwrap();
        let mut after = before.clone();
        change(&mut after);
        fs::write(&path, after).unwrap();
        patient.verify("a").refused(3, says);
        fs::write(&path, before).unwrap();
    };
    let padded = |bytes: &mut Vec<u8>| bytes.extend([0; 8]);
    change(
        "results/a/kidneys.nii.gz",
        &padded,
        &["kidneys.nii.gz was changed after the case ran"],
    );
    let scan = "scans/portal_venous.nii.gz";
    change(scan, &padded, &["scan ", scan, "has changed since the case ran"]);
    let spaced = |bytes: &mut Vec<u8>| bytes.push(b'\n');
    let plans = format!("{KIDNEYS}/plans.json");
    change(&plans, &spaced, &["model file ", &plans, "has changed"]);
    change(
        "pipeline.toml",
        &spaced,
        &["pipeline ", "pipeline.toml has changed"],
    );
    let first = |bytes: &mut Vec<u8>| bytes[0] = b'[';
    change("results/a/record.json", &first, &["record.json"]);
    patient.verify("a").succeeded();
    fs::remove_file(patient.path("results/a/kidneys.nii.gz")).unwrap();
    patient.verify("a").refused(3, &["kidneys.nii.gz is missing"]);
    nephrite(patient.root.path(), &["verify", "none.json"]).refused(3, &["none.json"]);
}
