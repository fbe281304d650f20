//! The configuration file of a server.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nephrite_cpu::Level;
use nephrite_dicom::SeriesOptions;
use nephrite_dicomweb::ServerSettings;
use nephrite_engine::{Provider, precisions};
use nephrite_pipeline::model_keys;
use nephrite_server::LogFormat;
use nephrite_server::settings::{self, MAX_SECONDS, limit};
use nephrite_settings::kind::{Kind, either, flag, list, parsed, path, seconds, text, whole};
use nephrite_settings::{Fault, Reference, Section, parse, read_config};
use nephrite_types::{Limits, Precision};

use super::ServeError;
use super::cuda_config::read_cuda;
use super::dicom_config::read_dicom;
use super::dicomweb_config::read_dicomweb;
use super::jobs_config::{read_jobs, read_worker};
use crate::core::StepBudget;
use crate::jobs::{JobsConfig, WorkerConfig};
use crate::masks::{Endpoint, OperationSettings};
use crate::model::{CpuSettings, CudaSettings, ModelBudget, ModelChoice, RuntimeSettings, precisions_of};
use crate::place::{RemoteCoreSettings, ServiceSettings};

/// What `nephrite serve` is told by its configuration file; all of it checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ServeConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder that all paths of requests lie beneath.
    pub root: PathBuf,
    /// What runs the networks.
    pub provider: Provider,
    /// CPU threads of the network; what the control group grants if not given.
    pub threads: Option<NonZeroUsize>,
    /// In what networks compute; what the provider takes if `None`.
    pub precision: Option<Precision>,
    /// How our own kernels compute, with provider `cpu`.
    pub cpu: CpuSettings,
    /// How cards run networks, with provider `cuda`.
    pub cuda: CudaSettings,
    /// ONNX Runtime's library or its folder.
    pub onnxruntime: Option<PathBuf>,
    /// The value of `ORT_DYLIB_PATH`, as the program read it; not from the file.
    pub ort_dylib_path: Option<PathBuf>,
    /// Loaded and warmed up before the server says that it serves.
    pub models: Vec<ModelChoice>,
    /// Runs, resizes and loads that work at once, at least 1.
    pub max_concurrent_runs: usize,
    /// Runs, resizes and loads that wait for their turn; one more is refused.
    pub max_waiting_runs: usize,
    /// Bytes of one request message.
    pub max_message_bytes: usize,
    /// How long running requests may go on after the server was asked to stop.
    pub drain_timeout: Duration,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What one request may cost.
    pub limits: Limits,
    /// What may stay in memory.
    pub resident: ModelBudget,
    /// What steps that run beside each other may take.
    pub steps: StepBudget,
    /// Where mask operations run.
    pub operations: OperationSettings,
    /// Cores that own models, in order of preference.
    pub cores: Vec<RemoteCoreSettings>,
    /// For one model step in another core.
    pub core_timeout: Duration,
    /// Odd geometry is an error for every request.
    pub strict_geometry: bool,
    /// How jobs are kept; none are if `None`.
    pub jobs: Option<JobsConfig>,
    /// What this process's workers have.
    pub worker: WorkerConfig,
    /// How irregular a DICOM series may be.
    pub series: SeriesOptions,
    /// DICOMweb servers, by their names.
    pub dicomweb: Vec<ServerSettings>,
}

/// Entries of `[[models]]`.
const MAX_MODELS: usize = 256;
/// Entries of `[[cores]]`.
const MAX_CORES: usize = 256;

