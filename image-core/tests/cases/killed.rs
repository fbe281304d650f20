//! What a crash leaves behind: nothing that stands in the way, and nothing that stays.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use nephrite_image_core::case::{CaseRequest, CaseServices, ServiceSettings, run_case};
use nephrite_proto::v1::case_service_run_response::Event;
use nephrite_proto::v1::{CaseServiceRunRequest, RunRequest, SegmentationOptions, Stage};
use nephrite_types::{CancelToken, Coded, ErrorCode, HiddenName};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::patient::{AtStage, KIDNEYS, PATIENCE, Patient, RecordedEvents};
use crate::process::Server;

/// One model with many tiles, and files of a step.
const LONG: &str = "[[models]]\nid = 'kidneys'\nmodel = \
    'models/Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres'\nphases = ['portal_venous']\n\
    no_mirroring = true\ntile_step_size = 0.7\n[[masks]]\nid = 'numbers'\noperation = 'sample'\n\
    inputs = { mask = 'kidneys' }\nartefacts = true\n[[samples]]\nid = 'look'\nstep = 'kidneys'\n\
    labels = ['kidney']\n[[save]]\nstep = 'kidneys'\nfile = 'kidneys.nii.gz'\n";

/// Everything beneath a folder that nephrite made for itself, or that looks like it.
fn hidden(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with(".nephrite") || name.contains("partial") {
            found.push(entry.path());
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(hidden(&entry.path()));
        }
    }
    found
}

fn request(patient: &Patient, output: &str) -> CaseRequest {
    let mut request = patient.request(output);
    request.pipeline = patient.pipeline("long.toml", LONG);
    request.scans.retain(|(phase, _)| phase.name() == "portal_venous");
    request
}

/// When a server is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Accepted,
    Loading,
    MidTile,
    Exporting,
    /// A mask is there, and files of other steps are written.
    Writing,
}

fn is_time(event: &Event, at: At) -> bool {
    match event {
        Event::Accepted(_) => at == At::Accepted,
        Event::Progress(progress) => match at {
            At::Loading => progress.stage == Some(Stage::LoadModel.into()),
            At::MidTile => progress.tiles_done > 0 && progress.tiles_done < progress.tiles_total,
            At::Exporting => progress.tiles_done > 0 && progress.tiles_done == progress.tiles_total,
            _ => false,
        },
        Event::Mask(_) => at == At::Writing,
        Event::Warning(_) => false,
        Event::Done(_) => panic!("it was done before it could be killed at {at:?}"),
    }
}

#[test]
fn a_case_at_a_server_that_is_killed_can_be_sent_again_under_the_same_name() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let root = patient.root.path();
    let text = "listen = '127.0.0.1:0'\nexchange = 'exchange'\n";
    let message = CaseServiceRunRequest::from(&request(&patient, "again"));
    for at in [At::Accepted, At::Loading, At::MidTile, At::Exporting, At::Writing] {
        let server = Server::start(root, "core", text, &runtime);
        runtime.block_on(async {
            let client = nephrite_proto::Client::connect(&server.address).await.unwrap();
            let mut events = client.run_case(message.clone()).await.unwrap();
            while !is_time(&events.next().await.unwrap().unwrap(), at) {}
            server.signal(Signal::KILL);
            while let Ok(Some(_)) = events.next().await {}
        });
        drop(server);
        let killed = patient.path("results/again");
        assert!(!killed.exists(), "{at:?}: a result that is none");

        let server = Server::start(root, "core", text, &runtime);
        assert_eq!(hidden(root), Vec::<PathBuf>::new(), "{at:?}: swept at the start");
        runtime.block_on(async {
            let client = nephrite_proto::Client::connect(&server.address).await.unwrap();
            let mut events = client.run_case(message.clone()).await.unwrap();
            while let Some(event) = events
                .next()
                .await
                .unwrap_or_else(|error| panic!("{at:?}: {error}"))
            {
                if let Event::Done(done) = event {
                    assert!(done.files.iter().any(|file| file.path.ends_with("record.json")));
                }
            }
        });
        assert!(killed.join("record.json").exists(), "{at:?}");
        assert!(killed.join("kidneys.nii.gz").exists(), "{at:?}");
        assert_eq!(hidden(root), Vec::<PathBuf>::new(), "{at:?}");
        fs::remove_dir_all(&killed).unwrap();
    }
}

