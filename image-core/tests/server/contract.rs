//! The services as a stranger sees them: reflection, inspection, resizing, messages that are none.

use nephrite_proto::v1::resize_request::Target;
use nephrite_proto::v1::{
    ListRequest, ModelServiceInspectRequest, ResizeRequest, RunResponse, Shape, VolumeServiceInspectRequest,
};
use tokio_stream::StreamExt as _;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, IntoRequest, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::{MODEL, SMALL_SCAN, TWO_CHANNELS, TestServer, long_run, small_run};

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services() {
    let server = TestServer::start(|_| {}).await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(server.channel().await);
    let answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let answer = answers.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in [
        "nephrite.v1.SegmentationService",
        "nephrite.v1.VolumeService",
        "nephrite.v1.ModelService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_inspected_and_resized() {
    let server = TestServer::start(|_| {}).await;
    let inspect = async |input: &str| {
        let request = VolumeServiceInspectRequest {
            input: input.to_owned(),
        };
        server.client.inspect_volume(request).await.unwrap()
    };
    let info = inspect(SMALL_SCAN).await;
    assert_eq!(info.dims, [37, 22, 30]);
    assert_eq!(
        (info.nifti_version, info.affine.len(), info.orientation.len()),
        (1, 16, 3)
    );
    assert!((info.spacing.unwrap().z - 1.5).abs() < 1e-6);

    let request = ResizeRequest {
        input: SMALL_SCAN.to_owned(),
        output: "results/resized.nii.gz".to_owned(),
        target: Some(Target::Shape(Shape { x: 20, y: 11, z: 15 })),
        interpolation: None,
        label_map: false,
    };
    let resized = server.client.resize(request).await.unwrap();
    assert_eq!(resized.from_shape, Some(Shape { x: 37, y: 22, z: 30 }));
    assert!((resized.spacing.unwrap().z - 3.0).abs() < 1e-6);
    assert_eq!(inspect("results/resized.nii.gz").await.dims, [20, 11, 15]);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_and_inspected() {
    let server = TestServer::start(|_| {}).await;
    let listed = server.client.list_models(ListRequest::default()).await.unwrap();
    let folders: Vec<&str> = listed.models.iter().map(|model| model.folder.as_str()).collect();
    assert_eq!(folders, [MODEL, TWO_CHANNELS]);
    assert_eq!(listed.models[0].folds, ["fold_0", "fold_1", "fold_all"]);
    let request = ModelServiceInspectRequest {
        model: MODEL.to_owned(),
        ..Default::default()
    };
    let model = server.client.inspect_model(request).await.unwrap();
    assert_eq!(model.patch_size, [16, 20, 16]);
    assert_eq!(model.spacing_mm, [1.7, 1.6, 1.4]);
    assert_eq!((model.channels.len(), model.folds.len()), (1, 2));
    assert!(model.network_is_built_in && model.n_parameters.unwrap() > 100);
}

/// Calls a method with a message of another type.
async fn call<M: prost::Message + Default + 'static>(
    server: &TestServer,
    path: &'static str,
    message: M,
) -> Status {
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let codec = ProstCodec::<M, RunResponse>::default();
    let path = PathAndQuery::from_static(path);
    match client.server_streaming(message.into_request(), path, codec).await {
        Ok(response) => response.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_and_the_next_request_is_served() {
    let server = TestServer::start(|config| config.max_message_bytes = 2048).await;
    let run = "/nephrite.v1.SegmentationService/Run";
    // A number where `model` is a string.
    let status = call(&server, run, Shape { x: 1, y: 1, z: 1 }).await;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(named(&status), "invalid_argument");
    let status = call(&server, "/nephrite.v1.SegmentationService/Walk", Shape::default()).await;
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    assert_eq!(named(&status), "invalid_argument");
    let status = call(&server, "/nephrite.v2.SegmentationService/Run", Shape::default()).await;
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    assert_eq!(named(&status), "invalid_argument");
    let mut large = small_run("results/a.nii.gz");
    large.input = vec!["x".repeat(100); 30];
    let status = call(&server, run, large).await;
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    assert_eq!(named(&status), "limit_exceeded");
    let request = HealthCheckRequest {
        service: "nephrite.v1.NoService".to_owned(),
    };
    let unknown = HealthClient::new(server.channel().await)
        .check(request)
        .await
        .unwrap_err();
    assert_eq!(named(&unknown), "not_found", "{unknown:?}");

    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let mut request = small_run("results/a.nii.gz").into_request();
    request
        .metadata_mut()
        .insert("grpc-timeout", "soon".parse().unwrap());
    let codec = ProstCodec::<_, RunResponse>::default();
    let called = client
        .server_streaming(request, PathAndQuery::from_static(run), codec)
        .await;
    let malformed = called.unwrap_err();
    assert_eq!(malformed.code(), Code::InvalidArgument);
    assert_eq!(named(&malformed), "invalid_argument");
    server.serves().await;
}

/// A deadline that passes while the answer streams. One that passes before is the edge layer's own test: this client would
/// not wait for what the server says.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_deadline_names_its_code() {
    let server = TestServer::start(|_| {}).await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let mut request = long_run("results/a.nii.gz").into_request();
    request.set_timeout(std::time::Duration::from_secs(2));
    let codec = ProstCodec::<_, RunResponse>::default();
    let path = PathAndQuery::from_static("/nephrite.v1.SegmentationService/Run");
    let mut stream = client
        .server_streaming(request, path, codec)
        .await
        .unwrap()
        .into_inner();
    let status = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!(
        (status.code(), named(&status)),
        (Code::DeadlineExceeded, "deadline_exceeded")
    );
    server.serves().await;
}

/// What the status names as its code.
fn named(status: &Status) -> &str {
    let name = status.metadata().get("nephrite-error-code");
    name.unwrap_or_else(|| panic!("{status:?} names no code"))
        .to_str()
        .unwrap()
}
