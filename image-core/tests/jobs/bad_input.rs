//! What no request may say is refused by name, at once.

use nephrite_proto::v1::{
    CancelRequest, FindOrphansRequest, GetJobRequest, ListJobsRequest, PurgeRequest, RetryRequest,
    SubmitRequest, WatchRequest,
};
use nephrite_proto::{Client, RemoteError};
use nephrite_types::ErrorCode;

use crate::place::{Engine, Place, short_case, submission};

#[test]
fn bad_requests_are_refused_by_name() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let place = Place {
        jobs: format!("{}tenants = ['urology', 'surgery']\n", place.jobs),
        ..place
    };
    let server = place.server_without_worker();
    let client = place.client(&server);
    let refused = |request: SubmitRequest| place.runtime.block_on(client.submit(request)).unwrap_err();
    let good = || SubmitRequest {
        tenant: "urology".into(),
        ..submission("a", short_case("a"))
    };
    let with = |change: &dyn Fn(&mut SubmitRequest)| {
        let mut request = good();
        change(&mut request);
        request
    };
    let check = |error: RemoteError, code: ErrorCode, word: &str| {
        assert_eq!(error.code, code, "{}", error.message);
        assert!(error.message.contains(word), "{word}: {}", error.message);
    };
    let wrong = ErrorCode::InvalidArgument;
    check(
        refused(with(&|request| request.request = None)),
        wrong,
        "request is missing",
    );
    check(
        refused(with(&|request| request.key = "k".repeat(257))),
        wrong,
        "key has 257 bytes",
    );
    check(
        refused(with(&|request| request.tenant = "x".into())),
        wrong,
        "known are urology, surgery",
    );
    check(
        refused(with(&|request| request.capability = "cuda".into())),
        wrong,
        "capability is \"cuda\", known are cpu",
    );
    check(
        refused(with(&|request| request.deadline_seconds = Some(-1.0))),
        wrong,
        "deadline_seconds is -1",
    );
    check(
        refused(with(&|request| request.deadline_seconds = Some(f64::NAN))),
        wrong,
        "deadline_seconds is NaN",
    );
    check(
        refused(with(&|request| request.max_attempts = Some(0))),
        wrong,
        "max_attempts is 0",
    );
    check(
        refused(with(&|request| request.priority = Some(9))),
        wrong,
        "priority is 9",
    );
    // The case itself is looked at as a run looks at it.
    check(
        refused(with(&|request| {
            request.request.as_mut().unwrap().pipeline = "none.toml".into()
        })),
        ErrorCode::NotFound,
        "none.toml",
    );
    check(
        refused(with(&|request| request.request.as_mut().unwrap().scans.clear())),
        wrong,
        "no scan",
    );
    check(
        refused(with(&|request| {
            request.request.as_mut().unwrap().output = "../out".into()
        })),
        ErrorCode::PermissionDenied,
        "out",
    );
    std::fs::create_dir(place.patient.path("results/there")).unwrap();
    check(
        refused(with(&|request| {
            request.request.as_mut().unwrap().output = "results/there".into()
        })),
        ErrorCode::AlreadyExists,
        "results/there",
    );
    // The same key with another request; the same folder of another job.
    let id = place.submit(&server, &good()).id;
    let other = with(&|request| request.request.as_mut().unwrap().output = "results/b".into());
    check(refused(other), ErrorCode::AlreadyExists, "key \"a\"");
    check(
        refused(with(&|request| request.key = "b".into())),
        ErrorCode::AlreadyExists,
        &id,
    );

    let unknown = "0123456789abcdef0123456789abcdef".to_owned();
    let ids = [
        ("", wrong, "id is missing"),
        ("x", wrong, "32 hexadecimal digits"),
        (&*unknown, ErrorCode::NotFound, &*unknown),
    ];
    for (id, code, word) in ids {
        let id = || id.to_owned();
        let errors = place.runtime.block_on(async {
            [
                client.get_job(GetJobRequest { id: id() }).await.unwrap_err(),
                client.cancel_job(CancelRequest { id: id() }).await.unwrap_err(),
                client.retry_job(RetryRequest { id: id() }).await.unwrap_err(),
                client
                    .watch_job(WatchRequest {
                        id: id(),
                        after_sequence: 0,
                    })
                    .await
                    .unwrap_err(),
            ]
        });
        for error in errors {
            check(error, code, word);
        }
    }
    let list = |request: ListJobsRequest| place.runtime.block_on(client.list_jobs(request));
    let bad_list = |request: ListJobsRequest| list(request).unwrap_err();
    let states = |states| ListJobsRequest {
        states,
        ..ListJobsRequest::default()
    };
    check(bad_list(states(vec![0])), wrong, "states is 0");
    check(bad_list(states(vec![99])), wrong, "states is 99");
    let sized = |page_size| ListJobsRequest {
        page_size: Some(page_size),
        ..ListJobsRequest::default()
    };
    check(bad_list(sized(0)), wrong, "1 to 1000");
    check(bad_list(sized(1001)), wrong, "1 to 1000");
    for n in 0..3 {
        let request = SubmitRequest {
            tenant: "urology".into(),
            ..submission(&format!("more {n}"), short_case(&format!("more-{n}")))
        };
        place.submit(&server, &request);
    }
    let token = list(sized(2)).unwrap().next_page_token;
    assert!(!token.is_empty());
    let of_another = ListJobsRequest {
        tenant: Some("surgery".into()),
        page_token: token.clone(),
        ..ListJobsRequest::default()
    };
    check(bad_list(of_another), wrong, "another list");
    let garbled = ListJobsRequest {
        page_token: token.to_uppercase(),
        ..ListJobsRequest::default()
    };
    check(bad_list(garbled), wrong, "page token");

    // Jobs that have not ended are not purged; the others of the request are.
    let purge = |ids: Vec<String>| {
        let request = PurgeRequest {
            ids,
            with_results: true,
        };
        place.runtime.block_on(client.purge_jobs(request))
    };
    check(purge(Vec::new()).unwrap_err(), wrong, "ids is missing");
    check(purge(vec![unknown.clone(); 1001]).unwrap_err(), wrong, "1001");
    let purged = purge(vec![id.clone(), unknown]).unwrap().jobs;
    let messages: Vec<&str> = purged
        .iter()
        .map(|job| job.error.as_ref().unwrap().message.as_str())
        .collect();
    assert!(
        messages[0].contains("queued: it cannot be purged"),
        "{messages:?}"
    );
    assert!(messages[1].contains("no job"), "{messages:?}");
    let orphans = |folder: &str| {
        let folder = folder.to_owned();
        place
            .runtime
            .block_on(client.find_orphans(FindOrphansRequest { folder }))
            .unwrap_err()
    };
    check(orphans(""), wrong, "folder is missing");
    check(orphans("nowhere"), ErrorCode::NotFound, "nowhere");
    check(orphans("../"), ErrorCode::PermissionDenied, "..");
}