#[test]
fn a_run_at_a_server_that_is_killed_leaves_nothing_that_the_next_one_does_not_sweep() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let root = patient.root.path();
    let text = "listen = '127.0.0.1:0'\n";
    let message = RunRequest {
        model: KIDNEYS.to_owned(),
        input: vec!["scans/portal_venous.nii.gz".to_owned()],
        output: "results/mask.nii.gz".to_owned(),
        save_probabilities: "results/mask.npz".to_owned(),
        options: Some(SegmentationOptions {
            mirroring: Some(false),
            tile_step_size: Some(0.8),
            ..Default::default()
        }),
        ..Default::default()
    };
    use nephrite_proto::Event as RunEvent;
    type Time = fn(&RunEvent) -> bool;
    let times: [(&str, Time); 5] = [
        ("accepted", |event| matches!(event, RunEvent::Accepted(_))),
        ("loading", |event| matches!(event, RunEvent::Loading(_))),
        ("mid-tile", |event| matches!(event, RunEvent::Progress(_))),
        ("exporting", |event| matches!(event, RunEvent::Exporting(_))),
        (
            "writing",
            |event| matches!(event, RunEvent::Exporting(exporting) if exporting.stage == i32::from(Stage::Write)),
        ),
    ];
    for (name, is_time) in times {
        let server = Server::start(root, "core", text, &runtime);
        runtime.block_on(async {
            let client = nephrite_proto::Client::connect(&server.address).await.unwrap();
            let mut events = client.run(message.clone()).await.unwrap();
            while !is_time(&events.next().await.unwrap().unwrap()) {}
            if name == "writing" {
                // until something is on its way to the disk
                let started = Instant::now();
                while fs::read_dir(root.join("results")).unwrap().count() == 0 {
                    assert!(started.elapsed() < PATIENCE);
                }
            }
            server.signal(Signal::KILL);
            while let Ok(Some(_)) = events.next().await {}
        });
        drop(server);
        for file in ["mask.nii.gz", "mask.npz"] {
            let _ = fs::remove_file(patient.path("results").join(file)); // whole, if it was that far
        }
        let server = Server::start(root, "core", text, &runtime);
        runtime.block_on(async {
            let client = nephrite_proto::Client::connect(&server.address).await.unwrap();
            client.run(message.clone()).await.unwrap().done().await.unwrap();
        });
        let mut names: Vec<_> = fs::read_dir(root.join("results"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["mask.nii.gz", "mask.npz"], "{name}");
        for file in names {
            fs::remove_file(patient.path("results").join(file)).unwrap();
        }
    }
}

fn command(patient: &Patient, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nephrite"));
    command.args(arguments).current_dir(patient.root.path());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn kill(mut child: Child) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    let _ = kill_process(pid, Signal::KILL); // it may have ended
    child.wait().unwrap();
}

