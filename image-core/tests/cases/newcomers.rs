//! The ways of two newcomers, as their READMEs have them: a plugin in Python, and a client for Node.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::json;
use tokio::runtime::Runtime;

use crate::patient::{KIDNEYS, PIPELINE, Patient};
use crate::process::{Server, address_of};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn skipped(reason: &str) {
    println!("SKIPPED: {reason}");
}

/// The shell commands of a numbered step of a README.
fn step(readme: &str, title: &str) -> String {
    let step = readme
        .split(title)
        .nth(1)
        .unwrap_or_else(|| panic!("no step {title}"));
    let commands = step.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let lines = commands
        .lines()
        .map(|line| line.strip_prefix("   ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn shell(folder: &Path, commands: &str) -> Output {
    let script = format!("set -eu\n{commands}");
    Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder)
        .output()
        .unwrap()
}

/// A plugin that ends with the test.
struct Plugin(Child);

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nephrite(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nephrite"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Steps 1, 2, 4 and 5 of the template's README, on a fresh copy; then the plugin on a mask: with its files, with labels that
/// are there and that are not, and with a value of a wrong type.
#[test]
fn a_plugin_in_python_from_copy_to_result() {
    let readme =
        fs::read_to_string(project().join("mask-services/plugins/python-template/README.md")).unwrap();
    let place = tempfile::tempdir().unwrap();
    symlink(project().canonicalize().unwrap(), place.path().join("nephrite")).unwrap();
    let copied = shell(place.path(), &step(&readme, "1. **Copy**"));
    assert!(copied.status.success(), "{copied:?}");
    let plugin = place.path().join("my-plugin");
    let installed = shell(&plugin, &step(&readme, "2. **Install**"));
    if !installed.status.success() {
        let words = String::from_utf8_lossy(&installed.stderr);
        let last = words.lines().last().unwrap_or_default().to_owned();
        return skipped(&format!("the plugin's packages cannot be installed: {last}"));
    }
    let data = place.path().join("data");
    fs::create_dir_all(data.join("exchange")).unwrap();
    let run = step(&readme, "4. **Run**");
    assert!(
        run.contains("--root /data") && run.contains("127.0.0.1:7445"),
        "{run}"
    );
    let run = run
        .replace("/data", &data.to_string_lossy())
        .replace(":7445", ":0");
    let mut child = Command::new("bash")
        .args(["-c", &format!(". .venv/bin/activate && exec {run}")])
        .current_dir(&plugin)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let url = address_of(&mut child);
    let _plugin = Plugin(child);

    let check = step(&readme, "5. **Check**");
    let check = check
        .replace("http://127.0.0.1:7445", &url)
        .replace("/data", &data.to_string_lossy());
    let arguments: Vec<&str> = check
        .trim()
        .strip_prefix("nephrite ")
        .unwrap()
        .split(' ')
        .collect();
    let (code, said) = nephrite(place.path(), &arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(" 0 failed, 0 skipped"), "{said}");
    for case in [
        "artefacts_in_folder",
        "unknown_label_refused",
        "refusals_are_told",
    ] {
        assert!(said.contains(&format!("{case} ")), "{said}");
    }

    let patient = Patient::new();
    let mut request = patient.request("case");
    request.steps = vec!["kidneys".to_owned()];
    patient.run_here(&patient.core(), &request).unwrap();
    let mask = data.join("kidneys.nii.gz");
    fs::copy(patient.path("results/case/kidneys.nii.gz"), &mask).unwrap();
    let on_mask = |more: &[&str]| {
        let first = [
            "mask",
            "centreline",
            "--endpoint",
            &url,
            "--input",
            "kidneys.nii.gz",
            "--labels",
            "kidney=1,vein=2",
        ];
        nephrite(&data, &[&first, more].concat())
    };
    let (code, said) = on_mask(&[
        "--set",
        "labels=vein",
        "--artefacts",
        "lengths",
        "--output",
        "lines.nii.gz",
    ]);
    assert_eq!(code, Some(0), "{said}");
    let table = fs::read_to_string(data.join("lengths/lengths.csv")).unwrap();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!((rows.len(), rows[0]), (2, "label,length_mm"), "{table}");
    let length: f64 = rows[1].strip_prefix("vein,").unwrap().parse().unwrap();
    assert!(length > 10.0, "{table}");
    let (code, said) = on_mask(&["--set", "labels=artery", "--artefacts", "none"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("parameter labels names label \"artery\", known are kidney, vein"),
        "{said}"
    );
    let (code, said) = on_mask(&["--set", "min_length_mm=long"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("parameter min_length_mm is the text \"long\", expected a number from 0 to 10000"),
        "{said}"
    );
    assert!(!data.join("none").exists());
}

/// `compose/client-node/test/walk.js` against real servers: through a case and its masks, cancel, refused path, missing phase,
/// existing folder, overload, dead plugin.
#[test]
fn a_client_for_node_walks_through_everything_it_meets() {
    let client = project().join("compose/client-node");
    if !client.join("node_modules").is_dir() {
        return skipped("the packages of the Node client are not there; `make node-client` installs them");
    }
    if Command::new("node").arg("--version").output().is_err() {
        return skipped("no node on the PATH");
    }
    let tested = Command::new("npm")
        .args(["test", "--silent"])
        .current_dir(&client)
        .output()
        .unwrap();
    assert!(
        tested.status.success(),
        "{}",
        String::from_utf8_lossy(&tested.stdout)
    );

    let patient = Patient::new();
    let long = format!(
        "[[models]]\nid = 'long'\nmodel = '{KIDNEYS}'\nphases = ['portal_venous']\ntile_step_size = 0.1\n\
         [[save]]\nstep = 'long'\nfile = 'long.nii.gz'\n"
    );
    fs::write(patient.path("long.toml"), long).unwrap();
    fs::write(patient.path("demo.toml"), PIPELINE).unwrap();
    let runtime = Runtime::new().unwrap();
    let root = patient.root.path();
    let listen = "listen = '127.0.0.1:0'\n";
    let limits = "max_concurrent_runs = 1\nmax_waiting_runs = 2\n";
    let server = Server::start(root, "server", &format!("{listen}{limits}"), &runtime);
    let dead = "operation_timeout_seconds = 2\n[operations]\ncleanup = 'http://127.0.0.1:9'\n";
    let without_plugin = Server::start(root, "dead", &format!("{listen}{dead}"), &runtime);
    let scene = json!({
        "pipeline": "demo.toml",
        "long_pipeline": "long.toml",
        "scans": {
            "arterial": "scans/arterial.nii.gz",
            "portal_venous": "scans/portal_venous.nii.gz",
            "delayed": "scans/delayed.nii.gz",
        },
        "output": "results/walk",
        "dead_plugin": {"server": without_plugin.address, "message": "http://127.0.0.1:9"},
    });
    let file = patient.path("walk.json");
    fs::write(&file, scene.to_string()).unwrap();
    let walked = Command::new("node")
        .arg("test/walk.js")
        .arg(&file)
        .env("NEPHRITE_SERVER", &server.address)
        .current_dir(&client)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&walked.stdout);
    println!("{said}");
    assert!(
        walked.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&walked.stderr)
    );
    assert!(
        said.lines().filter(|line| line.starts_with("ok: ")).count() >= 15,
        "{said}"
    );
}
