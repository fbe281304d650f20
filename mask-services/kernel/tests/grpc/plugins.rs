//! Services that misbehave: each gives its own error, by name, within the deadline.

use nephrite_types::Coded;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nephrite_kernel::grpc::{RemoteService, RemoteSettings};
use nephrite_kernel::{
    Artefacts, CancelToken, Context, ErrorCode, Inputs, Limits, OperationError, Outcome, ServiceFault,
};
use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::mask_service_server::{MaskService, MaskServiceServer};
use nephrite_proto::v1::{
    Artefact, DescribeRequest, DescribeResponse, Mask, Measurement, NamedMask, Operation, OperationInput,
    OperationOutput, ProcessRequest, ProcessResponse,
};
use nephrite_root::Root;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::harness::{blocking, encoded, large, named, root, run, settings, small};

/// What a plugin does when it is called; gets the request and how often it was called before.
type Process = dyn Fn(ProcessRequest, usize) -> Result<Deed, Status> + Send + Sync;

/// What it does then.
enum Deed {
    Answer(Box<ProcessResponse>),
    Hang,
    /// The connection breaks.
    Die,
}

struct Plugin {
    description: DescribeResponse,
    process: Box<Process>,
    n_calls: Arc<AtomicUsize>,
    die: Arc<Notify>,
}

#[tonic::async_trait]
impl MaskService for Plugin {
    async fn describe(&self, _: Request<DescribeRequest>) -> Result<Response<DescribeResponse>, Status> {
        Ok(Response::new(self.description.clone()))
    }

    async fn process(&self, request: Request<ProcessRequest>) -> Result<Response<ProcessResponse>, Status> {
        let n_before = self.n_calls.fetch_add(1, Ordering::SeqCst);
        match (self.process)(request.into_inner(), n_before)? {
            Deed::Answer(response) => Ok(Response::new(*response)),
            Deed::Hang => std::future::pending().await,
            Deed::Die => {
                self.die.notify_waiters();
                std::future::pending().await
            }
        }
    }
}

fn description() -> DescribeResponse {
    DescribeResponse {
        name: "broken".to_owned(),
        version: "1".to_owned(),
        operations: vec![Operation {
            name: "work".to_owned(),
            version: "1".to_owned(),
            inputs: vec![OperationInput {
                name: "mask".to_owned(),
                required: true,
                ..Default::default()
            }],
            outputs: vec![OperationOutput {
                name: "mask".to_owned(),
                on_grid_of: "mask".to_owned(),
                ..Default::default()
            }],
            artefacts: true,
            ..Default::default()
        }],
    }
}

/// A running plugin.
struct Running {
    address: String,
    n_calls: Arc<AtomicUsize>,
}

impl Running {
    async fn start(
        process: impl Fn(ProcessRequest, usize) -> Result<Deed, Status> + Send + Sync + 'static,
    ) -> Running {
        Running::describing(description(), process).await
    }

    async fn describing(
        description: DescribeResponse,
        process: impl Fn(ProcessRequest, usize) -> Result<Deed, Status> + Send + Sync + 'static,
    ) -> Running {
        let (n_calls, die) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let plugin = Plugin {
            description,
            process: Box::new(process),
            n_calls: n_calls.clone(),
            die: die.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap();
        let router = Server::builder().add_service(MaskServiceServer::new(plugin));
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
        // In front of it, something that can cut its connections.
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", front.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut outer, _) = front.accept().await.unwrap();
                let die = die.clone();
                tokio::spawn(async move {
                    let mut inner = TcpStream::connect(behind).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut outer, &mut inner) => {}
                        () = die.notified() => {}
                    }
                });
            }
        });
        Running { address, n_calls }
    }

    fn remote(&self, change: impl FnOnce(&mut RemoteSettings)) -> Arc<RemoteService> {
        let mut settings = settings(&self.address);
        change(&mut settings);
        Arc::new(RemoteService::new(settings))
    }

    async fn call(&self) -> Result<Outcome, OperationError> {
        let inputs = Inputs::new().with("mask", Arc::new(small()));
        run(&self.remote(|_| {}), "work", inputs, &[]).await
    }

    /// The fault, after it was checked that the error names the service.
    async fn fault(&self) -> ServiceFault {
        fault(self.call().await, &self.address)
    }
}