/// The command line tells no stage, so it is killed at times all over its run.
#[test]
fn a_command_that_is_killed_at_any_time_can_be_given_again() {
    let patient = Patient::new();
    patient.pipeline("long.toml", LONG);
    let scan = "portal_venous=scans/portal_venous.nii.gz";
    let run = [
        "run",
        "--pipeline",
        "long.toml",
        "--scan",
        scan,
        "--output",
        "results/case",
    ];
    let segment = [
        "segment",
        "--model",
        KIDNEYS,
        "--no-mirroring",
        "--tile-step-size",
        "0.8",
        "--input",
        "scans/portal_venous.nii.gz",
        "--output",
        "results/mask.nii.gz",
        "--save-probabilities",
        "results/mask.npz",
    ];
    let clear = || {
        for path in ["results/case", "results/mask.nii.gz", "results/mask.npz"] {
            let path = patient.path(path);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
    };
    for arguments in [&run[..], &segment[..]] {
        let started = Instant::now();
        let output = command(&patient, arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let whole = started.elapsed();
        clear();
        for sixth in 0..6 {
            let child = command(&patient, arguments).spawn().unwrap();
            std::thread::sleep(whole * sixth / 6);
            kill(child);
            let case = patient.path("results/case");
            assert!(
                !case.exists() || case.join("record.json").exists(),
                "a result that is none"
            );
            clear();
            let output = command(&patient, arguments).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?} {sixth}: {said}");
            assert_eq!(hidden(&patient.path("results")), Vec::<PathBuf>::new(), "{sixth}");
            clear();
        }
    }
}

/// Waits until a case has begun: something hidden is in the folder of its result.
fn begun(patient: &Patient) -> PathBuf {
    let started = Instant::now();
    loop {
        let found = hidden(&patient.path("results"));
        if let Some(folder) = found.into_iter().find(|path| path.is_dir()) {
            return folder;
        }
        assert!(started.elapsed() < PATIENCE, "the case does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_second_case_of_the_same_name_is_told_at_once_and_the_first_one_is_kept() {
    let patient = Patient::new();
    let case = request(&patient, "same");
    let core = patient.core();
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    let second = std::sync::Mutex::new(None);
    let at_first_stage = AtStage::new(nephrite_types::Stage::Preprocess, || {
        let started = Instant::now();
        let error = patient.run_here(&core, &case).unwrap_err();
        *second.lock().unwrap() = Some((error, started.elapsed()));
    });
    run_case(&core, &services, &case, &at_first_stage, &CancelToken::new()).unwrap();
    let (error, elapsed) = second.into_inner().unwrap().unwrap();
    assert_eq!(error.code(), ErrorCode::AlreadyExists, "{error}");
    assert!(error.to_string().contains("results/same"), "{error}");
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    assert!(patient.files("same").contains_key("kidneys.nii.gz"));
    assert_eq!(
        patient.run_here(&core, &case).unwrap_err().code(),
        ErrorCode::AlreadyExists
    );
    assert_eq!(hidden(patient.root.path()), Vec::<PathBuf>::new());
}

#[test]
fn of_many_cases_of_one_name_at_once_exactly_one_wins() {
    let patient = Patient::new();
    let case = request(&patient, "same");
    let cores: Vec<_> = (0..4).map(|_| patient.core()).collect();
    let barrier = Barrier::new(cores.len());
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let run = |core| {
            barrier.wait();
            patient.run_here(core, &case)
        };
        let threads: Vec<_> = cores.iter().map(|core| scope.spawn(move || run(core))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(won, 1, "{outcomes:?}");
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(error.code(), ErrorCode::AlreadyExists, "{error}");
    }
    assert!(patient.path("results/same/record.json").exists());
    assert_eq!(hidden(patient.root.path()), Vec::<PathBuf>::new());
}

/// A result that appears meanwhile, from whoever, is neither replaced nor removed.
#[test]
fn a_result_that_appears_while_a_case_runs_is_kept() {
    let patient = Patient::new();
    let core = patient.core();
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    for content in [Some("theirs"), None] {
        let case = request(&patient, "taken");
        let taken = patient.path("results/taken");
        let appear = AtStage::new(nephrite_types::Stage::Preprocess, || {
            fs::create_dir(&taken).unwrap();
            if let Some(content) = content {
                fs::write(taken.join("theirs.txt"), content).unwrap();
            }
        });
        let error = run_case(&core, &services, &case, &appear, &CancelToken::new()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::AlreadyExists, "{error}");
        assert_eq!(fs::read_dir(&taken).unwrap().count(), content.iter().count());
        assert_eq!(hidden(patient.root.path()), Vec::<PathBuf>::new());
        fs::remove_dir_all(&taken).unwrap();
    }
}

/// What somebody else has put where a failed case had its files is not the case's to remove.
#[test]
fn a_case_that_fails_removes_only_what_it_made() {
    let patient = Patient::new();
    let core = patient.core();
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    let case = request(&patient, "failed");
    let cancel = CancelToken::new();
    let own = std::sync::Mutex::new(PathBuf::new());
    let swap = AtStage::new(nephrite_types::Stage::Preprocess, || {
        let results = patient.path("results");
        let folder = fs::read_dir(&results)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.is_dir())
            .unwrap();
        fs::rename(&folder, results.join("moved-away")).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("theirs.txt"), "theirs").unwrap();
        *own.lock().unwrap() = folder;
        cancel.cancel();
    });
    let error = run_case(&core, &services, &case, &swap, &cancel).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled, "{error}");
    let theirs = own.into_inner().unwrap().join("theirs.txt");
    assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs");
}

