//! A synthetic patient with three phases and the demo models, beneath one root; cores and services around it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_engine::Provider;
use nephrite_image_core::case::{
    CaseError, CaseEvent, CaseEvents, CasePipeline, CaseReport, CaseRequest, CaseServices, Profile,
    RemoteCoreSettings, ServiceSettings, run_case,
};
use nephrite_image_core::masks::{Endpoint, OperationSettings};
use nephrite_image_core::server::{self, ServeConfig};
use nephrite_image_core::{Core, CoreSettings, ModelBudget, Root, RuntimeSettings, StepBudget};
use nephrite_kernel::Registry;
use nephrite_kernel::grpc::{Service, ServiceConfig, serve_all};
use nephrite_phantom::PhantomSpec;
use nephrite_phantom::models::demo_models;
use nephrite_types::{CancelToken, Geometry, Limits, Phase, Shape3, Spacing, Stage, Volume};
use nephrite_volume::{SourceGeometry, write_volume};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) const KIDNEYS: &str = "models/Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres";
pub(crate) const ARTERIES: &str = "models/Dataset901_DemoArtery/nnUNetTrainer__nnUNetPlans__3d_fullres";
pub(crate) const URETERS: &str = "models/Dataset903_DemoUreter/nnUNetTrainer__nnUNetPlans__3d_fullres";

/// Three models, the arteries only around the kidneys, merged, cleaned and sampled. As few tiles as can be: what is tested
/// does not depend on them.
pub(crate) const PIPELINE: &str = r#"
reference = "portal_venous"

[[models]]
id = "kidneys"
model = "models/Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres"
phases = ["portal_venous"]
no_mirroring = true
tile_step_size = 1.0

[[models]]
id = "arteries"
model = "models/Dataset901_DemoArtery/nnUNetTrainer__nnUNetPlans__3d_fullres"
phases = ["arterial"]
no_mirroring = true
tile_step_size = 1.0
crop = { step = "kidneys", labels = ["kidney"], margin_mm = 30 }

[[models]]
id = "ureters"
model = "models/Dataset903_DemoUreter/nnUNetTrainer__nnUNetPlans__3d_fullres"
phases = ["delayed"]
optional = true
no_mirroring = true
tile_step_size = 1.0

[[masks]]
id = "all"
operation = "merge"
inputs = { masks = ["kidneys", "arteries", "ureters"] }

[[masks]]
id = "clean"
operation = "cleanup"
inputs = { mask = "all" }
parameters = { min_volume_mm3 = 50 }

[[masks]]
id = "numbers"
operation = "sample"
inputs = { mask = "clean" }
artefacts = true

[[samples]]
id = "look"
step = "clean"
labels = ["kidney"]
margin_mm = 10

[[save]]
step = "clean"
file = "abdomen.nii.gz"

[[save]]
step = "kidneys"
file = "kidneys.nii.gz"
"#;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Models, scans and pipelines; a coarse grid, so that a case takes seconds.
pub(crate) struct Patient {
    pub(crate) root: TempDir,
}

impl Patient {
    pub(crate) fn new() -> Patient {
        let root = tempfile::tempdir().unwrap();
        let dir = |path: &str| {
            fs::create_dir_all(root.path().join(path)).unwrap();
            Dir::open_ambient_dir(root.path().join(path), ambient_authority()).unwrap()
        };
        for model in demo_models() {
            model.write_to(&dir("models")).unwrap();
        }
        let spec = PhantomSpec {
            shape: Shape3::new([48, 80, 80]).unwrap(),
            spacing: Spacing::new([6.0, 4.0, 4.0]).unwrap(),
            ..PhantomSpec::demo(7)
        };
        let scans = dir("scans");
        for (phase, volume) in spec.generate().phases {
            write(&scans, &format!("{phase}.nii.gz"), &volume);
        }
        dir("results");
        dir("exchange");
        fs::write(root.path().join("pipeline.toml"), PIPELINE).unwrap();
        Patient { root }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn pipeline(&self, name: &str, text: &str) -> CasePipeline {
        fs::write(self.path(name), text).unwrap();
        CasePipeline::File(name.into())
    }

    /// All three phases through the pipeline.
    pub(crate) fn request(&self, output: &str) -> CaseRequest {
        let phases = [Phase::Arterial, Phase::PortalVenous, Phase::Delayed];
        CaseRequest {
            pipeline: CasePipeline::File("pipeline.toml".into()),
            scans: phases
                .map(|phase| (phase, format!("scans/{phase}.nii.gz").into()))
                .into(),
            steps: Vec::new(),
            profile: Profile::Full,
            phases: Vec::new(),
            output: format!("results/{output}").into(),
            strict_geometry: false,
            check_phases: false,
        }
    }

    pub(crate) fn core(&self) -> Core {
        self.core_with(StepBudget::default())
    }

    pub(crate) fn core_with(&self, steps: StepBudget) -> Core {
        Core::new(CoreSettings {
            root: Root::beneath(self.root.path()).unwrap(),
            limits: Limits::default(),
            runtime: RuntimeSettings::new(Provider::Cpu, Some(2), None, ort_dylib_path()),
            models: ModelBudget::default(),
            steps,
        })
    }

    /// Runs a request in this process.
    pub(crate) fn run_here(&self, core: &Core, request: &CaseRequest) -> Result<CaseReport, CaseError> {
        let services = CaseServices::new(&ServiceSettings::default(), core.root());
        run_case(
            core,
            &services,
            request,
            &RecordedEvents::default(),
            &CancelToken::new(),
        )
    }

    /// Every file of a result folder but the record.
    pub(crate) fn files(&self, output: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path("results").join(output), Path::new(""), &mut files);
        assert!(files.remove("record.json").is_some(), "no record in {output}");
        files
    }

