//! Start and end of a service, and who may use it.

use std::path::Path;
use std::time::{Duration, Instant};

use nephrite_proto::v1::DescribeRequest;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use nephrite_kernel::grpc::{Service, ServiceConfig, ServiceError, serve_all};
use nephrite_proto::v1::ProcessRequest;
use nephrite_root::Root;
use nephrite_server::{MountState, check_mounts};
use nephrite_types::{Coded, ErrorCode};

use crate::harness::{PATIENCE, TestService, blocking, channel, identity, number, registry, root, small};

fn slow(seconds: f64) -> ProcessRequest {
    let mut request = identity(&small());
    request
        .parameters
        .insert("wait_seconds".to_owned(), number(seconds));
    request
}

/// A call in the background.
fn spawn(
    service: &TestService,
    request: ProcessRequest,
) -> tokio::task::JoinHandle<Result<(), tonic::Status>> {
    let mut client = service.client.clone();
    tokio::spawn(async move { client.process(request).await.map(|_| ()) })
}

/// A call that takes the only place to work; one more is refused.
async fn occupy(service: &TestService, seconds: f64) -> tokio::task::JoinHandle<Result<(), tonic::Status>> {
    let started = Instant::now();
    loop {
        let running = spawn(service, slow(seconds));
        // Whoever looks whether the place is taken may be faster, and be the one that takes it.
        while !running.is_finished() {
            assert!(started.elapsed() < PATIENCE);
            if service.client.clone().process(identity(&small())).await.is_err() {
                return running;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_describes_itself_and_tells_its_health_by_name() {
    let service = TestService::start(|_| {}).await;
    let description = service
        .client
        .clone()
        .describe(DescribeRequest {})
        .await
        .unwrap()
        .into_inner();
    let names: Vec<&str> = description.operations.iter().map(|op| op.name.as_str()).collect();
    assert_eq!(
        (description.name.as_str(), names),
        ("test", vec!["identity", "probe"])
    );

    let channel = channel(service.address).await;
    let request = HealthCheckRequest {
        service: "nephrite.v1.MaskService".to_owned(),
    };
    let health = HealthClient::new(channel.clone()).check(request).await.unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let answers = reflection
        .server_reflection_info(tokio_stream::once(request))
        .await;
    let answer = answers.unwrap().into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"nephrite.v1.MaskService"), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_works_one_waits_one_more_is_refused_at_once() {
    let service = TestService::start(|config| {
        config.max_concurrent_requests = 1;
        config.max_waiting_requests = 1;
    })
    .await;
    let working = spawn(&service, slow(3600.0));
    let waiting = loop {
        // The first to come works; the second waits; one more is refused.
        let second = spawn(&service, identity(&small()));
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !second.is_finished() {
            break second;
        }
    };
    let asked = Instant::now();
    let refused = service
        .client
        .clone()
        .process(identity(&small()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(asked.elapsed() < Duration::from_secs(5));
    working.abort(); // the caller goes away; its work ends
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    service.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_drains_finishes_what_runs_and_takes_nothing_new() {
    let mut service = TestService::start(|config| {
        config.max_concurrent_requests = 1;
        config.max_waiting_requests = 0;
    })
    .await;
    let running = occupy(&service, 1.0).await;
    service.ask_to_stop();
    let refused = loop {
        let status = service
            .client
            .clone()
            .process(identity(&small()))
            .await
            .unwrap_err();
        if status.code() != Code::ResourceExhausted {
            break status; // the stop has arrived
        }
    };
    // Said by the service, or by the transport on this side, which makes no new calls on a connection that ends; its codes
    // differ with the moment.
    let by_transport = std::error::Error::source(&refused).is_some();
    assert!(refused.code() == Code::Unavailable || by_transport, "{refused:?}");
    tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    service.ended().await.unwrap();
    assert!(
        std::net::TcpStream::connect(service.address).is_err(),
        "nobody listens any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_drain_timeout_what_runs_is_cancelled() {
    let mut service = TestService::start(|config| {
        config.max_concurrent_requests = 1;
        config.max_waiting_requests = 0;
        config.drain_timeout = Duration::from_millis(100);
    })
    .await;
    let running = occupy(&service, 3600.0).await;
    service.ask_to_stop();
    let status = tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    service.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_start_says_why() {
    let start = async |change: &dyn Fn(&mut ServiceConfig)| -> ServiceError {
        let root = root();
        let mut config = ServiceConfig::new(root.path().to_owned());
        change(&mut config);
        let service = Service {
            name: "test".to_owned(),
            version: "1".to_owned(),
            operations: registry(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ended = serve_all(service, config, listener, std::future::pending());
        tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap_err()
    };
    let error = start(&|config| config.root = config.root.join("none")).await;
    assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
    let error = start(&|config| config.operations = Some(vec!["merge".to_owned()])).await;
    assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    assert!(error.to_string().contains("identity, probe"), "{error}");
    let twice = vec!["probe".to_owned(), "probe".to_owned()];
    let error = start(&|config| config.operations = Some(twice.clone())).await;
    assert!(matches!(error, ServiceError::Registry(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_gone_turns_health_and_one_that_is_back_is_found() {
    let service = TestService::start(|_| {}).await;
    let root = service.root.path().to_owned();
    let away = root.with_extension("away");
    let becomes = async |expected: ServingStatus| {
        let mut health = HealthClient::new(channel(service.address).await);
        let started = Instant::now();
        while health
            .check(HealthCheckRequest::default())
            .await
            .unwrap()
            .get_ref()
            .status()
            != expected
        {
            assert!(
                started.elapsed() < PATIENCE,
                "health does not become {expected:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    std::fs::rename(&root, &away).unwrap();
    becomes(ServingStatus::NotServing).await;
    let mut request = identity(&small());
    request.exchange_folder = root.join("exchange").display().to_string();
    let status = service.client.clone().process(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("root folder"), "{status:?}");
    // made anew: another folder under the same path
    std::fs::create_dir_all(root.join("exchange")).unwrap();
    becomes(ServingStatus::Serving).await;
    service.client.clone().process(request).await.unwrap();
    std::fs::remove_dir_all(&away).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_whether_it_sees_the_same_volume() {
    let (service, other) = (TestService::start(|_| {}).await, TestService::start(|_| {}).await);
    let endpoints =
        [&service, &other].map(|service| ("probe".to_owned(), format!("http://{}", service.address)));
    let root = Root::beneath(service.root.path()).unwrap();
    let found =
        blocking(move || check_mounts(&endpoints, &root, Path::new("exchange"), PATIENCE).unwrap()).await;
    assert_eq!(found[0].state, MountState::Same);
    assert!(matches!(found[1].state, MountState::Other { .. }), "{}", found[1]);
    assert!(service.files("exchange").is_empty());
}