impl ServeConfig {
    /// The defaults, for a root folder.
    pub fn new(root: PathBuf) -> Self {
        ServeConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 7443)),
            root,
            provider: Provider::Cpu,
            threads: None,
            precision: None,
            cpu: CpuSettings::default(),
            cuda: CudaSettings::default(),
            onnxruntime: None,
            ort_dylib_path: None,
            models: Vec::new(),
            max_concurrent_runs: 1,
            max_waiting_runs: 8,
            max_message_bytes: 1 << 20,
            drain_timeout: Duration::from_secs(30),
            log_format: LogFormat::Text,
            limits: Limits::default(),
            resident: ModelBudget::default(),
            steps: StepBudget::default(),
            operations: OperationSettings::default(),
            cores: Vec::new(),
            core_timeout: ServiceSettings::default().core_timeout,
            strict_geometry: false,
            jobs: None,
            worker: WorkerConfig::default(),
            series: SeriesOptions::default(),
            dicomweb: Vec::new(),
        }
    }

    /// What runs the networks.
    pub fn runtime(&self) -> RuntimeSettings {
        RuntimeSettings {
            precision: self.precision,
            cpu: self.cpu,
            cuda: self.cuda.clone(),
            ..RuntimeSettings::new(
                self.provider,
                self.threads.map(NonZeroUsize::get),
                self.onnxruntime.clone(),
                self.ort_dylib_path.clone(),
            )
        }
    }

    /// What jobs may ask of this process: its provider, its precision if that is not what the provider takes by itself, and what its
    /// workers have.
    pub(super) fn capabilities(&self) -> Vec<String> {
        let mut capabilities = vec![self.provider.name().to_owned()];
        let precision = self
            .precision
            .filter(|precision| *precision != precisions(self.provider)[0]);
        capabilities.extend(precision.map(|precision| precision.name().to_owned()));
        capabilities.extend(self.worker.capabilities.iter().cloned());
        capabilities
    }

    /// Where steps run.
    pub fn services(&self) -> ServiceSettings {
        ServiceSettings {
            operations: self.operations.clone(),
            cores: self.cores.clone(),
            core_timeout: self.core_timeout,
        }
    }

    /// Reads a configuration file. `root` and `onnxruntime` are relative to its folder.
    ///
    /// # Errors
    /// [`ServeError::Config`] with all faults at once.
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        Ok(read_config(path, ServeConfig::from_toml)?)
    }

    /// Reads configuration text; relative paths start at `folder`.
    ///
    /// # Errors
    /// Every fault, with its place. Of a text that is no TOML, those of its form.
    pub fn from_toml(text: &[u8], folder: &Path) -> Result<Self, Vec<Fault>> {
        parse(text, |top| read_top(top, folder))
    }

    /// All keys of the file.
    pub fn reference() -> Reference {
        let about =
            "What `nephrite serve --config FILE` reads; commands that run steps elsewhere read it too.";
        Reference::of("Server", about, |top| read_top(top, Path::new("")))
    }
}

fn read_top(top: &mut Section<'_>, folder: &Path) -> ServeConfig {
    let default = ServeConfig::new(settings::root(top, folder));
    let library = "ORT_DYLIB_PATH, then beside the program, then the build folder";
    let (resident, steps) = (default.resident, default.steps);
    let listen = settings::listen(top, default.listen);
    let provider = top.get(
        "provider",
        parsed("cpu, cuda or openvino"),
        default.provider,
        "what runs the networks; never replaced by another one",
    );
    let mut config = ServeConfig {
        listen,
        provider,
        threads: settings::threads(top),
        precision: read_precision(top, provider),
        cpu: read_cpu(top, provider),
        cuda: read_cuda(top, provider, folder),
        onnxruntime: top
            .option(
                "onnxruntime",
                path("a file or folder"),
                library,
                "ONNX Runtime's shared library, or its folder, relative to the file; exported networks need it, and provider openvino",
            )
            .map(|path| folder.join(path)),
        max_concurrent_runs: settings::max_concurrent(
            top,
            "max_concurrent_runs",
            default.max_concurrent_runs,
            "runs, resizes and loads that work at once",
        ),
        max_waiting_runs: settings::max_waiting(
            top,
            "max_waiting_runs",
            default.max_waiting_runs,
            "runs, resizes and loads that wait; one more is RESOURCE_EXHAUSTED",
        ),
        max_message_bytes: settings::max_message_bytes(top, default.max_message_bytes),
        drain_timeout: settings::drain_timeout(top, default.drain_timeout),
        log_format: settings::log_format(top, default.log_format),
        steps: StepBudget {
            max_networks: settings::max_concurrent(
                top,
                "max_networks",
                steps.max_networks,
                "networks that run at once; they share the threads",
            ),
            max_memory_bytes: settings::max_memory_bytes(top),
            ..steps
        },
        strict_geometry: top.get(
            "strict_geometry",
            flag(),
            default.strict_geometry,
            "odd geometry of a scan is an error for every request, not a warning",
        ),
        core_timeout: top.get(
            "core_timeout_seconds",
            timeout(),
            default.core_timeout,
            "for one model step in another core",
        ),
        operations: read_operations(top, default.operations),
        jobs: read_jobs(top, folder),
        worker: read_worker(top),
        series: read_dicom(top),
        dicomweb: read_dicomweb(top, folder),
        limits: top.table("limits", "what one request may cost", |section| {
            read_limits(section, &default.limits)
        }),
        cores: top
            .tables(
                "cores",
                MAX_CORES,
                "cores that own models; the next takes over where one fails",
                read_core,
            )
            .into_iter()
            .flatten()
            .collect(),
        models: top
            .tables(
                "models",
                MAX_MODELS,
                "loaded and warm before the server says that it serves",
                read_model,
            )
            .into_iter()
            .flatten()
            .collect(),
        ..default
    };
    (config.resident, config.steps.max_volume_bytes) =
        top.table("resident", "what stays in memory between requests", |section| {
            read_resident(section, &resident, &steps)
        });
    config
}

