//! A service on port 0 over a temporary root, and masks to send.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephrite_kernel::grpc::{RemoteService, RemoteSettings, Service, ServiceConfig, ServiceError, serve_all};
use nephrite_kernel::test_util::Identity;
use nephrite_kernel::{
    CancelToken, Context, InputSpec, Inputs, LabelEntry, LabelStatus, LabelTable, Limits, Mask,
    MaskOperation, Measurement, OperationDescription, OperationError, Outcome, OutputSpec, ParameterKind,
    ParameterSpec, ParameterValue, Parameters, Registry, Run, RunMaskBuilder,
};
use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::mask_service_client::MaskServiceClient;
use nephrite_proto::v1::{self, ProcessRequest};
use nephrite_root::Root;
use nephrite_types::{Affine, Geometry, Shape3, Spacing};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running service with the operations `identity` and `probe`.
pub(crate) struct TestService {
    pub(crate) root: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) client: MaskServiceClient<Channel>,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<JoinHandle<Result<(), ServiceError>>>,
}

/// A root with folders for files.
pub(crate) fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["masks", "exchange", "files"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    root
}

pub(crate) fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.register(Arc::new(Identity::default())).unwrap();
    registry.register(Arc::new(Probe::new())).unwrap();
    registry
}

impl TestService {
    /// Starts a service and waits until it serves.
    pub(crate) async fn start(change: impl FnOnce(&mut ServiceConfig)) -> TestService {
        TestService::launch(SocketAddr::from(([127, 0, 0, 1], 0)), change).await
    }

    /// The same, at an address.
    pub(crate) async fn start_at(address: SocketAddr) -> TestService {
        TestService::launch(address, |_| {}).await
    }