#[test]
fn a_server_without_jobs_says_so() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let config = place.patient.path("plain.toml");
    std::fs::write(&config, "root = '.'\nthreads = 1\nlisten = '127.0.0.1:0'\n").unwrap();
    let server = crate::place::Process::start("serve", &config, &[]);
    let error = place.runtime.block_on(async {
        let client = Client::connect(&server.address).await.unwrap();
        client.submit(submission("a", short_case("a"))).await.unwrap_err()
    });
    assert_eq!(error.code, ErrorCode::InvalidArgument);
}

fn start(place: &Place, command: &str, jobs: &str) -> (Option<i32>, String) {
    let config = place.patient.path("bad.toml");
    std::fs::write(
        &config,
        format!("root = '.'\nlisten = '127.0.0.1:0'\n[jobs]\n{jobs}"),
    )
    .unwrap();
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_nephrite"))
        .args([command, "--config"])
        .arg(&config)
        .output()
        .unwrap();
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

#[test]
fn a_server_that_cannot_keep_its_jobs_does_not_start() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let server = place.server_without_worker();
    let (code, error) = start(&place, "serve", "state = 'state-0'");
    assert_eq!(code, Some(6), "{error}");
    assert!(error.contains("another server keeps its jobs there"), "{error}");
    drop(server);
    std::fs::write(place.patient.path("file"), "").unwrap();
    let (code, error) = start(&place, "serve", "state = 'file/state'");
    assert_eq!(code, Some(6), "{error}");
    let (code, error) = start(&place, "serve", "lease_seconds = 0\nengine = 'redis'");
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("lease_seconds") && error.contains("engine"),
        "{error}"
    );
    let (code, error) = start(&place, "worker", "");
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("a worker needs [jobs] with engine = \"nats\""),
        "{error}"
    );
    let nobody = "engine = 'nats'\n[jobs.nats]\nurl = 'nats://127.0.0.1:1'\nconnect_timeout_seconds = 1";
    let (code, error) = start(&place, "worker", nobody);
    assert_eq!(code, Some(6), "{error}");
    assert!(error.contains("127.0.0.1:1"), "{error}");
}