/// What only provider `cpu` has.
fn read_cpu(top: &mut Section<'_>, provider: Provider) -> CpuSettings {
    let of_cpu = provider == Provider::Cpu;
    let instructions: Kind<Level> = match of_cpu {
        true => parsed("avx512, avx2, neon or portable"),
        false => text("none with any provider but cpu", |_| None),
    };
    let pin_threads = match of_cpu {
        true => flag(),
        false => either("true or false", "false with any provider but cpu", |value| {
            value.flag().filter(|is_on| !is_on)
        }),
    };
    let default = CpuSettings::default();
    CpuSettings {
        instructions: top.option(
            "instructions",
            instructions,
            "the best of this processor",
            "what networks use on provider cpu; for tests and comparisons",
        ),
        pin_threads: top.get(
            "pin_threads",
            pin_threads,
            default.pin_threads,
            "each thread of the networks stays on one core of those that the process may use; provider cpu only",
        ),
    }
}

/// In what networks compute.
fn read_precision(top: &mut Section<'_>, provider: Provider) -> Option<Precision> {
    let precision = text(precisions_of(provider), move |text| {
        text.parse()
            .ok()
            .filter(|precision| precisions(provider).contains(precision))
    });
    top.option(
        "precision",
        precision,
        "f32, with provider cuda half",
        "in what networks compute, unless a request says otherwise; bf16 needs provider cpu and a processor with AVX-512 BF16",
    )
}

fn timeout() -> Kind<Duration> {
    seconds((Bound::Excluded(0.0), Bound::Included(MAX_SECONDS)))
}

fn read_operations(top: &mut Section<'_>, default: OperationSettings) -> OperationSettings {
    let exchange = top.option(
        "exchange",
        path("a folder beneath the root"),
        "none",
        "where masks of more than 1 MiB are handed to services; on the volume that they share",
    );
    let timeout = top.get(
        "operation_timeout_seconds",
        timeout(),
        default.timeout,
        "for one call of a service, repetitions included",
    );
    let endpoints = top.entries(
        "operations",
        text("an address such as \"http://cleanup:7444\"", Endpoint::parse),
        0,
        "{ cleanup = \"http://cleanup:7444\" }",
        "all in this process",
        "services that run operations, by the name that steps use; all others run in this process",
    );
    OperationSettings {
        endpoints: endpoints.into_iter().flatten().collect(),
        exchange,
        timeout,
    }
}

/// `None` if something is missing; the fault is noted.
fn read_core(section: &mut Section<'_>) -> Option<RemoteCoreSettings> {
    let name = section.require(
        "name",
        text("a text that is not empty", |name| {
            (!name.is_empty()).then(|| name.to_owned())
        }),
        "stands in records and errors",
    );
    let address = text("an address such as \"http://kidney-core:7443\"", |text| {
        let endpoint = Endpoint::parse(text)?;
        endpoint.operation.is_none().then_some(endpoint.url)
    });
    let address = section.require("address", address, "where it listens");
    let models = section.require(
        "models",
        list(path(""), 1, "a list of at least one folder beneath the root"),
        "every model beneath one of these folders is this core's",
    );
    Some(RemoteCoreSettings {
        name: name?,
        address: address?,
        models: models?,
    })
}

