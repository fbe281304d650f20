//! The same operation in this process and at a service: the same result, inline and by path.

use nephrite_types::Coded;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_kernel::grpc::{Outgoing, Placement, RemoteService, Scratch, receive_mask};
use nephrite_kernel::{
    Artefacts, CancelToken, Context, ErrorCode, Inputs, Limits, MaskOperation, OperationError,
    ParameterValue, ServiceFault, Traffic,
};
use nephrite_proto::v1::mask::Content;
use nephrite_root::Root;
use prost::Message as _;

use crate::harness::{
    TestService, blocking, encoded, large, registry, run, run_with, settings, small, values,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_result_is_the_same_in_every_placement_and_nothing_is_left_behind() {
    let service = TestService::start(|_| {}).await;
    let here = Placement::InProcess(Arc::new(registry()));
    let there = Placement::Endpoint(service.remote(|_| {}));
    for (mask, n) in [(small(), 1), (small(), 3), (large(), 1), (large(), 2)] {
        let mask = Arc::new(mask);
        let mut outcomes = Vec::new();
        for placement in [&here, &there] {
            let mut inputs = Inputs::new();
            (0..n).for_each(|_| inputs.add("masks", mask.clone()));
            let (placement, path) = (placement.clone(), service.path("files"));
            outcomes.push(
                blocking(move || {
                    let folder = Dir::open_ambient_dir(&path, ambient_authority()).unwrap();
                    let artefacts = Artefacts::new(folder, &path);
                    let context = Context {
                        limits: &Limits::default(),
                        cancel: &CancelToken::new(),
                        artefacts: Some(&artefacts),
                    };
                    let parameters = values(&[("times", ParameterValue::Integer(7))]);
                    let mut outcome = placement.run("probe", &inputs, &parameters, &context).unwrap();
                    outcome.traffic = Traffic::default(); // alone tells the two apart
                    let note = std::fs::read_to_string(path.join("note.txt")).unwrap();
                    std::fs::remove_file(path.join("note.txt")).unwrap();
                    (outcome, note)
                })
                .await,
            );
        }
        assert_eq!(outcomes[0], outcomes[1]);
        assert_eq!(outcomes[0].0.masks[0].1, mask);
        assert_eq!(outcomes[0].1, format!("{n} masks"));
        assert!(
            service.files("exchange").is_empty(),
            "{:?}",
            service.files("exchange")
        );
        assert!(service.files("files").is_empty(), "{:?}", service.files("files"));
    }
    let cancel = CancelToken::new();
    let described =
        blocking(move || [here, there].map(|placement| placement.describe("probe", &cancel).unwrap()));
    let [here, there] = described.await;
    assert_eq!(here, there);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_description_does_not_allow_is_refused_before_it_is_sent() {
    let mut service = TestService::start(|_| {}).await;
    let remote = service.remote(|_| {});
    let inputs = || Inputs::new().with("mask", Arc::new(small()));
    run(&remote, "identity", inputs(), &[]).await.unwrap();
    let operation = {
        let remote = remote.clone();
        blocking(move || remote.operation("identity", &CancelToken::new()).unwrap()).await
    };
    assert_eq!(operation.description().version, "1.0.0");
    service.ask_to_stop();
    service.ended().await.unwrap();
    // Nobody is there any more, and still each has its own error.
    let error = run(&remote, "sharpen", inputs(), &[]).await.unwrap_err();
    assert!(
        matches!(error, OperationError::UnknownOperation { .. }),
        "{error}"
    );
    for parameter in [
        ("radius", ParameterValue::Number(1.0)),
        ("wait_seconds", ParameterValue::Text("1".to_owned())),
        ("wait_seconds", ParameterValue::Number(f64::NAN)),
        ("wait_seconds", ParameterValue::Number(-1.0)),
    ] {
        let error = run(&remote, "identity", inputs(), &[parameter])
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
        assert!(!matches!(error, OperationError::Service { .. }), "{error}");
    }
    let error = run(&remote, "identity", Inputs::new(), &[]).await.unwrap_err();
    assert!(matches!(error, OperationError::MissingInput { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_and_a_deadline_travel() {
    let service = TestService::start(|config| {
        config.max_concurrent_requests = 1;
        config.max_waiting_requests = 0;
    })
    .await;
    let remote = service.remote(|_| {});
    let inputs = || Inputs::new().with("mask", Arc::new(small()));
    let endless = [("wait_seconds", ParameterValue::Number(3600.0))];

    let cancel = CancelToken::new();
    let later = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        later.cancel();
    });
    let error = run_with(&remote, "identity", inputs(), &endless, cancel)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled, "{error}");
    // The only place to work is free again, soon.
    let free = async {
        while let Err(error) = run(&remote, "identity", inputs(), &[]).await {
            assert_eq!(error.code(), ErrorCode::Overloaded, "{error}");
        }
    };
    tokio::time::timeout(Duration::from_secs(5), free).await.unwrap();

    let asked = Instant::now();
    let soon = CancelToken::new().with_deadline(asked + Duration::from_millis(300));
    let error = run_with(&remote, "identity", inputs(), &endless, soon)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeadlineExceeded, "{error}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let free = async { while run(&remote, "identity", inputs(), &[]).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(5), free).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_fails_alone_by_name_and_is_found_when_it_comes() {
    let nobody = Arc::new(RemoteService::new(settings("http://127.0.0.1:1")));
    let asked = Instant::now();
    let error = run(&nobody, "identity", Inputs::new(), &[]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    assert!(
        error.to_string().contains("probe (http://127.0.0.1:1)"),
        "{error}"
    );
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    let no_address = Arc::new(RemoteService::new(settings("no address")));
    let error = run(&no_address, "identity", Inputs::new(), &[])
        .await
        .unwrap_err();
    let endpoint = matches!(
        error,
        OperationError::Service {
            fault: ServiceFault::Endpoint { .. } | ServiceFault::Unavailable { .. },
            ..
        }
    );
    assert!(endpoint, "{error:?}");

    // The connection is made anew after the service was restarted at its address.
    let mut first = TestService::start(|_| {}).await;
    let remote = first.remote(|settings| settings.exchange_folder = None);
    let inputs = || Inputs::new().with("mask", Arc::new(small()));
    run(&remote, "identity", inputs(), &[]).await.unwrap();
    first.ask_to_stop();
    first.ended().await.unwrap();
    let calling = tokio::spawn(async move { run(&remote, "identity", inputs(), &[]).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let second = TestService::start_at(first.address).await;
    calling.await.unwrap().unwrap();
    second.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crosses_is_counted_for_the_step() {
    let service = TestService::start(|_| {}).await;
    let remote = service.remote(|_| {});
    let traffic = |mask: Arc<nephrite_kernel::Mask>, parameters: &[(&str, ParameterValue)]| {
        let (remote, parameters) = (remote.clone(), values(parameters));
        blocking(move || {
            let cancel = CancelToken::new();
            remote.describe(&cancel).unwrap();
            let inputs = Inputs::new().with("mask", mask);
            let context = Context {
                limits: &Limits::default(),
                cancel: &cancel,
                artefacts: None,
            };
            let outcome = remote.run("identity", &inputs, &parameters, &context);
            outcome.unwrap().traffic
        })
    };
    let mask = Arc::new(small());
    let found = traffic(mask.clone(), &[]).await;
    let inside = encoded(&mask).encoded_len() as u64;
    for bytes in [found.sent, found.received] {
        // The mask, its name and folders; a mask that is deflated with less effort may be longer.
        assert!((inside..inside + 400).contains(&bytes), "{found:?}");
    }
    assert_eq!(found.largest_message, found.sent.max(found.received));
    assert_eq!(found.exchange_files, 0);

    let found = traffic(Arc::new(large()), &[]).await;
    assert_eq!(found.exchange_files, 2, "there and back");
    assert!(found.largest_message < 1000, "{found:?}");
}

/// Whoever sends a mask outside of `MaskService` does it alike.
#[test]
fn masks_are_sent_and_received_by_themselves() {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::beneath(temp.path()).unwrap();
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let count = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
    for (mask, n_files) in [(small(), 0), (large(), 1)] {
        let mask = Arc::new(mask);
        let scratch = Scratch::new(&root, std::path::Path::new(".")).unwrap();
        let folder = Some((scratch.folder(), scratch.path()));
        let send = || {
            Outgoing::new(folder, "mask-".to_owned(), &limits)
                .mask(&mask)
                .unwrap()
        };
        send();
        assert_eq!(count(scratch.path()), 0, "it was never sent");
        let mut outgoing = Outgoing::new(folder, "mask-".to_owned(), &limits);
        let message = outgoing.mask(&mask).unwrap();
        outgoing.sent();
        assert_eq!(count(scratch.path()), n_files);
        let open = |path: &std::path::Path| Ok(nephrite_volume::VolumeFiles::from(scratch.open_file(path)?));
        let received = receive_mask(message, open, &limits, &cancel).unwrap();
        assert_eq!(received, *mask);
        if n_files == 1 {
            let error = Outgoing::new(None, String::new(), &limits)
                .mask(&mask)
                .unwrap_err();
            assert_eq!(error.code(), ErrorCode::LimitExceeded, "{error}");
            let elsewhere = nephrite_proto::v1::Mask {
                content: Some(Content::Path("/etc/passwd".to_owned())),
                labels: Vec::new(),
                grid: String::new(),
            };
            let error = receive_mask(elsewhere, open, &limits, &cancel).unwrap_err();
            assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
        }
        let nothing = receive_mask(nephrite_proto::v1::Mask::default(), open, &limits, &cancel).unwrap_err();
        assert_eq!(nothing.code(), ErrorCode::InvalidArgument, "{nothing}");
    }
    assert_eq!(count(temp.path()), 0);
}