/// While a case runs its files have hidden names; another process that starts leaves them alone, since it lives.
#[test]
fn a_server_that_starts_leaves_what_a_living_case_makes() {
    let patient = Patient::new();
    patient.pipeline("long.toml", LONG);
    let runtime = Runtime::new().unwrap();
    let arguments = [
        "run",
        "--pipeline",
        "long.toml",
        "--scan",
        "portal_venous=scans/portal_venous.nii.gz",
        "--output",
        "results/alive",
    ];
    let child = command(&patient, &arguments).spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    let folder = begun(&patient);
    kill_process(pid, Signal::STOP).unwrap();
    // somebody's own things that only look like ours
    let not_ours = [
        "results/.nephrite-1-0.partial",
        "results/.nephrite-notes",
        "results/x.partial",
    ];
    for path in not_ours {
        fs::write(patient.path(path), "mine").unwrap();
    }
    let precious = patient.path("scans/precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "precious").unwrap();
    let link = patient.path("results/.nephrite-0123456789abcdef.work");
    std::os::unix::fs::symlink(&precious, &link).unwrap();
    let file_link = patient.path("results/.nephrite-0123456789abcdee.partial");
    std::os::unix::fs::symlink(precious.join("file"), &file_link).unwrap();
    // and what a dead process left
    let dead = patient.path("results/.nephrite-00000000000000aa.work");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("kidneys.nii.gz"), "half").unwrap();
    std::os::unix::fs::symlink(&precious, dead.join("link")).unwrap();
    let partial = patient.path("scans/.nephrite-00000000000000ab.partial");
    fs::write(&partial, "half").unwrap();
    assert!(HiddenName::parse(".nephrite-00000000000000ab.partial").is_some());

    let server = Server::start(patient.root.path(), "core", "listen = '127.0.0.1:0'\n", &runtime);
    drop(server);
    assert!(folder.exists(), "its owner lives");
    for path in not_ours {
        assert!(patient.path(path).exists(), "{path}");
    }
    assert!(link.symlink_metadata().is_ok() && file_link.symlink_metadata().is_ok());
    assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "precious");
    assert!(!dead.exists() && !partial.exists(), "their owners are dead");
    kill_process(pid, Signal::CONT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(patient.path("results/alive/record.json").exists());
}

#[test]
fn a_second_sigterm_ends_the_server_at_once_and_the_next_one_sweeps() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let root = patient.root.path();
    let message = CaseServiceRunRequest::from(&request(&patient, "twice"));
    let config = root.join("core.toml");
    fs::write(&config, "root = '.'\nthreads = 1\nlisten = '127.0.0.1:0'\n").unwrap();
    for _ in 0..3 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nephrite"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        // the caller stays, or the case would end with it
        let _events = runtime.block_on(async {
            let client = nephrite_proto::Client::connect(&address).await.unwrap();
            let mut events = loop {
                match client.run_case(message.clone()).await {
                    Ok(events) => break events,
                    Err(error) => assert_eq!(error.code, ErrorCode::Unavailable, "{error}"),
                }
            };
            while !is_time(&events.next().await.unwrap().unwrap(), At::MidTile) {}
            events
        });
        // the first one begins the drain; the system may make one signal of two that come at once
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            kill_process(pid, Signal::TERM).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            assert!(asked.elapsed() < Duration::from_secs(20), "it drains");
        };
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(130), "{status:?} {said}");
    }
    let _server = Server::start(root, "core", "listen = '127.0.0.1:0'\n", &runtime);
    assert_eq!(hidden(root), Vec::<PathBuf>::new());
    assert!(!patient.path("results/twice").exists());
}

/// Needs the right to mount; in a container it may not be there.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_turns_read_only_in_mid_case_leaves_nothing_once_it_can_be_written() {
    let patient = Patient::new();
    let results = patient.path("results");
    let mount = |arguments: &[&str]| {
        let run = Command::new("mount").args(arguments).arg(&results).output();
        run.is_ok_and(|output| output.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=64m", "tmpfs"]) {
        eprintln!("skipped: no right to mount a file system");
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(&results);
    let core = patient.core();
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    let case = request(&patient, "readonly");
    let turn = AtStage::new(nephrite_types::Stage::Preprocess, || {
        assert!(mount(&["-o", "remount,ro"]));
    });
    let error = run_case(&core, &services, &case, &turn, &CancelToken::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Environment, "{error}");
    assert!(error.to_string().to_lowercase().contains("read-only"), "{error}");
    assert!(!results.join("readonly").exists());
    // while it is read-only, a case is refused before it computes
    let started = Instant::now();
    let error = patient.run_here(&core, &case).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Environment, "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(mount(&["-o", "remount,rw"]));
    run_case(
        &core,
        &services,
        &case,
        &RecordedEvents::default(),
        &CancelToken::new(),
    )
    .unwrap();
    assert_eq!(hidden(&results), Vec::<PathBuf>::new());
    assert!(results.join("readonly/record.json").exists());
}