fn read_limits(section: &mut Section<'_>, default: &Limits) -> Limits {
    let mut of = |key, default, help| limit(section, key, default, help);
    Limits {
        max_voxels: of("max_voxels", default.max_voxels, "voxels of one volume"),
        max_payload_bytes: of(
            "max_payload_bytes",
            default.max_payload_bytes,
            "bytes of the voxels of one file",
        ),
        max_checkpoint_bytes: of(
            "max_checkpoint_bytes",
            default.max_checkpoint_bytes,
            "bytes of one weight file",
        ),
        max_json_bytes: of(
            "max_json_bytes",
            default.max_json_bytes,
            "bytes of one JSON file of a model or record, and of one pipeline file",
        ),
        max_pickle_bytes: of(
            "max_pickle_bytes",
            default.max_pickle_bytes,
            "bytes of the pickle inside a checkpoint",
        ),
        max_tiles: of("max_tiles", default.max_tiles, "places of a patch in one scan"),
        max_accumulator_bytes: of(
            "max_accumulator_bytes",
            default.max_accumulator_bytes,
            "class sums and the output of one tile",
        ),
        max_network_bytes: of(
            "max_network_bytes",
            default.max_network_bytes,
            "weights and activations of one network on one patch",
        ),
        max_mask_rows: of(
            "max_mask_rows",
            default.max_mask_rows,
            "rows of one mask, z times y; each takes 4 bytes",
        ),
        max_mask_runs: of(
            "max_mask_runs",
            default.max_mask_runs,
            "runs of one mask; each takes 12 bytes",
        ),
        max_classes: limit(
            section,
            "max_classes",
            default.max_classes,
            "output channels of one network",
        ),
    }
}

/// What models may take, and what scans and network inputs.
fn read_resident(section: &mut Section<'_>, models: &ModelBudget, steps: &StepBudget) -> (ModelBudget, u64) {
    let models = ModelBudget {
        max_models: section.get("max_models", whole(0..), models.max_models, "models"),
        max_model_bytes: section.get(
            "max_model_bytes",
            whole(0..),
            models.max_model_bytes,
            "what they hold between runs: weights as they are computed with; with ONNX Runtime activations, too",
        ),
    };
    let volumes = section.get(
        "max_volume_bytes",
        whole(0..),
        steps.max_volume_bytes,
        "scans and network inputs",
    );
    (models, volumes)
}

/// `None` if the folder is missing; the fault is noted.
fn read_model(section: &mut Section<'_>) -> Option<ModelChoice> {
    let folder = section.require(
        "model",
        path("a folder beneath the root"),
        "folder of a trained model",
    );
    let (folds, checkpoint) = (model_keys::folds(section), model_keys::checkpoint(section));
    Some(ModelChoice {
        folder: folder?,
        folds,
        checkpoint,
        precision: model_keys::precision(section),
    })
}

#[cfg(test)]
mod tests {
    use nephrite_nnunet_folder::{CheckpointKind, FoldName, FoldSelection};
    use nephrite_settings::FaultKind;

    use nephrite_nnunet::{HalfCheck, Otherwise};

    use super::*;
    use crate::model::Device;

    fn read(text: &str) -> Result<ServeConfig, Vec<Fault>> {
        ServeConfig::from_toml(text.as_bytes(), Path::new("/etc/nephrite"))
    }

    #[test]
    fn a_root_is_enough_and_paths_start_at_the_file() {
        let config = read("root = 'data'").unwrap();
        assert_eq!(config, ServeConfig::new("/etc/nephrite/data".into()));
    }

