//! Requests for cases that cannot run: told alike by the program, by the program at a server, and by the server to any
//! client; nothing is left behind, and the server serves the next case.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_proto::convert::phase;
use nephrite_proto::status::{error_code, grpc_code};
use nephrite_proto::v1::case_service_client::CaseServiceClient;
use nephrite_proto::v1::{self, CaseServiceRunRequest};
use nephrite_types::{CancelToken, ErrorCode, Limits, Phase};
use nephrite_volume::{Reader, read_volume};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::patient::{KIDNEYS, PATIENCE, Patient, moved, write};
use crate::run::{Served, nephrite};

/// A request that works; one model, quickly.
fn good(output: &str) -> CaseServiceRunRequest {
    let scan = |phase: Phase| v1::PhaseScan {
        phase: v1::Phase::from(phase).into(),
        path: format!("scans/{phase}.nii.gz"),
    };
    CaseServiceRunRequest {
        pipeline: "pipeline.toml".to_owned(),
        scans: [Phase::PortalVenous, Phase::Arterial].map(scan).into(),
        steps: vec!["kidneys".to_owned()],
        profile: Some(v1::Profile::Quick.into()),
        output: output.to_owned(),
        ..Default::default()
    }
}

/// The same as it is typed.
fn as_arguments(request: &CaseServiceRunRequest) -> Vec<String> {
    let mut arguments = vec!["run".to_owned()];
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    if !request.pipeline.is_empty() {
        add("--pipeline", request.pipeline.clone());
    }
    for bare in &request.models {
        add("--model", bare.model.clone());
    }
    for scan in &request.scans {
        add("--scan", format!("{}={}", phase_name(scan.phase), scan.path));
    }
    if !request.steps.is_empty() {
        add("--steps", request.steps.join(","));
    }
    for choice in &request.phases {
        let option = if choice.r#override {
            "--override-phase"
        } else {
            "--phase"
        };
        add(option, format!("{}={}", choice.step, phase_name(choice.phase)));
    }
    add("--profile", "quick".to_owned());
    add("--output", request.output.clone());
    arguments
}

fn phase_name(number: i32) -> String {
    phase("phase", number).map_or_else(|_| "none".to_owned(), |phase| phase.to_string())
}

