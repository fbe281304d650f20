//! Every kind of bad input gives its gRPC code, leaves no files, and the next request is served.

use std::fs;
use std::os::unix::fs::symlink;

use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::parameter_value::Value;
use nephrite_proto::v1::{EncodedMask, ParameterValue, ProcessRequest, TextList};
use tonic::Code::{self, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PermissionDenied};

use crate::harness::{TestService, encoded, identity, large, named, number, small};

fn with_parameter(name: &str, value: Option<Value>) -> ProcessRequest {
    let mut request = identity(&small());
    request
        .parameters
        .insert(name.to_owned(), ParameterValue { value });
    request
}

fn with_mask(change: impl FnOnce(&mut EncodedMask)) -> ProcessRequest {
    let mut mask = encoded(&small());
    change(&mut mask);
    ProcessRequest {
        inputs: vec![named("mask", Content::Encoded(mask))],
        ..identity(&small())
    }
}

fn with_path(path: &str) -> ProcessRequest {
    ProcessRequest {
        inputs: vec![named("mask", Content::Path(path.to_owned()))],
        ..identity(&small())
    }
}

fn probe(change: impl FnOnce(&mut ProcessRequest)) -> ProcessRequest {
    let mut request = ProcessRequest {
        operation: "probe".to_owned(),
        inputs: vec![named("masks", Content::Encoded(encoded(&small())))],
        ..Default::default()
    };
    change(&mut request);
    request
}