    #[test]
    fn every_key_is_taken() {
        let config = read(
            "listen = '0.0.0.0:0'\nroot = '/data'\nprovider = 'cpu'\nprecision = 'bf16'\n\
             instructions = 'avx2'\npin_threads = true\nthreads = 3\nonnxruntime = 'lib'\n\
             max_concurrent_runs = 2\nmax_waiting_runs = 0\nmax_message_bytes = 4096\ndrain_timeout_seconds = 1.5\n\
             log_format = 'json'\nmax_networks = 2\n\
             max_memory_bytes = 15\ncore_timeout_seconds = 2\n[limits]\nmax_voxels = 5\nmax_payload_bytes = 6\nmax_checkpoint_bytes = 7\n\
             max_json_bytes = 8\nmax_pickle_bytes = 9\nmax_classes = 10\nmax_accumulator_bytes = 11\nmax_network_bytes = 21\n\
             max_mask_rows = 12\nmax_mask_runs = 13\nmax_tiles = 16\n\
             [resident]\nmax_models = 3\nmax_model_bytes = 12\nmax_volume_bytes = 14\n\
             [[models]]\nmodel = 'm/a'\nfolds = [0, 'all']\ncheckpoint = 'best'\n[[models]]\nmodel = 'm/b'\n\
             [[cores]]\nname = 'kidney'\naddress = 'http://kidney:7443'\nmodels = ['m/a']",
        )
        .unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:0");
        assert_eq!(config.root, Path::new("/data"));
        assert_eq!(config.provider, Provider::Cpu);
        let cpu = CpuSettings {
            instructions: Some(Level::Avx2),
            pin_threads: true,
        };
        assert_eq!((config.cpu, config.runtime().cpu), (cpu, cpu));
        assert_eq!(config.runtime().precision, Some(Precision::Bf16));
        assert_eq!(config.capabilities(), ["cpu", "bf16"]);
        assert_eq!(config.threads.unwrap().get(), 3);
        assert_eq!(config.onnxruntime.unwrap(), Path::new("/etc/nephrite/lib"));
        assert_eq!((config.max_concurrent_runs, config.max_waiting_runs), (2, 0));
        assert_eq!(config.max_message_bytes, 4096);
        assert_eq!(config.drain_timeout, Duration::from_millis(1500));
        assert_eq!(config.log_format, LogFormat::Json);
        let limits = Limits {
            max_voxels: 5,
            max_payload_bytes: 6,
            max_checkpoint_bytes: 7,
            max_json_bytes: 8,
            max_pickle_bytes: 9,
            max_classes: 10,
            max_tiles: 16,
            max_accumulator_bytes: 11,
            max_network_bytes: 21,
            max_mask_rows: 12,
            max_mask_runs: 13,
        };
        assert_eq!(config.limits, limits);
        assert_eq!(
            (config.resident.max_models, config.resident.max_model_bytes),
            (3, 12)
        );
        let folds = [
            FoldSelection::List(vec![FoldName::Number(0), FoldName::All]),
            FoldSelection::Available,
        ];
        let kinds = [CheckpointKind::Best, CheckpointKind::Final];
        for ((model, folds), kind) in config.models.iter().zip(folds).zip(kinds) {
            assert_eq!((&model.folds, model.checkpoint), (&folds, kind));
        }
        assert_eq!(config.models.len(), 2);
        let steps = StepBudget {
            max_volume_bytes: 14,
            max_networks: 2,
            max_memory_bytes: Some(15),
        };
        assert_eq!(config.steps, steps);
        assert_eq!(config.core_timeout, Duration::from_secs(2));
        let core = RemoteCoreSettings {
            name: "kidney".into(),
            address: "http://kidney:7443".into(),
            models: vec!["m/a".into()],
        };
        assert_eq!(config.cores, [core]);
    }

    #[test]
    fn what_only_the_cpu_has_is_a_fault_with_another_provider() {
        let config =
            read("root = '.'\nprovider = 'openvino'\nprecision = 'f32'\npin_threads = false").unwrap();
        assert_eq!(
            (config.provider, config.cpu),
            (Provider::OpenVino, CpuSettings::default())
        );
        assert_eq!(config.capabilities(), ["openvino"]);
        let told = |text: &str| -> Vec<String> {
            let faults = read(text).unwrap_err();
            faults.iter().map(|fault| fault.kind.to_string()).collect()
        };
        let of_cuda =
            "root = '.'\nprovider = 'cuda'\nprecision = 'bf16'\ninstructions = 'avx2'\npin_threads = true";
        assert_eq!(
            told(of_cuda),
            [
                "precision: \"bf16\", expected half, tf32 or f32 with provider cuda",
                "instructions: \"avx2\", expected none with any provider but cpu",
                "pin_threads: true, expected false with any provider but cpu",
            ]
        );
        assert_eq!(
            told("root = '.'\nprecision = 'f16'\ninstructions = 'sse2'\npin_threads = 1"),
            [
                "precision: \"f16\", expected f32 or bf16 with provider cpu",
                "instructions: \"sse2\", expected avx512, avx2, neon or portable",
                "pin_threads: 1, expected true or false",
            ]
        );
    }

