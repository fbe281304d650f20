//! What can go wrong while a case runs: a typed error that names the step and the place, nothing left, and the next case
//! runs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use nephrite_image_core::case::{
    CaseError, CaseEvent, CaseEvents, CaseReport, CaseServices, RemoteCoreSettings, ServiceSettings,
    StepPlace, run_case,
};
use nephrite_kernel::LabelStatus;
use nephrite_proto::v1::CaseServiceRunRequest;
use nephrite_proto::v1::case_service_run_response::Event;
use nephrite_types::{CancelToken, Coded, ErrorCode};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::patient::{ARTERIES, KIDNEYS, PATIENCE, Patient, RecordedEvents, operations_at};
use crate::process::Server;

/// One model with many tiles, so that there is time to disturb it.
const LONG: &str = "[[models]]\nid = 'kidneys'\nmodel = \
    'models/Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres'\nphases = ['portal_venous']\n\
    no_mirroring = true\ntile_step_size = 0.25\n[[save]]\nstep = 'kidneys'\nfile = 'kidneys.nii.gz'\n";

fn owner(name: &str, address: &str) -> RemoteCoreSettings {
    RemoteCoreSettings {
        name: name.to_owned(),
        address: address.to_owned(),
        models: vec!["models".into()],
    }
}

/// Does something once, when the first tile is done.
struct AtFirstTile<F: Fn() + Send>(Mutex<Option<F>>);

impl<F: Fn() + Send> CaseEvents for AtFirstTile<F> {
    fn event(&self, event: CaseEvent) {
        if matches!(event, CaseEvent::Tiles { .. })
            && let Some(act) = self.0.lock().unwrap().take()
        {
            act();
        }
    }
}

fn run(
    patient: &Patient,
    cores: Vec<RemoteCoreSettings>,
    output: &str,
    events: &dyn CaseEvents,
) -> Result<CaseReport, CaseError> {
    let core = patient.core();
    let settings = ServiceSettings {
        cores,
        ..ServiceSettings::default()
    };
    let services = CaseServices::new(&settings, core.root());
    let mut request = patient.request(output);
    request.pipeline = patient.pipeline("long.toml", LONG);
    run_case(&core, &services, &request, events, &CancelToken::new())
}

fn assert_gone(patient: &Patient, outcome: Result<CaseReport, CaseError>, core: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    let text = error.to_string();
    assert!(text.contains("kidneys") && text.contains(core), "{text}");
    patient.assert_nothing_left("gone");
}

/// The core that ran the first step.
fn name_of_core(report: &CaseReport) -> &str {
    match &report.record.steps[0].place {
        Some(StepPlace::Core { name, .. }) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_core_that_is_not_there_fails_its_step_and_a_second_one_takes_over() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let nobody = owner("nobody", "http://127.0.0.1:9");
    let started = Instant::now();
    assert_gone(
        &patient,
        run(&patient, vec![nobody.clone()], "gone", &RecordedEvents::default()),
        "nobody",
    );
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    let server = Server::start(patient.root.path(), "spare", "listen = '127.0.0.1:0'", &runtime);
    let cores = vec![nobody, owner("spare", &server.address)];
    let report = run(&patient, cores, "taken-over", &RecordedEvents::default()).unwrap();
    assert_eq!(name_of_core(&report), "spare");
}

#[test]
fn a_core_that_dies_in_the_middle_fails_its_step_and_serves_again_when_it_is_back() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let root = patient.root.path();
    let server = Server::start(root, "kidney", "listen = '127.0.0.1:0'", &runtime);
    let cores = vec![owner("kidney", &server.address)];
    let port = server.port().to_owned();
    let started = Instant::now();
    {
        let kill = AtFirstTile(Mutex::new(Some(|| server.signal(Signal::KILL))));
        assert_gone(&patient, run(&patient, cores.clone(), "gone", &kill), "kidney");
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{:?}",
            started.elapsed()
        );
    }
    drop(server);
    let _server = Server::start(root, "kidney", &format!("listen = '127.0.0.1:{port}'"), &runtime);
    run(&patient, cores, "again", &RecordedEvents::default()).unwrap();
    assert_eq!(patient.files("again").len(), 1);
}

#[test]
fn a_core_that_hangs_is_noticed_and_another_one_takes_over() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let root = patient.root.path();
    let hanging = Server::start(root, "kidney", "listen = '127.0.0.1:0'", &runtime);
    let spare = Server::start(root, "spare", "listen = '127.0.0.1:0'", &runtime);
    let cores = vec![owner("kidney", &hanging.address), owner("spare", &spare.address)];
    let started = Instant::now();
    let stop = AtFirstTile(Mutex::new(Some(|| hanging.signal(Signal::STOP))));
    let report = run(&patient, cores, "taken-over", &stop).unwrap();
    assert_eq!(name_of_core(&report), "spare");
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[test]
fn a_mask_service_that_is_not_there_fails_its_step() {
    let patient = Patient::new();
    let core = patient.core();
    let mut operations = operations_at("127.0.0.1:9".parse().unwrap());
    operations.timeout = Duration::from_secs(2);
    operations.endpoints.retain(|name, _| name == "cleanup");
    let settings = ServiceSettings {
        operations,
        ..ServiceSettings::default()
    };
    let services = CaseServices::new(&settings, core.root());
    let request = patient.request("gone");
    let error = run_case(
        &core,
        &services,
        &request,
        &RecordedEvents::default(),
        &CancelToken::new(),
    )
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    assert!(error.to_string().contains("http://127.0.0.1:9"), "{error}");
    patient.assert_nothing_left("gone");
    patient.run_here(&core, &patient.request("next")).unwrap();
}

