//! Scans of requests at a DICOMweb server that the configuration names.

use std::fs;
use std::sync::{Arc, Mutex};

use nephrite_dicom::test_util::{Labels, Way, single_frame};
use nephrite_types::{CancelToken, Limits};
use nephrite_volume::{Reader, read_volume};

use crate::dicomweb::pacs::holding;
use crate::dicomweb::server::{Reply, Server};
use crate::patient::{KIDNEYS, Patient};
use crate::run::{Served, nephrite};
use crate::scene::Outcome;

const STUDY: &str = "1.2.826.0.1.3680043.10.9";
/// What runs on it.
const MODEL: [&str; 4] = ["--model", KIDNEYS, "--profile", "quick"];
const SERIES: &str = "1.2.826.0.1.3680043.10.1";

/// A patient whose portal venous scan lies in a folder and at a server, and a configuration that names that.
struct Setup {
    patient: Patient,
    server: Server,
    /// While false, the server is there and has no such study.
    has_study: Arc<Mutex<bool>>,
    config: String,
}

impl Setup {
    fn new() -> Setup {
        let patient = Patient::new();
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        let file = fs::File::open(patient.path("scans/portal_venous.nii.gz")).unwrap();
        let scan = read_volume(file, "scan", Reader::SimpleItk, &limits, &cancel).unwrap();
        let slices = single_frame(&scan.volume, Way::PLAIN, &Labels::default());
        fs::create_dir(patient.path("series")).unwrap();
        for slice in &slices {
            fs::write(patient.path("series").join(&slice.name), slice.bytes()).unwrap();
        }
        let held: Vec<(String, Vec<u8>)> = slices
            .into_iter()
            .map(|slice| (slice.sop_instance_uid(), slice.bytes()))
            .collect();
        let has_study = Arc::new(Mutex::new(true));
        let there = has_study.clone();
        let server = Server::start(move |request| {
            if !*there.lock().unwrap() {
                return Reply::status(404);
            }
            let uids: Vec<&str> = held.iter().map(|(uid, _)| uid.as_str()).collect();
            let files: Vec<Vec<u8>> = held.iter().map(|(_, file)| file.clone()).collect();
            holding((STUDY, SERIES), &uids, &files, request)
        });
        let config = format!("[dicomweb.pacs]\nurl = '{}'\n", server.url);
        fs::write(patient.path("n.toml"), format!("root = '.'\n{config}")).unwrap();
        Setup {
            patient,
            server,
            has_study,
            config,
        }
    }

    fn run(&self, scan: &str, output: &str, more: &[&str]) -> Outcome {
        let (scan, output) = (format!("portal_venous={scan}"), format!("results/{output}"));
        let usual = ["run", "--config", "n.toml", "--scan", &scan, "--output", &output];
        nephrite(self.patient.root.path(), &[&usual[..], &MODEL, more].concat())
    }

    /// Names in the folder of results, hidden ones too.
    fn results(&self) -> Vec<String> {
        let entries = fs::read_dir(self.patient.path("results")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn address() -> String {
    format!("dicomweb://pacs/{STUDY}/{SERIES}")
}

/// The record says what was asked for, from which a second run fetches it again; what was fetched is gone.
#[test]
fn a_scan_at_a_server_gives_the_masks_of_its_folder() {
    let setup = Setup::new();
    let objects = ["--output-type", "dicom-seg"];
    setup.run("series", "folder", &objects).succeeded();
    setup.run(&address(), "address", &objects).succeeded();
    setup
        .run(&format!("dicomweb://pacs/{STUDY}"), "study", &objects)
        .succeeded();
    assert_eq!(setup.results(), ["address", "folder", "study"]);
    let files = setup.patient.files("folder");
    assert_eq!(files.len(), 2);
    for output in ["address", "study"] {
        assert!(setup.patient.files(output) == files, "{output}");
    }
    let record = fs::read(setup.patient.path("results/address/record.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    for path in [
        &record["request"]["scans"][0]["path"],
        &record["scans"][0]["path"],
    ] {
        assert_eq!(*path, address());
    }
    let verify = |more: &[&str]| {
        let usual = ["verify", "results/address/record.json"];
        nephrite(setup.patient.root.path(), &[&usual, more].concat())
    };
    verify(&["--config", "n.toml"]).succeeded();
    verify(&[]).refused(2, &["no DICOMweb server is called pacs", "none under"]);
}

#[test]
fn what_cannot_be_fetched_is_told_and_leaves_nothing() {
    let setup = Setup::new();
    let refused = |scan: &str, exit: i32, says: &[&str]| {
        setup.run(scan, "out", &[]).refused(exit, says);
        assert_eq!(setup.results(), Vec::<String>::new());
    };
    refused(
        &address().replace("pacs", "other"),
        2,
        &["other", "the configuration has pacs"],
    );
    refused("dicomweb://http:pacs/1.2/3", 2, &["name of a DICOMweb server"]);
    refused("dicomweb://pacs/1.2/3/4", 2, &["dicomweb://NAME/study"]);
    refused(&format!("{}9", address()), 3, &["not there"]);
    *setup.has_study.lock().unwrap() = false;
    refused(&address(), 3, &["DICOMweb server pacs", STUDY]);
    let n_requests = setup.server.requests().len();
    fs::create_dir(setup.patient.path("results/out")).unwrap();
    setup.run(&address(), "out", &[]).refused(2, &["exists already"]);
    assert_eq!(
        setup.server.requests().len(),
        n_requests,
        "nothing is fetched in vain"
    );
    let scan = format!("portal_venous={}", address());
    let look = [
        "pipeline",
        "check",
        "pipeline.toml",
        "--steps",
        "kidneys",
        "--scan",
        &scan,
    ];
    nephrite(setup.patient.root.path(), &look).refused(2, &["nephrite pull"]);
    let input = address();
    let convert = ["dicom", "convert", &input, "--output", "a.nii.gz"];
    nephrite(setup.patient.root.path(), &convert).refused(2, &["none under [dicomweb.NAME]"]);
}

/// At a server by message and as a job: with a name of its configuration, and never with a URL.
#[test]
fn a_server_fetches_for_messages_and_jobs() {
    let setup = Setup::new();
    setup.run("series", "folder", &[]).succeeded();
    let served = Served::new(
        &setup.patient,
        &format!("{}[jobs]\nworkers = 1\nstate = 'jobs'\n", setup.config),
    );
    let url = served.url.clone();
    let scan = format!("portal_venous={}", address());
    let at_server = |verb: &str, output: &str, more: &[&str]| {
        let usual = [verb, "--server", &url, "--scan", &scan, "--output", output];
        nephrite(setup.patient.root.path(), &[&usual[..], &MODEL, more].concat())
    };
    at_server("run", "results/message", &[]).succeeded();
    at_server("submit", "results/job", &["--watch"]).succeeded();
    let files = setup.patient.files("folder");
    for output in ["message", "job"] {
        assert!(setup.patient.files(output) == files, "{output}");
    }
    assert_eq!(setup.results(), ["folder", "job", "message"]);
}