    #[test]
    fn cards_are_set_up_where_cuda_runs_the_networks() {
        let text = "root = '.'\nprovider = 'cuda'\ndevices = ['cuda:1', 'cuda:0']\nprecision = 'tf32'\n\
             [cuda]\nhalf_check = 'refuse'\nhalf_agreement = 0.9\nmax_card_bytes = 7\nlibraries = ['l', '/m']\ncache = 'c'\n\
             [[models]]\nmodel = 'm'\nprecision = 'f32'";
        let config = read(text).unwrap();
        let expected = CudaSettings {
            devices: vec![Device(1), Device(0)],
            half_check: Some(HalfCheck {
                min_agreement: 0.9,
                otherwise: Otherwise::Refuse,
            }),
            max_memory_bytes: Some(7),
            libraries: vec!["/etc/nephrite/l".into(), "/m".into()],
            cache: Some("/etc/nephrite/c".into()),
            ..CudaSettings::default()
        };
        assert_eq!(config.cuda, expected);
        assert_eq!(config.models[0].precision, Some(Precision::F32));
        assert_eq!(config.capabilities(), ["cuda", "tf32"]);
        let plain = read("root = '.'\nprovider = 'cuda'").unwrap();
        assert_eq!((plain.cuda, plain.precision), (CudaSettings::default(), None));
        let faults = read("root = '.'\ndevices = ['cuda:0']\n[cuda]\nhalf_agreement = 1.5").unwrap_err();
        let told: Vec<String> = faults.iter().map(|fault| fault.kind.to_string()).collect();
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let faults = read(
            "lisen = 'x'\nlisten = 'nowhere'\nprovider = 'gpu'\nthreads = 0\nmax_waiting_runs = -1\n\
             drain_timeout_seconds = nan\nlog_format = 3\n[limits]\nmax_voxel = 1\nmax_classes = 0\n\
             [[models]]\nfolds = []\n[[models]]\nmodel = 'm'\nfold = 1\n\
             [[cores]]\nname = 'x'\naddress = 'kidney:1'",
        )
        .unwrap_err();
        let mut found: Vec<(usize, &str)> = faults
            .iter()
            .map(|fault| (fault.line, fault.kind.key()))
            .collect();
        let expected = [
            (1, "lisen"),
            (1, "root"),
            (2, "listen"),
            (3, "provider"),
            (4, "threads"),
            (5, "max_waiting_runs"),
            (6, "drain_timeout_seconds"),
            (7, "log_format"),
            (9, "limits.max_voxel"),
            (10, "limits.max_classes"),
            (11, "models.model"),
            (12, "models.folds"),
            (15, "models.fold"),
            (16, "cores.models"),
            (18, "cores.address"),
        ];
        found.sort_unstable();
        assert_eq!(found, expected);
        let meant = faults.iter().find(|fault| fault.kind.key() == "lisen").unwrap();
        assert!(meant.to_string().contains("did you mean listen?"), "{meant}");
    }

    #[test]
    fn what_is_no_toml_is_a_fault() {
        let only = |text: &str| match &read(text).unwrap_err()[..] {
            [Fault { kind, .. }] => kind.clone(),
            faults => panic!("{faults:?}"),
        };
        assert!(matches!(only("root = "), FaultKind::Syntax { .. }));
        assert!(matches!(only("root = 'x'\nmodels = 3"), FaultKind::Type { .. }));
        assert!(matches!(only("root = 'x'\nlimits = 3"), FaultKind::Type { .. }));
    }
}