    async fn launch(address: SocketAddr, change: impl FnOnce(&mut ServiceConfig)) -> TestService {
        let root = root();
        let mut config = ServiceConfig::new(root.path().to_owned());
        change(&mut config);
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Service {
            name: "test".to_owned(),
            version: "1".to_owned(),
            operations: registry(),
        };
        let ended = tokio::spawn(serve_all(service, config, listener, async {
            let _ = stopped.await;
        }));
        let channel = channel(address).await;
        let mut health = HealthClient::new(channel.clone());
        let serving = async {
            loop {
                let answer = health.check(HealthCheckRequest::default()).await.unwrap();
                if answer.into_inner().status() == ServingStatus::Serving {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, serving).await.unwrap();
        TestService {
            root,
            address,
            client: MaskServiceClient::new(channel),
            stop: Some(stop),
            ended: Some(ended),
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Asks the service to stop.
    pub(crate) fn ask_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> Result<(), ServiceError> {
        let ended = self.ended.take().unwrap();
        tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap()
    }

    /// Sends a mask through, as proof that the service still serves.
    pub(crate) async fn serves(&self) {
        let reply = self.client.clone().process(identity(&small())).await.unwrap();
        assert_eq!(decoded(&reply.get_ref().masks[0]), small());
    }

    /// Names of files in a folder; hidden ones too.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The service as the core calls it.
    pub(crate) fn remote(&self, change: impl FnOnce(&mut RemoteSettings)) -> Arc<RemoteService> {
        let mut settings = settings(&format!("http://{}", self.address));
        settings.root = Arc::new(Root::beneath(self.root.path()).unwrap());
        settings.exchange_folder = Some("exchange".into());
        change(&mut settings);
        Arc::new(RemoteService::new(settings))
    }
}

pub(crate) fn settings(endpoint: &str) -> RemoteSettings {
    RemoteSettings {
        name: "probe".to_owned(),
        endpoint: endpoint.to_owned(),
        timeout: PATIENCE,
        root: Arc::new(Root::filesystem()),
        exchange_folder: None,
    }
}

pub(crate) async fn channel(address: SocketAddr) -> Channel {
    let uri = format!("http://{address}");
    Channel::from_shared(uri).unwrap().connect().await.unwrap()
}

/// Blocks in a thread of its own, as calls of a remote operation must.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(call))
        .await
        .unwrap()
        .unwrap()
}

/// Runs an operation with no files.
pub(crate) async fn run(
    service: &Arc<RemoteService>,
    operation: &'static str,
    inputs: Inputs,
    parameters: &[(&str, ParameterValue)],
) -> Result<Outcome, OperationError> {
    run_with(service, operation, inputs, parameters, CancelToken::new()).await
}

pub(crate) async fn run_with(
    service: &Arc<RemoteService>,
    operation: &'static str,
    inputs: Inputs,
    parameters: &[(&str, ParameterValue)],
    cancel: CancelToken,
) -> Result<Outcome, OperationError> {
    let (service, parameters) = (service.clone(), values(parameters));
    blocking(move || {
        let context = Context {
            limits: &Limits::default(),
            cancel: &cancel,
            artefacts: None,
        };
        service.run(operation, &inputs, &parameters, &context)
    })
    .await
}

pub(crate) fn values(parameters: &[(&str, ParameterValue)]) -> BTreeMap<String, ParameterValue> {
    let named = parameters.iter();
    named
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn geometry(shape: [usize; 3]) -> Geometry {
    let spacing = Spacing::new([2.7, 0.7, 0.1]).unwrap();
    Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.1, -0.2, 0.3]),
    }
}

fn mask_of(shape: [usize; 3], row: impl Fn(usize) -> Vec<Run>) -> Mask {
    let limits = Limits::default();
    let mut builder = RunMaskBuilder::new(geometry(shape), &limits).unwrap();
    for idx in 0..shape[0] * shape[1] {
        builder.push_row(row(idx)).unwrap();
    }
    let entry = |id, name: &str, status| LabelEntry {
        id,
        name: name.to_owned(),
        status,
    };
    let labels = vec![
        entry(1, "kidney", LabelStatus::Present),
        entry(2, "cyst", LabelStatus::Present),
        entry(300, "ureter", LabelStatus::Failed),
    ];
    Mask::new(builder.finish().unwrap(), LabelTable::new(labels).unwrap()).unwrap()
}

/// A few runs of two labels; a third failed.
pub(crate) fn small() -> Mask {
    let run = |start, end, label| Run { start, end, label };
    mask_of([3, 4, 9], |row| vec![run(1, 3, 1), run(3, 5 + row as u32 % 4, 2)])
}

/// Noise: more than 1 MiB encoded.
pub(crate) fn large() -> Mask {
    let mut state = 1u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let rows: Vec<Vec<Run>> = (0..200 * 128)
        .map(|_| {
            let mut at = 0;
            let runs = std::iter::from_fn(|| {
                let start = at + random() % 2;
                let end = start + 1 + random() % 2;
                at = end;
                (end <= 256).then_some(Run {
                    start,
                    end,
                    label: 1 + (random() % 2) as u16,
                })
            });
            runs.collect()
        })
        .collect();
    mask_of([200, 128, 256], |row| rows[row].clone())
}

pub(crate) fn encoded(mask: &Mask) -> v1::EncodedMask {
    nephrite_mask_codec::EncodedMask::encode(mask).unwrap().into()
}

pub(crate) fn named(name: &str, content: Content) -> v1::NamedMask {
    v1::NamedMask {
        name: name.to_owned(),
        mask: Some(v1::Mask {
            content: Some(content),
            labels: Vec::new(),
            grid: String::new(),
        }),
    }
}

/// The mask of a reply that travels inside.
pub(crate) fn decoded(named: &v1::NamedMask) -> Mask {
    let Some(Content::Encoded(encoded)) = named.mask.clone().unwrap().content else {
        panic!("the mask should be inside of the message");
    };
    let encoded = nephrite_mask_codec::EncodedMask::try_from(encoded).unwrap();
    encoded.decode(&Limits::default()).unwrap()
}

/// A request for `identity`.
pub(crate) fn identity(mask: &Mask) -> ProcessRequest {
    ProcessRequest {
        operation: "identity".to_owned(),
        inputs: vec![named("mask", Content::Encoded(encoded(mask)))],
        ..Default::default()
    }
}

pub(crate) fn number(value: f64) -> v1::ParameterValue {
    v1::ParameterValue {
        value: Some(v1::parameter_value::Value::Number(value)),
    }
}

/// Takes a list of masks on one grid, gives back the first, writes a file and measures.
struct Probe(OperationDescription);

impl Probe {
    fn new() -> Self {
        let mut description = OperationDescription::new("probe", "2.0.0", "for tests");
        description
            .inputs
            .push(InputSpec::required("masks", "any").repeated().on_first_grid());
        let times = ParameterKind::Integer { min: 1, max: 9 };
        let times = ParameterSpec::new("times", times, "how often the mask comes")
            .default(ParameterValue::Integer(1));
        description.parameters.push(times);
        let fail = ParameterSpec::new("fail", ParameterKind::Flag, "fails when the file is written");
        description.parameters.push(fail);
        let panic = ParameterSpec::new("panic", ParameterKind::Flag, "panics when the file is written");
        description.parameters.push(panic);
        description
            .outputs
            .push(OutputSpec::like_input("mask", "masks", "the first"));
        description.artefacts = true;
        Probe(description)
    }
}

impl MaskOperation for Probe {
    fn description(&self) -> &OperationDescription {
        &self.0
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let masks = inputs.all("masks");
        let written = context.artefacts.map(|artefacts| {
            artefacts.write("note.txt", "text/plain", |out| {
                write!(out, "{} masks", masks.len())
            })
        });
        let written = written.transpose()?;
        assert!(!parameters.flag("panic"), "told to panic");
        if parameters.flag("fail") {
            return Err(OperationError::Other {
                code: nephrite_types::ErrorCode::Internal,
                message: "told to fail".to_owned(),
            });
        }
        Ok(Outcome {
            masks: vec![("mask".to_owned(), masks[0].clone())],
            artefacts: written.into_iter().collect(),
            measurements: vec![Measurement {
                label: "kidney".to_owned(),
                name: "times".to_owned(),
                unit: String::new(),
                value: parameters.integer("times").unwrap() as f64,
            }],
            ..Outcome::default()
        })
    }
}
