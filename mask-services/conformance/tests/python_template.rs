//! The template of a plugin in Python, as a process of its own.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too
#![allow(clippy::print_stderr)] // a test that is skipped says so

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nephrite_conformance::{Options, Verdict, check_service};
use nephrite_kernel::*;
use nephrite_mask_codec::EncodedMask;
use nephrite_proto::status::ERROR_CODE_KEY;
use nephrite_proto::v1;
use nephrite_proto::v1::CheckRequest;
use nephrite_proto::v1::mask_service_client::MaskServiceClient;
use nephrite_proto::v1::mount_service_client::MountServiceClient;
use nephrite_proto::v1::parameter_value::Value;
use nephrite_root::Root;
use nephrite_server::{MountState, check_mounts};
use support::{Place, runtime, serve};

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
    copy_template(python, folder);
    serve_script(python, &["plugin.py"], root, folder)
}

fn copy_template(python: &Path, folder: &Path) {
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
}

fn serve_script(python: &Path, script: &[&str], root: &Path, folder: &Path) -> (Plugin, String) {
    let mut plugin = Command::new(python);
    plugin
        .args(script)
        .args(["--listen", "127.0.0.1:0", "--root"])
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

/// An operation with a parameter of every kind.
struct Kinds(OperationDescription);

impl Kinds {
    fn new() -> Kinds {
        let mut description = OperationDescription::new("kinds", "1.0.0", "gives its mask back");
        description.inputs = vec![
            InputSpec::required("mask", "a mask"),
            InputSpec::required("other", "another").optional().on_first_grid(),
        ];
        let whole = ParameterKind::Integer { min: -3, max: 9 };
        let number = |min, max| ParameterKind::Number { min, max };
        let specs = [
            ("flag", ParameterKind::Flag),
            ("whole", whole),
            ("large", number(-0.5, 1e12)),
            ("small", number(1e-7, 0.1)),
            ("text", ParameterKind::Text),
            ("choice", ParameterKind::choice(&["near", "far"])),
            ("texts", ParameterKind::Texts),
            ("label", ParameterKind::label(&["mask"])),
            ("names", ParameterKind::labels(&[], LabelForm::Name)),
            ("ids", ParameterKind::labels(&["mask"], LabelForm::NameId)),
            ("joined", ParameterKind::labels(&["mask"], LabelForm::Joined)),
        ];
        description.parameters = specs
            .map(|(name, kind)| ParameterSpec::new(name, kind, "a parameter"))
            .into();
        let output = OutputSpec::like_input("mask", "mask", "the mask");
        description.outputs = vec![output.labels_of(&["mask"])];
        Kinds(description)
    }
}

impl MaskOperation for Kinds {
    fn description(&self) -> &OperationDescription {
        &self.0
    }

    fn run(&self, inputs: &Inputs, _: &Parameters, _: &Context<'_>) -> Result<Outcome, OperationError> {
        Ok(Outcome::mask("mask", Mask::clone(inputs.one("mask")?)))
    }
}

fn mask(names: &[&str]) -> v1::NamedMask {
    let spacing = Spacing::new([1.0; 3]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([2, 3, 4]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let entries = names.iter().zip(1..).map(|(name, id)| LabelEntry {
        id,
        name: (*name).to_owned(),
        status: LabelStatus::NotFound,
    });
    let table = LabelTable::new(entries.collect()).unwrap();
    let runs = RunMask::empty(geometry, &Limits::default()).unwrap();
    let encoded = EncodedMask::encode(&Mask::new(runs, table).unwrap()).unwrap();
    v1::NamedMask {
        name: "mask".to_owned(),
        mask: Some(v1::Mask {
            content: Some(v1::mask::Content::Encoded(encoded.into())),
            labels: Vec::new(),
            grid: String::new(),
        }),
    }
}

/// Requests that no service of [`Kinds`] may accept, by what is wrong with them.
fn wrong_requests() -> Vec<(String, v1::ProcessRequest)> {
    let good = || v1::ProcessRequest {
        operation: "kinds".to_owned(),
        inputs: vec![mask(&["kidney", "left \"vein\""])],
        ..Default::default()
    };
    let mut requests = Vec::new();
    let mut wrong = |what: &str, change: &dyn Fn(&mut v1::ProcessRequest)| {
        let mut request = good();
        change(&mut request);
        requests.push((what.to_owned(), request));
    };
    wrong("another operation", &|r| {
        r.operation = "kinds of \n things, many of them, far more than sixty-four characters".into()
    });
    wrong("no input", &|r| r.inputs.clear());
    wrong("an unknown input", &|r| r.inputs[0].name = "masks".into());
    wrong("an input twice", &|r| r.inputs.push(r.inputs[0].clone()));
    wrong("a folder for files", &|r| r.artefacts_folder = "exchange".into());
    let texts = |texts: &[&str]| {
        let values = texts.iter().map(|text| (*text).to_owned()).collect();
        Value::Texts(v1::TextList { values })
    };
    let values = [
        Value::Flag(true),
        Value::Integer(10),
        Value::Integer(i64::MIN),
        Value::Number(1.0),
        Value::Number(-2.5),
        Value::Number(1e30),
        Value::Number(f64::NAN),
        Value::Number(f64::INFINITY),
        Value::Number(f64::NEG_INFINITY),
        Value::Text(
            "élan \"of\" \u{1} \t a text that is longer than sixty-four characters, as texts are".into(),
        ),
        Value::Text("x".repeat(5000)),
        texts(&[]),
        texts(&["liver"]),
        texts(&["kidney", "liver"]),
        texts(&["liver=1", "kidney=2"]),
        texts(&["kidney+liver"]),
    ];
    for spec in Kinds::new().0.parameters {
        for value in &values {
            wrong(&format!("{} = {value:.80?}", spec.name), &|r| {
                let value = Some(value.clone());
                r.parameters
                    .insert(spec.name.clone(), v1::ParameterValue { value });
            });
        }
        wrong(&format!("{} without a value", spec.name), &|r| {
            r.parameters
                .insert(spec.name.clone(), v1::ParameterValue { value: None });
        });
    }
    wrong("an unknown parameter", &|r| {
        let value = Some(Value::Flag(true));
        r.parameters.insert("kind".into(), v1::ParameterValue { value });
    });
    requests
}

/// What is wrong with a request is said alike by a service in Rust and by a plugin in Python: code, metadata and message.
#[test]
fn both_languages_refuse_in_the_same_words() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("SKIPPED: the words of the Python template are not checked: {reason}");
            return;
        }
    };
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    copy_template(&python, folder.path());
    std::fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/any_operation.py"),
        folder.path().join("any_operation.py"),
    )
    .unwrap();
    let runtime = runtime();
    let rust = serve(&runtime, vec![Arc::new(Kinds::new())], place.root());
    runtime.block_on(async {
        let mut rust = MaskServiceClient::connect(rust).await.unwrap();
        let described = rust.describe(v1::DescribeRequest {}).await.unwrap().into_inner();
        let operation = prost::Message::encode_to_vec(&described.operations[0]);
        std::fs::write(folder.path().join("operation"), operation).unwrap();
        let script = ["any_operation.py", "operation"];
        let (_plugin, python) = serve_script(&python, &script, &place.root(), folder.path());
        let mut python = MaskServiceClient::connect(python).await.unwrap();
        let (mut n_refused, mut different) = (0, Vec::new());
        for (what, request) in wrong_requests() {
            let [rust, python] =
                [rust.process(request.clone()).await, python.process(request).await].map(|answer| {
                    answer.err().map(|status| {
                        let code = status.metadata().get(ERROR_CODE_KEY).cloned();
                        (status.code(), code, status.message().to_owned())
                    })
                });
            n_refused += usize::from(rust.is_some());
            if rust != python {
                different.push(format!("{what}:\n  Rust   {rust:?}\n  Python {python:?}"));
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
        assert!(n_refused > 120, "only {n_refused} requests were refused");
    });
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