#[test]
fn a_caller_that_goes_away_stops_its_case_and_the_next_one_is_served() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let server = Server::start(patient.root.path(), "core", "listen = '127.0.0.1:0'", &runtime);
    patient.pipeline("long.toml", LONG);
    let request = |output: &str| {
        let mut request = patient.request(output);
        request.pipeline = nephrite_image_core::case::CasePipeline::File("long.toml".into());
        CaseServiceRunRequest::from(&request)
    };
    runtime.block_on(async {
        let client = nephrite_proto::Client::connect(&server.address).await.unwrap();
        let mut events = client.run_case(request("gone")).await.unwrap();
        loop {
            match events.next().await.unwrap().expect("it runs") {
                Event::Progress(progress) if progress.tiles_done > 0 => break,
                _ => {}
            }
        }
        let results = std::fs::read_dir(patient.path("results")).unwrap();
        assert!(results.count() > 0, "it has begun, under a hidden name");
        drop(events);
        let mut next = client.run_case(request("next")).await.unwrap();
        let mut done = None;
        while let Some(event) = next.next().await.unwrap() {
            if let Event::Done(report) = event {
                done = Some(report);
            }
        }
        assert_eq!(done.unwrap().masks.len(), 1);
    });
    patient.assert_nothing_left("gone");
}

#[test]
fn a_server_beside_a_process_that_sees_another_volume_does_not_start() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Server::start(elsewhere.path(), "kidney", "listen = '127.0.0.1:0'", &runtime);
    let config = patient.path("nephrite.toml");
    let text = format!(
        "listen = '127.0.0.1:0'\nroot = '.'\nexchange = 'exchange'\n[[cores]]\nname = 'kidney'\naddress = '{}'\n\
         models = ['models']\n",
        other.address
    );
    std::fs::write(&config, text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_nephrite"))
        .args(["serve", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(
        said.contains("kidney") && said.contains("shared volume") && said.contains("same path"),
        "{said}"
    );
    patient.assert_nothing_left("none");
}

#[test]
fn a_crop_of_nothing_is_an_error_or_leaves_an_optional_step_out() {
    let patient = Patient::new();
    let core = patient.core();
    let text = |optional: bool| {
        format!(
            "[[models]]\nid = 'ureters'\nmodel = \
             'models/Dataset903_DemoUreter/nnUNetTrainer__nnUNetPlans__3d_fullres'\nphases = ['arterial']\n\
             no_mirroring = true\n[[masks]]\nid = 'none'\noperation = 'cleanup'\ninputs = {{ mask = 'ureters' }}\n\
             parameters = {{ min_volume_mm3 = 1e9 }}\n[[models]]\nid = 'arteries'\nmodel = '{ARTERIES}'\n\
             phases = ['arterial']\noptional = {optional}\nno_mirroring = true\n\
             crop = {{ step = 'none', labels = ['ureter'] }}\n[[masks]]\nid = 'all'\noperation = 'merge'\n\
             inputs = {{ masks = ['ureters', 'arteries'] }}\n[[save]]\nstep = 'all'\nfile = 'all.nii.gz'\n\
             [[save]]\nstep = 'arteries'\nfile = 'arteries.nii.gz'\n"
        )
    };
    let mut request = patient.request("gone");
    request.pipeline = patient.pipeline("crop.toml", &text(false));
    let error = patient.run_here(&core, &request).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput, "{error}");
    assert!(
        error.to_string().contains("step arteries") && error.to_string().contains("ureter"),
        "{error}"
    );
    patient.assert_nothing_left("gone");

    request.output = "results/without".into();
    request.pipeline = patient.pipeline("crop.toml", &text(true));
    let record = patient.run_here(&core, &request).unwrap().record;
    let skipped: Vec<_> = record
        .steps
        .iter()
        .filter(|step| step.left_out().is_some())
        .collect();
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].id, "arteries");
    assert_eq!(
        patient.files("without").keys().collect::<Vec<_>>(),
        ["all.nii.gz"]
    );
    let aorta = record.masks[0]
        .labels
        .iter()
        .find(|label| label.name == "aorta")
        .unwrap();
    assert_eq!(aorta.status, LabelStatus::NotSearched);
}