/// Everything in the results folder and at the root, hidden names too.
fn left(patient: &Patient) -> Vec<String> {
    let names = [".", "results", "exchange"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(patient.path(folder)).unwrap();
        entries.map(move |entry| format!("{folder}/{}", entry.unwrap().file_name().display()))
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Sends a request as any client would; gives the status that ends it.
fn status(runtime: &Runtime, url: &str, request: CaseServiceRunRequest) -> Result<(), tonic::Status> {
    runtime.block_on(async {
        let mut client = CaseServiceClient::connect(url.to_owned()).await.unwrap();
        let mut events = client.run(request).await?.into_inner();
        while events.message().await?.is_some() {}
        Ok(())
    })
}

#[test]
fn what_cannot_run_is_told_alike_everywhere_and_leaves_nothing() {
    let patient = Patient::new();
    let server = Served::new(&patient, "threads = 1\n");
    let runtime = Runtime::new().unwrap();
    fs::create_dir(patient.path("results/taken")).unwrap();
    fs::write(patient.path("results/taken/mine"), "mine").unwrap();
    fs::write(patient.path("scans/text.nii.gz"), "no scan").unwrap();
    far_away(&patient);
    let steps = |reference: &str, steps: &[(&str, &str)]| {
        let models = steps.iter().map(|(id, phase)| {
            format!(
                "[[models]]\nid = '{id}'\nmodel = '{KIDNEYS}'\nphases = ['{phase}']\noptional = true\n\
                 [[save]]\nstep = '{id}'\nfile = '{id}.nii.gz'\n"
            )
        });
        format!("{reference}{}", models.collect::<String>())
    };
    fs::write(patient.path("optional.toml"), steps("", &[("late", "delayed")])).unwrap();
    let both = [("late", "delayed"), ("first", "arterial")];
    fs::write(
        patient.path("reference.toml"),
        steps("reference = 'delayed'\n", &both),
    )
    .unwrap();

    let check = |change: &dyn Fn(&mut CaseServiceRunRequest), code: ErrorCode, says: &[&str]| {
        let mut request = good("results/new");
        change(&mut request);
        let before = left(&patient);
        let arguments = as_arguments(&request);
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.push("--quiet");
        let exit = i32::from(code.exit_code());
        let run = |more: &[&str]| nephrite(patient.root.path(), &[&arguments[..], more].concat());
        run(&["--root", "."]).refused(exit, says);
        run(&["--server", &server.url]).refused(exit, says);
        let status = status(&runtime, &server.url, request).expect_err(&format!("{says:?}"));
        assert_eq!(
            (error_code(&status), status.code()),
            (code, grpc_code(code)),
            "{status:?}"
        );
        for text in says {
            assert!(
                status.message().contains(text),
                "{text:?} is not in: {}",
                status.message()
            );
        }
        assert_eq!(left(&patient), before);
    };
    let scan = |phase: Phase, path: &str| v1::PhaseScan {
        phase: v1::Phase::from(phase).into(),
        path: path.to_owned(),
    };
    let choice = |step: &str, phase: Phase| v1::PhaseChoice {
        step: step.to_owned(),
        phase: v1::Phase::from(phase).into(),
        r#override: false,
    };
    use ErrorCode::{AlreadyExists, InvalidArgument, InvalidInput, NotFound, PermissionDenied};
    // Phases.
    let unknown = |option: &str, value: &str| {
        let given = format!("{option}={value}");
        let arguments = [
            "run",
            "--pipeline",
            "pipeline.toml",
            "--output",
            "results/new",
            "--root",
            ".",
        ];
        let expected = "expected non_contrast, arterial, portal_venous or delayed";
        let scan = "--scan=arterial=scans/arterial.nii.gz";
        nephrite(patient.root.path(), &[&arguments[..], &[scan, &given]].concat())
            .refused(2, &["\"venous\"", expected]);
    };
    unknown("--scan", "venous=scans/portal_venous.nii.gz");
    unknown("--phase", "kidneys=venous");
    for (number, says) in [(0, "scans.phase is missing"), (5, "scans.phase is 5")] {
        let mut request = good("results/new");
        request.scans[0].phase = number;
        let status = status(&runtime, &server.url, request).unwrap_err();
        assert_eq!(error_code(&status), InvalidArgument, "{status:?}");
        assert!(status.message().contains(says), "{status:?}");
    }
    check(
        &|r| r.scans[0].phase = v1::Phase::Arterial.into(),
        InvalidArgument,
        &["phase arterial is given twice"],
    );
    check(
        &|r| r.phases = vec![choice("kidneys", Phase::Arterial)],
        InvalidArgument,
        &["step kidneys", "arterial"],
    );
    // Scans.
    check(
        &|r| r.scans[0].path = "scans/none.nii.gz".into(),
        NotFound,
        &["scans/none.nii.gz"],
    );
    check(
        &|r| r.scans[0].path = "scans".into(),
        InvalidInput,
        &["scans", "no DICOM series"],
    );
    check(
        &|r| r.scans[0].path = "scans/text.nii.gz".into(),
        InvalidInput,
        &["scans/text.nii.gz"],
    );
    check(
        &|r| r.scans[0].path = "../scan.nii.gz".into(),
        PermissionDenied,
        &["scan.nii.gz", "out of the configured root"],
    );
    check(&|r| drop(r.scans.remove(0)), InvalidArgument, &["portal_venous"]);
    check(
        &|r| (r.pipeline, r.steps) = ("reference.toml".into(), Vec::new()),
        InvalidArgument,
        &["no scan of delayed", "reference"],
    );
    check(
        &|r| (r.pipeline, r.steps) = ("optional.toml".into(), Vec::new()),
        InvalidArgument,
        &["every step is left out", "delayed"],
    );
    let far = |r: &mut CaseServiceRunRequest| r.scans[1] = scan(Phase::Arterial, "scans/far.nii.gz");
    check(
        &far,
        InvalidInput,
        &["arterial", "portal_venous", "do not overlap", "far.nii.gz"],
    );
    // Steps.
    check(&|r| r.steps = vec!["liver".into()], InvalidArgument, &["liver"]);
    check(
        &|r| r.phases = vec![choice("liver", Phase::Arterial)],
        InvalidArgument,
        &["liver"],
    );
    // What runs.
    check(&|r| r.pipeline = "none.toml".into(), NotFound, &["none.toml"]);
    check(
        &|r| r.pipeline = "scans/text.nii.gz".into(),
        InvalidArgument,
        &["scans/text.nii.gz"],
    );
    let bare = |model: &str| {
        let (model, phase) = (model.to_owned(), None);
        vec![v1::BareModel { model, phase }]
    };
    let models = |r: &mut CaseServiceRunRequest, model: &str| {
        (r.pipeline, r.models, r.steps) = (String::new(), bare(model), Vec::new());
    };
    check(&|r| models(r, KIDNEYS), InvalidArgument, &[KIDNEYS, "phase"]);
    // Where it goes.
    check(
        &|r| r.output = "results/taken".into(),
        AlreadyExists,
        &["results/taken", "exists"],
    );
    check(
        &|r| r.output = "results/none/new".into(),
        NotFound,
        &["results/none"],
    );
    check(
        &|r| r.output = "../new".into(),
        PermissionDenied,
        &["../new: leads out of the configured root"],
    );
    check(
        &|r| r.output = "pipeline.toml/new".into(),
        InvalidInput,
        &["pipeline.toml"],
    );
    assert_eq!(fs::read(patient.path("results/taken/mine")).unwrap(), b"mine");

    // The next case is served, and its folder is whole.
    status(&runtime, &server.url, good("results/next")).unwrap();
    assert_eq!(
        patient.files("next").keys().collect::<Vec<_>>(),
        ["kidneys.nii.gz"]
    );
}

/// The arterial scan, two meters away.
fn far_away(patient: &Patient) {
    let scans = patient.path("scans");
    let file = fs::File::open(scans.join("arterial.nii.gz")).unwrap();
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let mut volume = read_volume(file, "arterial", Reader::SimpleItk, &limits, &cancel)
        .unwrap()
        .volume;
    volume.geometry = moved(&volume.geometry, [2000.0, 0.0, 0.0]);
    write(
        &Dir::open_ambient_dir(scans, ambient_authority()).unwrap(),
        "far.nii.gz",
        &volume,
    );
}

#[test]
fn what_cannot_be_typed_is_refused_before_anything_else() {
    let patient = Patient::new();
    let refused = |arguments: &str, says: &[&str]| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        nephrite(patient.root.path(), &arguments).refused(2, says);
    };
    let scan = "--scan arterial=scans/arterial.nii.gz --output results/new";
    refused(&format!("run {scan}"), &["--pipeline"]);
    refused(
        &format!("run {scan} --pipeline p.toml --model m"),
        &["--pipeline", "--model"],
    );
    refused("run --pipeline pipeline.toml --output results/new", &["--scan"]);
    refused(
        "run --pipeline pipeline.toml --scan scans/a.nii.gz --output o",
        &["NAME=VALUE"],
    );
    refused(
        &format!("run {scan} --pipeline pipeline.toml --profile best"),
        &["full, quick"],
    );
    refused(
        &format!("run {scan} --pipeline pipeline.toml --server http://127.0.0.1:1 --config c.toml"),
        &["--server", "--config"],
    );
    let nobody = format!("run {scan} --pipeline pipeline.toml --server http://127.0.0.1:1");
    let nobody: Vec<&str> = nobody.split(' ').collect();
    nephrite(patient.root.path(), &nobody).refused(6, &["http://127.0.0.1:1"]);
    patient.assert_nothing_left("new");
}

/// A case at a server with many tiles, which has begun.
fn begun(patient: &Patient, server: &Served) -> Child {
    let long = "[[models]]\nid = 'kidneys'\nphases = ['portal_venous']\ntile_step_size = 0.2\n";
    let save = "[[save]]\nstep = 'kidneys'\nfile = 'kidneys.nii.gz'\n";
    fs::write(
        patient.path("long.toml"),
        format!("{long}model = '{KIDNEYS}'\n{save}"),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nephrite"));
    command
        .current_dir(patient.root.path())
        .stderr(Stdio::piped())
        .args([
            "run",
            "--server",
            &server.url,
            "--pipeline",
            "long.toml",
            "--scan",
            "portal_venous=scans/portal_venous.nii.gz",
            "--output",
            "results/long",
        ]);
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.as_mut().unwrap());
    let mut said = String::new();
    while !said.contains("kidneys: segmenting") {
        assert!(
            stderr.read_line(&mut said).unwrap() > 0,
            "the case ended early: {said}"
        );
    }
    child
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Exit code, and how long it took.
fn end(mut child: Child) -> (Option<i32>, Duration) {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    panic!("the command does not end");
}

#[test]
fn a_case_at_a_server_ends_with_its_caller_and_with_the_server() {
    let patient = Patient::new();
    let server = Served::new(&patient, "threads = 1\n");
    // The caller goes: the server stops, cleans up, and serves the next.
    let child = begun(&patient, &server);
    send(child.id(), Signal::INT);
    let (exit, took) = end(child);
    assert_eq!(exit, Some(130));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let began = Instant::now();
    while patient.path("results/long").exists() {
        assert!(began.elapsed() < PATIENCE, "the result folder stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    let runtime = Runtime::new().unwrap();
    status(&runtime, &server.url, good("results/next")).unwrap();

    // The server hangs: that is noticed within half a minute, and no earlier than a pause of its machine may take.
    let child = begun(&patient, &server);
    send(server.pid(), Signal::STOP);
    let (exit, took) = end(child);
    send(server.pid(), Signal::CONT);
    assert_eq!(exit, Some(6));
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(30)).contains(&took),
        "{took:?}"
    );
    status(&runtime, &server.url, good("results/again")).unwrap();

    // The server dies: at once.
    let child = begun(&patient, &server);
    send(server.pid(), Signal::KILL);
    let (exit, took) = end(child);
    assert_eq!(exit, Some(6));
    assert!(took < Duration::from_secs(5), "{took:?}");
}