async fn check(service: &TestService, name: &str, request: ProcessRequest, expected: Code) {
    let found = service.client.clone().process(request).await;
    let status = found.map(|_| ()).expect_err(name);
    assert_eq!(status.code(), expected, "{name}: {status:?}");
    assert!(
        status.metadata().contains_key("nephrite-error-code"),
        "{name}: {status:?}"
    );
    service.serves().await;
    for folder in ["exchange", "files"] {
        assert!(
            service.files(folder).is_empty(),
            "{name}: {:?}",
            service.files(folder)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_inputs_and_parameters_that_cannot_be() {
    let service = TestService::start(|_| {}).await;
    let unknown = ProcessRequest {
        operation: "sharpen".to_owned(),
        ..identity(&small())
    };
    check(&service, "unknown operation", unknown, InvalidArgument).await;
    check(
        &service,
        "no operation",
        ProcessRequest::default(),
        InvalidArgument,
    )
    .await;
    let wait = "wait_seconds";
    for (name, request) in [
        (
            "unknown parameter",
            with_parameter("radius", Some(Value::Number(1.0))),
        ),
        (
            "text for a number",
            with_parameter(wait, Some(Value::Text("1".into()))),
        ),
        ("flag for a number", with_parameter(wait, Some(Value::Flag(true)))),
        (
            "number for a flag",
            with_parameter("panic", Some(Value::Integer(1))),
        ),
        (
            "list for a flag",
            with_parameter("panic", Some(Value::Texts(TextList::default()))),
        ),
        ("NaN", with_parameter(wait, Some(Value::Number(f64::NAN)))),
        (
            "infinity",
            with_parameter(wait, Some(Value::Number(f64::INFINITY))),
        ),
        ("negative", with_parameter(wait, Some(Value::Number(-1.0)))),
        ("too large", with_parameter(wait, Some(Value::Integer(3601)))),
        ("no value", with_parameter(wait, None)),
    ] {
        check(&service, name, request, InvalidArgument).await;
    }
    let mut missing = identity(&small());
    missing.inputs.clear();
    check(&service, "no input", missing, InvalidArgument).await;
    let mut unnamed = identity(&small());
    unnamed.inputs[0].name = "masks".to_owned();
    check(&service, "unknown input", unnamed, InvalidArgument).await;
    let mut twice = identity(&small());
    twice.inputs.push(twice.inputs[0].clone());
    check(&service, "an input twice", twice, InvalidArgument).await;
    let mut many = identity(&small());
    many.inputs = vec![Default::default(); 2000];
    check(&service, "2000 inputs", many, InvalidArgument).await;
    let mut empty = identity(&small());
    empty.inputs[0].mask = None;
    check(&service, "no mask", empty, InvalidArgument).await;
    let mut two = identity(&small());
    two.inputs[0].mask.as_mut().unwrap().labels = encoded(&small()).labels;
    check(&service, "two label tables", two, InvalidArgument).await;
    let other_grid = probe(|request| {
        let shifted = with_mask(|mask| mask.geometry.as_mut().unwrap().affine[3] += 1.0);
        let mut second = shifted.inputs[0].clone();
        second.name = "masks".to_owned();
        request.inputs.push(second);
    });
    check(&service, "another grid", other_grid, InvalidArgument).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_that_cannot_be() {
    let service = TestService::start(|config| config.limits.max_mask_rows = 100_000).await;
    for (name, request) in [
        ("checksum", with_mask(|mask| mask.checksum ^= 1)),
        (
            "cut payload",
            with_mask(|mask| mask.payload.truncate(mask.payload.len() / 2)),
        ),
        ("no payload", with_mask(|mask| mask.payload.clear())),
        ("random payload", with_mask(|mask| mask.payload = vec![0xa5; 100])),
        ("more runs than stated", with_mask(|mask| mask.n_runs -= 1)),
        ("fewer runs than stated", with_mask(|mask| mask.n_runs += 1)),
        (
            "label not in the table",
            with_mask(|mask| drop(mask.labels.remove(0))),
        ),
        (
            "label twice",
            with_mask(|mask| mask.labels.push(mask.labels[0].clone())),
        ),
        (
            "count that is not so",
            with_mask(|mask| mask.labels[0].voxels += 1),
        ),
        (
            "zero-size axis",
            with_mask(|mask| mask.geometry.as_mut().unwrap().shape.as_mut().unwrap().x = 0),
        ),
        (
            "singular affine",
            with_mask(|mask| mask.geometry.as_mut().unwrap().affine[..4].fill(0.0)),
        ),
        (
            "NaN in the affine",
            with_mask(|mask| mask.geometry.as_mut().unwrap().affine[0] = f64::NAN),
        ),
        ("no geometry", with_mask(|mask| mask.geometry = None)),
        (
            "box outside",
            with_mask(|mask| mask.r#box.as_mut().unwrap().x_end = 1000),
        ),
        ("unknown encoding", with_mask(|mask| mask.encoding = 7)),
        ("three bytes per label", with_mask(|mask| mask.label_bytes = 3)),
    ] {
        check(&service, name, request, InvalidArgument).await;
    }
    let shape = |mask: &mut EncodedMask, y| mask.geometry.as_mut().unwrap().shape.as_mut().unwrap().y = y;
    check(
        &service,
        "rows over the limit",
        with_mask(|mask| shape(mask, 1 << 20)),
        OutOfRange,
    )
    .await;
    check(
        &service,
        "runs over the limit",
        with_mask(|mask| mask.n_runs = 1 << 40),
        OutOfRange,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_cannot_be() {
    let service = TestService::start(|_| {}).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("mask.nii"), "x").unwrap();
    symlink(outside.path(), service.path("link")).unwrap();
    fs::write(service.path("masks/text.nii"), "no mask at all").unwrap();
    let absolute = outside.path().join("mask.nii").to_str().unwrap().to_owned();
    for path in ["../mask.nii", "link/mask.nii", "/etc/passwd", &absolute] {
        check(&service, path, with_path(path), PermissionDenied).await;
    }
    check(&service, "missing file", with_path("masks/none.nii"), NotFound).await;
    check(&service, "text", with_path("masks/text.nii"), InvalidArgument).await;
    check(&service, "folder", with_path("masks"), InvalidArgument).await;
    check(&service, "no path", with_path(""), InvalidArgument).await;
    check(&service, "NUL", with_path("a\0b"), InvalidArgument).await;

    let folders = |artefacts: &str, exchange: &str| {
        probe(|request| {
            request.artefacts_folder = artefacts.to_owned();
            request.exchange_folder = exchange.to_owned();
        })
    };
    for outside in ["..", "link", "/etc"] {
        check(&service, outside, folders(outside, ""), PermissionDenied).await;
        check(&service, outside, folders("", outside), PermissionDenied).await;
    }
    check(&service, "missing folder", folders("none", ""), NotFound).await;
    check(
        &service,
        "file as folder",
        folders("masks/text.nii", ""),
        InvalidArgument,
    )
    .await;
    // A folder of the kernel's, in which not even root makes files.
    symlink("/proc/self", outside.path().join("unwritable")).unwrap();
    let writes_none = ProcessRequest {
        artefacts_folder: "files".to_owned(),
        ..identity(&small())
    };
    check(
        &service,
        "files of an operation without",
        writes_none,
        InvalidArgument,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_writable() {
    // Even root makes no files in /proc.
    let service = TestService::start(|config| config.root = "/".into()).await;
    let request = probe(|request| request.artefacts_folder = "/proc/self/task".to_owned());
    let status = service.client.clone().process(request).await.unwrap_err();
    assert_eq!(status.code(), FailedPrecondition, "{status:?}");
    service.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_panics_leave_no_files() {
    let service = TestService::start(|_| {}).await;
    for parameter in ["fail", "panic"] {
        let request = probe(|request| {
            request.artefacts_folder = "files".to_owned();
            let value = Some(Value::Flag(true));
            request
                .parameters
                .insert(parameter.to_owned(), ParameterValue { value });
        });
        check(&service, parameter, request, Code::Internal).await;
    }
    let done = probe(|request| request.artefacts_folder = "files".to_owned());
    let reply = service.client.clone().process(done).await.unwrap().into_inner();
    assert_eq!(service.files("files"), ["note.txt"]);
    assert_eq!(reply.artefacts[0].path, "files/note.txt");
    assert_eq!(reply.artefacts[0].media_type, "text/plain");
    assert_eq!(
        (reply.measurements[0].value, reply.version.as_str()),
        (1.0, "2.0.0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused() {
    let service = TestService::start(|config| {
        config.max_message_bytes = 2 << 20;
        config.max_request_bytes = 1000;
    })
    .await;
    let mut long = identity(&small());
    long.operation = "x".repeat(3 << 20);
    let status = service.client.clone().process(long).await.unwrap_err();
    assert_eq!(status.code(), OutOfRange, "{status:?}");
    service.serves().await;
    // More runs than one request may hold in memory.
    check(&service, "memory", identity(&large()), OutOfRange).await;
    let five = probe(|request| request.inputs = vec![request.inputs[0].clone(); 5]);
    check(&service, "memory of all masks together", five, OutOfRange).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_mask_needs_an_exchange_folder() {
    let service = TestService::start(|_| {}).await;
    check(&service, "no exchange folder", identity(&large()), OutOfRange).await;
    let request = ProcessRequest {
        exchange_folder: "exchange".to_owned(),
        ..identity(&large())
    };
    let reply = service
        .client
        .clone()
        .process(request)
        .await
        .unwrap()
        .into_inner();
    let mask = reply.masks[0].mask.clone().unwrap();
    let Some(Content::Path(path)) = mask.content else {
        panic!("the mask should lie in a file");
    };
    assert_eq!(
        service.files("exchange"),
        [path.strip_prefix("exchange/").unwrap()]
    );
    assert_eq!(mask.labels[2].name, "ureter");

    // Names that the file does not hold are made.
    let mut by_path = with_path(&path);
    by_path.exchange_folder = "exchange".to_owned();
    let reply = service
        .client
        .clone()
        .process(by_path)
        .await
        .unwrap()
        .into_inner();
    let labels = &reply.masks[0].mask.as_ref().unwrap().labels;
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["label_1", "label_2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_work() {
    let service = TestService::start(|config| {
        config.max_concurrent_requests = 1;
        config.max_waiting_requests = 0;
    })
    .await;
    let mut slow = identity(&small());
    slow.parameters.insert("wait_seconds".to_owned(), number(3600.0));
    let mut request = tonic::Request::new(slow);
    request.set_timeout(std::time::Duration::from_millis(200));
    let mut endless = service.client.clone();
    let status = endless.process(request).await.unwrap_err();
    // tonic's own timer on this side may be the first; the work ends either way.
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    let free = async {
        while service.client.clone().process(identity(&small())).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), free)
        .await
        .unwrap();
}