#[test]
fn phases_are_missing_optional_or_overridden() {
    use nephrite_image_core::case::PhaseChoice;
    use nephrite_types::Phase;
    let patient = Patient::new();
    let core = patient.core();
    let only = |phases: &[Phase], output: &str| {
        let mut request = patient.request(output);
        request.scans.retain(|(phase, _)| phases.contains(phase));
        request
    };
    // arteries need an arterial scan
    let error = patient
        .run_here(&core, &only(&[Phase::PortalVenous], "gone"))
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    assert!(
        error.to_string().contains("arteries") && error.to_string().contains("arterial"),
        "{error}"
    );
    // ureters are optional
    let record = patient
        .run_here(&core, &only(&[Phase::PortalVenous, Phase::Arterial], "two"))
        .unwrap()
        .record;
    let ureters = record.steps.iter().find(|step| step.id == "ureters").unwrap();
    assert_eq!(ureters.left_out(), Some("no scan of delayed"));
    let abdomen = &record.masks[0].labels;
    let ureter = abdomen.iter().find(|label| label.name == "ureter").unwrap();
    assert_eq!(ureter.status, LabelStatus::NotSearched);

    let mut request = only(&[Phase::PortalVenous, Phase::Arterial], "gone");
    let mut choice = PhaseChoice {
        step: "ureters".into(),
        phase: Phase::Arterial,
        override_accepted: false,
    };
    request.phases = vec![choice.clone()];
    let error = patient.run_here(&core, &request).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    choice.override_accepted = true;
    request.phases = vec![choice];
    request.output = "results/overridden".into();
    let record = patient.run_here(&core, &request).unwrap().record;
    assert_eq!(record.overrides.len(), 1);
    assert_eq!(
        (
            record.overrides[0].step.as_str(),
            record.overrides[0].phase.name()
        ),
        ("ureters", "arterial")
    );
    patient.assert_nothing_left("gone");
    assert!(patient.path(KIDNEYS).exists());
}

/// A phase on another grid, turned and shifted: its mask comes to the same place of the reference.
#[test]
fn phases_on_other_grids_come_together_by_world_coordinates() {
    use nephrite_types::{Phase, Volume};
    use nephrite_volume::{Reader, read_volume};

    use crate::patient::{moved, write};
    let patient = Patient::new();
    let scans =
        cap_std::fs::Dir::open_ambient_dir(patient.path("scans"), cap_std::ambient_authority()).unwrap();
    let file = std::fs::File::open(patient.path("scans/arterial.nii.gz")).unwrap();
    let limits = nephrite_types::Limits::default();
    let scan = read_volume(file, "a", Reader::SimpleItk, &limits, &CancelToken::new())
        .unwrap()
        .volume;
    // the same voxels without the first 8 planes, 6 rows and 5 columns
    let bounds = nephrite_types::BoundingBox {
        start: [8, 6, 5],
        end: scan.voxels.shape(),
    };
    write(&scans, "part.nii.gz", &scan.crop(&bounds).unwrap());
    let text = format!(
        "reference = 'portal_venous'\n[[models]]\nid = 'arteries'\nmodel = '{ARTERIES}'\nphases = ['arterial']\n\
         no_mirroring = true\n[[save]]\nstep = 'arteries'\nfile = 'arteries.nii.gz'\n"
    );
    let core = patient.core();
    let mut request = patient.request("part");
    request.pipeline = patient.pipeline("arteries.toml", &text);
    request.scans = vec![
        (Phase::PortalVenous, "scans/portal_venous.nii.gz".into()),
        (Phase::Arterial, "scans/part.nii.gz".into()),
    ];
    let record = patient.run_here(&core, &request).unwrap().record;
    assert_eq!(record.counters.mask_resamples, 1);
    let read = |path: &str| {
        let file = std::fs::File::open(patient.path(path)).unwrap();
        read_volume(file, path, Reader::SimpleItk, &limits, &CancelToken::new())
            .unwrap()
            .volume
    };
    let mask = read("results/part/arteries.nii.gz");
    assert_eq!(mask.geometry, read("scans/portal_venous.nii.gz").geometry);
    // the aorta's middle lies where the whole scan has it
    request.scans[1].1 = "scans/arterial.nii.gz".into();
    request.output = "results/whole".into();
    patient.run_here(&core, &request).unwrap();
    let whole = read("results/whole/arteries.nii.gz");
    let dice = dice(&mask.to_intensities(), &whole.to_intensities());
    assert!(
        dice > 0.9,
        "Dice {dice} of the aorta in the part and in the whole"
    );

    let far = Volume {
        geometry: moved(&scan.geometry, [0.0, 0.0, 5000.0]),
        ..scan
    };
    write(&scans, "far.nii.gz", &far);
    request.scans[1].1 = "scans/far.nii.gz".into();
    request.output = "results/gone".into();
    let error = patient.run_here(&core, &request).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput, "{error}");
    assert!(error.to_string().contains("do not overlap"), "{error}");
    patient.assert_nothing_left("gone");
}

fn dice(a: &ndarray::Array3<f32>, b: &ndarray::Array3<f32>) -> f64 {
    let is = |v: &f32| *v == 1.0; // the aorta, below the first planes too
    let both = a.iter().zip(b).filter(|(a, b)| is(a) && is(b)).count();
    let sum = a.iter().filter(|v| is(v)).count() + b.iter().filter(|v| is(v)).count();
    2.0 * both as f64 / sum as f64
}