fn fault(outcome: Result<Outcome, OperationError>, address: &str) -> ServiceFault {
    match outcome.unwrap_err() {
        OperationError::Service { service, fault } => {
            assert_eq!(service, format!("probe ({address})"));
            fault
        }
        other => panic!("{other:?}"),
    }
}

fn answer(change: impl FnOnce(&mut ProcessResponse)) -> Result<Deed, Status> {
    let mut response = ProcessResponse {
        masks: vec![named("mask", Content::Encoded(encoded(&small())))],
        ..Default::default()
    };
    change(&mut response);
    Ok(Deed::Answer(Box::new(response)))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_behaves_is_believed() {
    let outcome = Running::start(|_, _| answer(|_| {})).await.call().await.unwrap();
    assert_eq!(*outcome.masks[0].1, small());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs() {
    let plugin = Running::start(|_, _| Ok(Deed::Hang)).await;
    let remote = plugin.remote(|settings| settings.timeout = Duration::from_millis(500));
    let asked = Instant::now();
    let inputs = || Inputs::new().with("mask", Arc::new(small()));
    let found = fault(run(&remote, "work", inputs(), &[]).await, &plugin.address);
    assert!(
        matches!(found, ServiceFault::DeadlineExceeded { .. }),
        "{found:?}"
    );
    assert_eq!(found.code(), ErrorCode::DeadlineExceeded);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(
        plugin.n_calls.load(Ordering::SeqCst),
        1,
        "nobody tries again what is late"
    );

    // One that accepts connections and says nothing at all.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(silent.accept().await.unwrap());
        }
    });
    let mut silent = settings(&address);
    silent.timeout = Duration::from_millis(500);
    let asked = Instant::now();
    let found = fault(
        run(&Arc::new(RemoteService::new(silent)), "work", inputs(), &[]).await,
        &address,
    );
    assert!(
        matches!(found, ServiceFault::DeadlineExceeded { .. }),
        "{found:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_in_mid_call() {
    let plugin = Running::start(|_, _| Ok(Deed::Die)).await;
    let found = plugin.fault().await;
    assert!(
        matches!(found, ServiceFault::Unavailable { attempts: 5, .. }),
        "{found:?}"
    );
    assert_eq!(found.code(), ErrorCode::Unavailable);
    // Once it is up again, the call is repeated and nobody notices.
    let plugin = Running::start(|_, n_before| match n_before {
        0 | 1 => Ok(Deed::Die),
        _ => answer(|_| {}),
    });
    let plugin = plugin.await;
    plugin.call().await.unwrap();
    assert_eq!(plugin.n_calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_unavailable_for_a_moment() {
    let plugin = Running::start(|_, n_before| match n_before {
        0 => Err(Status::unavailable("starting")),
        _ => answer(|_| {}),
    });
    plugin.await.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_refuses_in_its_own_words() {
    let plugin = Running::start(|_, _| Err(Status::invalid_argument("no skeleton"))).await;
    let found = plugin.fault().await;
    let expected = ServiceFault::Refused {
        code: ErrorCode::InvalidArgument,
        message: "no skeleton".to_owned(),
    };
    assert_eq!(found, expected);
    let plugin = Running::start(|_, _| Err(Status::unknown("Exception calling application: boom"))).await;
    let found = plugin.fault().await;
    assert_eq!(found.code(), ErrorCode::Internal, "{found:?}");
    assert_eq!(plugin.n_calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_sends_100_mib() {
    let plugin = Running::start(|_, _| {
        answer(|response| {
            let mut mask = encoded(&small());
            mask.payload = vec![0; 100 << 20];
            response.masks = vec![named("mask", Content::Encoded(mask))];
        })
    })
    .await;
    let found = plugin.fault().await;
    assert!(matches!(found, ServiceFault::ReplyTooLarge { .. }), "{found:?}");
    assert_eq!(found.code(), ErrorCode::LimitExceeded);
}

type Spoil = Box<dyn Fn(&mut ProcessResponse) + Send + Sync>;

#[tokio::test(flavor = "multi_thread")]
async fn ones_that_send_no_masks() {
    let with = |change: fn(&mut nephrite_proto::v1::EncodedMask)| -> Spoil {
        Box::new(move |response| {
            let mut mask = encoded(&small());
            change(&mut mask);
            response.masks = vec![named("mask", Content::Encoded(mask))];
        })
    };
    let cases: [(&str, Spoil); 8] = [
        ("garbage", with(|mask| mask.payload = vec![0x5a; 1000])),
        ("checksum", with(|mask| mask.checksum ^= 1)),
        ("labels", with(|mask| mask.labels.clear())),
        ("voxel count", with(|mask| mask.labels[0].voxels += 1)),
        (
            "size",
            with(|mask| mask.geometry.as_mut().unwrap().shape.as_mut().unwrap().z = 1 << 40),
        ),
        ("encoding", with(|mask| mask.encoding = 0)),
        (
            "no content",
            Box::new(|response| response.masks[0].mask = Some(Mask::default())),
        ),
        (
            "no mask",
            Box::new(|response| {
                response.masks = vec![NamedMask {
                    name: "mask".to_owned(),
                    mask: None,
                }]
            }),
        ),
    ];
    for (name, spoil) in cases {
        let plugin = Running::start(move |_, _| answer(|response| spoil(response))).await;
        let found = plugin.fault().await;
        assert!(
            matches!(found, ServiceFault::MalformedReply { .. }),
            "{name}: {found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_that_give_what_they_do_not_promise() {
    let cases: [(&str, Spoil); 9] = [
        (
            "another shape",
            Box::new(|response| {
                response.masks = vec![named("mask", Content::Encoded(encoded(&large_free())))];
            }),
        ),
        (
            "another grid",
            Box::new(|response| {
                let mut mask = encoded(&small());
                mask.geometry.as_mut().unwrap().affine[3] += 0.5;
                response.masks = vec![named("mask", Content::Encoded(mask))];
            }),
        ),
        ("no mask", Box::new(|response| response.masks.clear())),
        (
            "two masks",
            Box::new(|response| response.masks.push(response.masks[0].clone())),
        ),
        (
            "another name",
            Box::new(|response| response.masks[0].name = "other".to_owned()),
        ),
        (
            "NaN",
            Box::new(|response| {
                response.measurements.push(Measurement {
                    value: f64::NAN,
                    ..Default::default()
                });
            }),
        ),
        (
            "a file without a folder",
            Box::new(|response| response.artefacts.push(Artefact::default())),
        ),
        (
            "a path without a folder",
            Box::new(|response| {
                response.masks = vec![named("mask", Content::Path("/etc/passwd".to_owned()))];
            }),
        ),
        (
            "a relative path",
            Box::new(|response| {
                response.masks = vec![named("mask", Content::Path("m.nii".to_owned()))];
            }),
        ),
    ];
    for (name, spoil) in cases {
        let plugin = Running::start(move |_, _| answer(|response| spoil(response))).await;
        let found = plugin.fault().await;
        assert!(
            matches!(found, ServiceFault::Contract { .. }),
            "{name}: {found:?}"
        );
        assert_eq!(found.code(), ErrorCode::Environment);
    }
}

/// A mask of another shape than `small`, that fits a message.
fn large_free() -> nephrite_kernel::Mask {
    let other = encoded(&small());
    let mut other = nephrite_mask_codec::EncodedMask::try_from(other).unwrap();
    other.geometry.shape = nephrite_types::Shape3::new([3, 4, 10]).unwrap();
    other.decode(&Limits::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_that_name_files_where_they_have_no_business() {
    let root = root();
    let secret = root.path().join("masks/secret.txt");
    std::fs::write(&secret, "secret").unwrap();
    let secret = secret.to_str().unwrap().to_owned();
    /// From the folder that the request names, what the reply says.
    type Name = Box<dyn Fn(&str) -> (String, String) + Send + Sync>;
    let outside = secret.clone();
    let linked = secret.clone();
    let cases: [(&str, Name); 5] = [
        (
            "outside",
            Box::new(move |_| ("secret.txt".to_owned(), outside.clone())),
        ),
        (
            "up",
            Box::new(|folder| ("a".to_owned(), format!("{folder}/../../masks/secret.txt"))),
        ),
        (
            "not there",
            Box::new(|folder| ("a".to_owned(), format!("{folder}/a"))),
        ),
        (
            "another name",
            Box::new(|folder| ("a".to_owned(), format!("{folder}/b"))),
        ),
        (
            "a link",
            Box::new(move |folder| {
                std::os::unix::fs::symlink(&linked, format!("{folder}/a")).unwrap();
                ("a".to_owned(), format!("{folder}/a"))
            }),
        ),
    ];
    for (name, files) in cases {
        let plugin = Running::start(move |request, _| {
            answer(|response| {
                // What was begun goes, too.
                std::fs::write(format!("{}/begun", request.artefacts_folder), "half").unwrap();
                let (name, path) = files(&request.artefacts_folder);
                let media_type = "text/plain".to_owned();
                response.artefacts.push(Artefact {
                    name,
                    path,
                    media_type,
                });
            })
        })
        .await;
        let folder = root.path().to_owned();
        let remote = plugin.remote(|settings| settings.root = Arc::new(Root::beneath(&folder).unwrap()));
        let outcome = blocking(move || {
            let opened = Root::beneath(&folder)
                .unwrap()
                .open_folder("files".as_ref())
                .unwrap();
            let artefacts = Artefacts::new(opened, "files".as_ref());
            let context = Context {
                limits: &Limits::default(),
                cancel: &CancelToken::new(),
                artefacts: Some(&artefacts),
            };
            let inputs = Inputs::new().with("mask", Arc::new(small()));
            remote.run("work", &inputs, &Default::default(), &context)
        });
        let found = fault(outcome.await, &plugin.address);
        assert!(
            matches!(found, ServiceFault::Contract { .. }),
            "{name}: {found:?}"
        );
        assert_eq!(
            std::fs::read_dir(root.path().join("files")).unwrap().count(),
            0,
            "{name}"
        );
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_sent_too_much_for_a_message() {
    let plugin = Running::start(|_, _| answer(|_| {})).await;
    let inputs = Inputs::new().with("mask", Arc::new(large()));
    let error = run(&plugin.remote(|_| {}), "work", inputs, &[])
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded, "{error}");
    assert_eq!(plugin.n_calls.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_that_do_not_describe_themselves() {
    type Change = fn(&mut DescribeResponse);
    let cases: [(&str, Change); 6] = [
        ("nothing", |d| d.operations.clear()),
        ("twice", |d| d.operations.push(d.operations[0].clone())),
        ("a name", |d| d.operations[0].name = "Work!".to_owned()),
        ("no version", |d| d.operations[0].version.clear()),
        ("no input", |d| d.operations[0].inputs.clear()),
        ("an output on no grid", |d| {
            d.operations[0].outputs[0].on_grid_of = "other".to_owned()
        }),
    ];
    for (name, change) in cases {
        let mut description = description();
        change(&mut description);
        let plugin = Running::describing(description, |_, _| answer(|_| {})).await;
        let found = plugin.fault().await;
        assert!(
            matches!(found, ServiceFault::Description { .. }),
            "{name}: {found:?}"
        );
        assert_eq!(plugin.n_calls.load(Ordering::SeqCst), 0);
    }
}

/// Bytes that answer no protocol, and a server of another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_service_at_all() {
    for words in [
        "",
        "HTTP/1.1 200 OK\r\n\r\n",
        "\u{0}\u{1}\u{2}garbage garbage garbage garbage garbage",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let _ = stream.try_write(words.as_bytes());
            }
        });
        let remote = Arc::new(RemoteService::new(settings(&address)));
        let inputs = Inputs::new().with("mask", Arc::new(small()));
        let found = fault(run(&remote, "work", inputs, &[]).await, &address);
        assert!(
            matches!(found, ServiceFault::Unavailable { .. }),
            "{words:?}: {found:?}"
        );
    }
    let health = {
        let (_, service) = tonic_health::server::health_reporter();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener)),
        );
        address
    };
    let remote = Arc::new(RemoteService::new(settings(&health)));
    let inputs = Inputs::new().with("mask", Arc::new(small()));
    let found = fault(run(&remote, "work", inputs, &[]).await, &health);
    assert!(matches!(found, ServiceFault::Contract { .. }), "{found:?}");
}

/// A plugin that was replaced by a newer one with another parameter.
#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_changed_is_asked_for_again() {
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
    let plugin = Running::start(move |_, _| {
        *count.lock().unwrap() += 1;
        Err(Status::invalid_argument("unknown parameter"))
    })
    .await;
    let remote = plugin.remote(|_| {});
    let inputs = || Inputs::new().with("mask", Arc::new(small()));
    for expected in [1, 2] {
        // It says the same of itself, so that asking once more would change nothing.
        let found = fault(run(&remote, "work", inputs(), &[]).await, &plugin.address);
        assert_eq!(found.code(), ErrorCode::InvalidArgument);
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
