//! A case whose caller waits is a job where there are jobs: the same request gives the same answers.

use std::time::{Duration, Instant};

use nephrite_proto::v1::case_service_run_response::Event;
use nephrite_proto::v1::{self, CaseDone, CaseServiceRunRequest, JobState, ListJobsRequest};
use nephrite_proto::{Client, RemoteError};
use nephrite_types::ErrorCode;
use rustix::process::Signal;
use tonic::Request;

use crate::patient::PATIENCE;
use crate::place::{Engine, Place, Process, short_case, whole_case};

fn direct(place: &Place) -> Process {
    let config = place.patient.path("direct.toml");
    std::fs::write(
        &config,
        "root = '.'\nthreads = 1\nlisten = '127.0.0.1:0'\nexchange = 'exchange'\n",
    )
    .unwrap();
    Process::start("serve", &config, &[])
}

fn run(
    place: &Place,
    server: &Process,
    request: CaseServiceRunRequest,
) -> Result<(Vec<Event>, CaseDone), RemoteError> {
    place.runtime.block_on(async {
        let client = Client::connect(&server.address).await?;
        let mut events = client.run_case(request).await?;
        let mut all = Vec::new();
        while let Some(event) = events.next().await? {
            if let Event::Done(done) = event {
                return Ok((all, done));
            }
            all.push(event);
        }
        panic!("it ended without a result");
    })
}

/// Of what steps tell: who, and what.
fn steps(events: &[Event]) -> Vec<String> {
    let mut told: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Progress(step) if step.stage.is_none() => {
                Some(format!("{} {:?}", step.step, step.state()))
            }
            Event::Mask(mask) => Some(format!("{} in {}", mask.step, mask.file)),
            _ => None,
        })
        .collect();
    told.sort();
    told
}

#[test]
fn a_case_run_as_a_job_gives_the_same_bytes_and_events() {
    for engine in [Engine::Sqlite, Engine::Nats] {
        let Some(place) = Place::new(engine) else { continue };
        let plain = direct(&place);
        let (expected_events, expected) = run(&place, &plain, whole_case(&place.patient, "direct")).unwrap();
        drop(plain);
        let server = place.server();
        let _worker = (engine == Engine::Nats).then(|| place.worker("worker", &[]));
        let (events, done) = run(&place, &server, whole_case(&place.patient, "job")).unwrap();
        assert_eq!(place.files("job"), place.files("direct"));
        assert!(matches!(&events[0], Event::Accepted(accepted) if accepted.position == 0));
        assert_eq!(steps(&events), steps(&expected_events));
        assert_eq!((done.masks, done.skipped), (expected.masks, expected.skipped));
        assert_eq!(done.output, "results/job");
        assert_eq!(done.files.len(), expected.files.len());
        assert_eq!(done.files.last().unwrap().path, "record.json");
        let record = std::fs::read_to_string(place.patient.path("results/job/record.json")).unwrap();
        assert_eq!(done.record, record);
    }
}

#[test]
fn a_caller_that_goes_away_cancels_its_job_and_refusals_are_the_same() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let server = place.server();
    let client = place.client(&server);
    let jobs = || {
        place
            .runtime
            .block_on(client.list_jobs(ListJobsRequest::default()))
            .unwrap()
            .jobs
    };
    // It goes away when the first tile is done.
    place.runtime.block_on(async {
        let mut events = client.run_case(whole_case(&place.patient, "gone")).await.unwrap();
        while let Some(event) = events.next().await.unwrap() {
            if matches!(&event, Event::Progress(step) if step.tiles_done > 0) {
                break;
            }
        }
    });
    let began = Instant::now();
    while jobs()[0].state() != JobState::Cancelled {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", jobs()[0]);
        std::thread::sleep(Duration::from_millis(20));
    }
    place.patient.assert_nothing_left("gone");
    let plain = direct(&place);
    std::fs::create_dir(place.patient.path("results/there")).unwrap();
    let bad: [CaseServiceRunRequest; 4] = [
        short_case("there"),
        CaseServiceRunRequest {
            pipeline: "none.toml".into(),
            ..short_case("a")
        },
        CaseServiceRunRequest {
            scans: vec![v1::PhaseScan {
                phase: v1::Phase::Arterial.into(),
                path: "scans/arterial.nii.gz".into(),
            }],
            ..short_case("a")
        },
        CaseServiceRunRequest {
            output: "nowhere/a".into(),
            ..short_case("a")
        },
    ];
    for request in bad {
        let [as_job, as_call] =
            [&server, &plain].map(|server| run(&place, server, request.clone()).unwrap_err());
        assert_eq!((as_job.code, as_job.message), (as_call.code, as_call.message));
    }
    // A deadline.
    let late = place.runtime.block_on(async {
        let mut request = Request::new(whole_case(&place.patient, "late"));
        request.set_timeout(Duration::from_millis(400));
        let mut events = client.run_case(request).await?;
        while events.next().await?.is_some() {}
        Ok::<_, RemoteError>(())
    });
    assert_eq!(late.unwrap_err().code, ErrorCode::DeadlineExceeded);
    let began = Instant::now();
    while place.patient.path("results/late").exists() || !place.hidden().is_empty() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A caller that waits for its case is not left with half of one by a server that dies: it asks again under the same name.
#[test]
fn a_case_of_a_server_that_died_can_be_asked_for_again() {
    for engine in [Engine::Sqlite, Engine::Nats] {
        let Some(place) = Place::new(engine) else { continue };
        let server = place.server();
        let _worker = (engine == Engine::Nats).then(|| place.worker("worker", &[]));
        let client = place.client(&server);
        place.runtime.block_on(async {
            let mut events = client
                .run_case(whole_case(&place.patient, "again"))
                .await
                .unwrap();
            while let Some(event) = events.next().await.unwrap() {
                if matches!(&event, Event::Progress(step) if step.tiles_done > 0) {
                    break;
                }
            }
            server.signal(Signal::KILL);
        });
        server.kill();
        let server = place.server();
        let (_, done) = run(&place, &server, whole_case(&place.patient, "again")).unwrap();
        assert_eq!(done.output, "results/again");
        assert_eq!(place.files("again").len() + 1, done.files.len());
    }
}
