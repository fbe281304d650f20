//! The template of a plugin in Python, as a process of its own.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too
#![allow(clippy::print_stderr)] // a test that is skipped says so

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nephrite_conformance::{Options, Verdict, check_service};
use nephrite_proto::v1::CheckRequest;
use nephrite_proto::v1::mount_service_client::MountServiceClient;
use nephrite_root::Root;
use nephrite_server::{MountState, check_mounts};
use support::{Place, runtime};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/python-template");
const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {last}"))
    }
}

/// Python with what the template requires; made once.
fn python() -> Result<PathBuf, String> {
    let requirements = std::fs::read_to_string(Path::new(TEMPLATE).join("requirements.txt")).unwrap();
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-template-venv");
    let (python, made) = (venv.join("bin/python"), venv.join("made"));
    if std::fs::read_to_string(&made).is_ok_and(|made| made == requirements) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--retries",
        "1",
        "-r",
        "requirements.txt",
    ];
    run(Command::new(&python).args(pip).current_dir(TEMPLATE))?;
    std::fs::write(&made, requirements).unwrap();
    Ok(python)
}

/// A process that ends with the test.
struct Plugin(Child);

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The template as its README has it copied, with its messages generated, running.
fn start(python: &Path, root: &Path, folder: &Path) -> (Plugin, String) {
    for file in ["plugin.py", "nephrite_plugin.py", "decode.py"] {
        std::fs::copy(Path::new(TEMPLATE).join(file), folder.join(file)).unwrap();
    }
    let mut protoc = Command::new(python);
    protoc.args([
        "-m",
        "grpc_tools.protoc",
        "-I",
        PROTO,
        "--python_out=.",
        "--grpc_python_out=.",
    ]);
    protoc.args(["mask", "mount", "segmentation"].map(|name| format!("nephrite/v1/{name}.proto")));
    run(protoc.current_dir(folder)).unwrap();
    let mut plugin = Command::new(python);
    plugin
        .args(["plugin.py", "--listen", "127.0.0.1:0", "--root"])
        .arg(root);
    let mut child = plugin.current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let endpoint = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    (Plugin(child), endpoint)
}

#[test]
fn the_python_template_passes() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!(
                "SKIPPED: the Python template is not checked, its packages cannot be installed: {reason}"
            );
            return;
        }
    };
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let (_plugin, endpoint) = start(&python, &place.root(), folder.path());
    let options = Options {
        deadline: Duration::from_secs(120),
        ..place.options()
    };
    let report = runtime().block_on(check_service(&endpoint, &options)).unwrap();
    assert!(report.passed(), "{report}");
    assert!(
        !report
            .rows
            .iter()
            .any(|row| matches!(row.verdict, Verdict::Skipped(_))),
        "{report}"
    );
    assert!(place.is_clean());
    says_what_it_sees(&endpoint, &place.root());
}

/// The core asks it whether it sees the same shared volume.
fn says_what_it_sees(endpoint: &str, root: &Path) {
    let other = tempfile::tempdir().unwrap();
    let ask = |folder: &Path| {
        let endpoints = [("centreline".to_owned(), endpoint.to_owned())];
        let root = Root::beneath(folder).unwrap();
        check_mounts(&endpoints, &root, Path::new("."), Duration::from_secs(10)).unwrap()
    };
    assert_eq!(ask(root)[0].state, MountState::Same);
    let found = ask(other.path());
    assert!(matches!(found[0].state, MountState::Other { .. }), "{}", found[0]);
    // What is no check file stays its own.
    std::fs::write(root.join("scan.nii.gz"), "scan").unwrap();
    std::fs::write(root.join(".nephrite-check-long"), [7; 65]).unwrap();
    runtime().block_on(async {
        let mut client = MountServiceClient::connect(endpoint.to_owned()).await.unwrap();
        for name in ["scan.nii.gz", ".nephrite-check-long"] {
            let path = root.join(name).to_string_lossy().into_owned();
            let refused = client.check(CheckRequest { path }).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
        }
    });
}

#[test]
fn the_part_that_a_researcher_writes_is_short() {
    let plugin = std::fs::read_to_string(Path::new(TEMPLATE).join("plugin.py")).unwrap();
    assert!(plugin.lines().count() < 60);
}