    /// Nothing is left of a case that failed: no result folder, no file of an exchange.
    pub(crate) fn assert_nothing_left(&self, output: &str) {
        assert!(!self.path("results").join(output).exists(), "{output} is left");
        for folder in ["results", "exchange"] {
            let left: Vec<_> = fs::read_dir(self.path(folder))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| folder == "exchange" || name.starts_with('.'))
                .collect();
            assert!(left.is_empty(), "{folder}: {left:?}");
        }
    }
}

pub(crate) fn write(folder: &Dir, name: &str, volume: &Volume) {
    write_volume(
        folder,
        name,
        volume,
        &SourceGeometry::from_geometry(&volume.geometry),
    )
    .unwrap();
}

/// A grid of the same voxels somewhere else.
pub(crate) fn moved(geometry: &Geometry, by_mm: [f64; 3]) -> Geometry {
    let rows = geometry.affine.rows();
    let rows = [0, 1, 2].map(|r| [rows[r][0], rows[r][1], rows[r][2], rows[r][3] + by_mm[r]]);
    Geometry {
        affine: nephrite_types::Affine::new(rows).unwrap(),
        ..*geometry
    }
}

fn collect(folder: &Path, below: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            collect(folder, &path, files);
        } else {
            files.insert(path.display().to_string(), fs::read(entry.path()).unwrap());
        }
    }
}

fn ort_dylib_path() -> Option<PathBuf> {
    std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from)
}

/// Keeps all events.
#[derive(Default)]
pub(crate) struct RecordedEvents(pub(crate) Mutex<Vec<CaseEvent>>);

impl CaseEvents for RecordedEvents {
    fn event(&self, event: CaseEvent) {
        self.0.lock().unwrap().push(event);
    }
}

/// Does something once, when a step comes to a stage.
pub(crate) struct AtStage<F> {
    stage: Stage,
    act: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send> AtStage<F> {
    pub(crate) fn new(stage: Stage, act: F) -> AtStage<F> {
        AtStage {
            stage,
            act: Mutex::new(Some(act)),
        }
    }
}

impl<F: FnOnce() + Send> CaseEvents for AtStage<F> {
    fn event(&self, event: CaseEvent) {
        let CaseEvent::Stage { stage, .. } = event else {
            return;
        };
        if stage == self.stage {
            let act = self.act.lock().unwrap().take();
            if let Some(act) = act {
                act();
            }
        }
    }
}

/// Processes around a core, as threads of this one.
pub(crate) struct Around {
    pub(crate) runtime: Runtime,
    stops: Vec<oneshot::Sender<()>>,
}

impl Around {
    pub(crate) fn new() -> Around {
        Around {
            runtime: Runtime::new().unwrap(),
            stops: Vec::new(),
        }
    }

    /// The mask services; gives their address.
    pub(crate) fn mask_services(&mut self, root: &Path) -> SocketAddr {
        self.service(root, nephrite_mask_services::operations())
    }

    /// A service of these operations.
    pub(crate) fn service(&mut self, root: &Path, operations: Registry) -> SocketAddr {
        let service = Service {
            name: "mask-services".to_owned(),
            version: "1".to_owned(),
            operations,
        };
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        self.stops.push(stop);
        let config = ServiceConfig::new(root.to_owned());
        self.runtime.spawn(serve_all(service, config, listener, async {
            let _ = stopped.await;
        }));
        address
    }

    /// Another core.
    pub(crate) fn core(&mut self, root: &Path, change: impl FnOnce(&mut ServeConfig)) -> SocketAddr {
        let mut config = ServeConfig::new(root.to_owned());
        config.ort_dylib_path = ort_dylib_path();
        config.threads = std::num::NonZeroUsize::new(1);
        change(&mut config);
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        self.stops.push(stop);
        self.runtime.spawn(server::run(config, listener, async {
            let _ = stopped.await;
        }));
        let ready = Instant::now();
        let mut client = None;
        while ready.elapsed() < PATIENCE {
            client = self
                .runtime
                .block_on(nephrite_proto::Client::connect(&format!("http://{address}")))
                .ok();
            let Some(client) = &client else { continue };
            let listed = self
                .runtime
                .block_on(client.list_models(nephrite_proto::v1::ListRequest::default()));
            if listed.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(client.is_some(), "the core does not become ready");
        address
    }
}

/// Every operation at one service.
pub(crate) fn operations_at(address: SocketAddr) -> OperationSettings {
    let names = ["merge", "cleanup", "sample", "compare"];
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    OperationSettings {
        endpoints: names.map(|name| (name.to_owned(), endpoint.clone())).into(),
        exchange: Some("exchange".into()),
        timeout: Duration::from_secs(60),
    }
}

/// A core that owns one model.
pub(crate) fn owner(name: &str, address: SocketAddr, model: &str) -> RemoteCoreSettings {
    RemoteCoreSettings {
        name: name.to_owned(),
        address: format!("http://{address}"),
        models: vec![model.into()],
    }
}
