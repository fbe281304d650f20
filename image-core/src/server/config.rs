//! The configuration file of a server.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nephrite_engine::Provider;
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_server::settings::{self, limit, path};
use nephrite_server::{ConfigFault, LogFormat, Section, count, float, read_config, text};
use nephrite_types::Limits;
use toml::Value;

use super::ServeError;
use crate::core::StepBudget;
use crate::masks::{Endpoint, OperationSettings};
use crate::model::{ModelBudget, ModelChoice};
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
        }
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
    /// Every fault: unknown keys, missing ones, values that cannot be. Of a text that is no TOML, the first.
    pub fn from_toml(text: &str, folder: &Path) -> Result<Self, Vec<ConfigFault>> {
        Section::parse(text, |top| read_top(top, folder))
    }
}

fn read_top(top: &mut Section<'_>, folder: &Path) -> ServeConfig {
    let mut config = ServeConfig::new(PathBuf::new());
    settings::root(top, folder, &mut config.root);
    settings::listen(top, &mut config.listen);
    top.set(
        "provider",
        "cpu, cuda or openvino",
        provider,
        &mut config.provider,
    );
    config.threads = top.take("threads", "a whole number of at least 1", |value| {
        NonZeroUsize::new(usize::try_from(count(value)?).ok()?)
    });
    config.onnxruntime = top
        .take("onnxruntime", "a file or folder", path)
        .map(|path| folder.join(path));
    settings::max_concurrent(top, "max_concurrent_runs", &mut config.max_concurrent_runs);
    settings::max_waiting(top, "max_waiting_runs", &mut config.max_waiting_runs);
    settings::max_message_bytes(top, &mut config.max_message_bytes);
    settings::drain_timeout(top, &mut config.drain_timeout);
    settings::log_format(top, &mut config.log_format);
    if let Some(table) = top.table("limits") {
        read_limits(&mut top.within("limits.", table), &mut config.limits);
    }
    if let Some(table) = top.table("resident") {
        let section = &mut top.within("resident.", table);
        read_resident(section, &mut config.resident);
        section.set(
            "max_volume_bytes",
            "a whole number",
            count,
            &mut config.steps.max_volume_bytes,
        );
    }
    settings::max_concurrent(top, "max_networks", &mut config.steps.max_networks);
    settings::max_memory_bytes(top, &mut config.steps.max_memory_bytes);
    let flag = |value: &Value| value.as_bool();
    top.set(
        "strict_geometry",
        "true or false",
        flag,
        &mut config.strict_geometry,
    );
    read_operations(top, &mut config.operations);
    top.set("core_timeout_seconds", TIMEOUT, timeout, &mut config.core_timeout);
    for (idx, table) in top.tables("cores", MAX_CORES).into_iter().enumerate() {
        let mut section = top.within(&format!("cores[{idx}]."), table);
        config.cores.extend(read_core(&mut section));
    }
    for (idx, table) in top.tables("models", MAX_MODELS).into_iter().enumerate() {
        let mut section = top.within(&format!("models[{idx}]."), table);
        config.models.extend(read_model(&mut section));
    }
    config
}

/// `[operations]`: a name that steps use, and the address of its service.
fn read_operations(top: &mut Section<'_>, operations: &mut OperationSettings) {
    operations.exchange = top.take("exchange", "a folder beneath the root", path);
    top.set(
        "operation_timeout_seconds",
        TIMEOUT,
        timeout,
        &mut operations.timeout,
    );
    top.set(
        "operations",
        "a table of names and addresses, such as cleanup = \"http://cleanup:7444\"",
        |value| {
            let entries = value.as_table()?.iter();
            let endpoints = entries.map(|(name, value)| Some((name.clone(), Endpoint::parse(text(value)?)?)));
            endpoints.collect()
        },
        &mut operations.endpoints,
    );
}

const TIMEOUT: &str = "a number above 0 and up to 86400";

fn timeout(value: &Value) -> Option<Duration> {
    let seconds = float(value).filter(|s| *s > 0.0 && *s <= 86400.0)?;
    Some(Duration::from_secs_f64(seconds))
}

/// `[[cores]]`: `None` if something is missing; the fault is noted.
fn read_core(section: &mut Section<'_>) -> Option<RemoteCoreSettings> {
    let name = section.take("name", "a text", |value| {
        text(value).filter(|name| !name.is_empty()).map(str::to_owned)
    });
    let address = section.take(
        "address",
        "an address such as \"http://kidney-core:7443\"",
        |value| {
            let endpoint = Endpoint::parse(text(value)?)?;
            endpoint.operation.is_none().then_some(endpoint.url)
        },
    );
    let models = section.take("models", "a list of folders beneath the root", |value| {
        let folders = value.as_array()?.iter().map(path).collect::<Option<Vec<_>>>()?;
        (!folders.is_empty()).then_some(folders)
    });
    for (key, is_there) in [
        ("name", name.is_some()),
        ("address", address.is_some()),
        ("models", models.is_some()),
    ] {
        if !is_there {
            section.require(key);
        }
    }
    Some(RemoteCoreSettings {
        name: name?,
        address: address?,
        models: models?,
    })
}

fn read_limits(section: &mut Section<'_>, limits: &mut Limits) {
    limit(section, "max_voxels", &mut limits.max_voxels);
    limit(section, "max_payload_bytes", &mut limits.max_payload_bytes);
    limit(section, "max_checkpoint_bytes", &mut limits.max_checkpoint_bytes);
    limit(section, "max_json_bytes", &mut limits.max_json_bytes);
    limit(section, "max_pickle_bytes", &mut limits.max_pickle_bytes);
    limit(
        section,
        "max_accumulator_bytes",
        &mut limits.max_accumulator_bytes,
    );
    limit(section, "max_tiles", &mut limits.max_tiles);
    limit(section, "max_network_bytes", &mut limits.max_network_bytes);
    limit(section, "max_mask_rows", &mut limits.max_mask_rows);
    limit(section, "max_mask_runs", &mut limits.max_mask_runs);
    section.set(
        "max_classes",
        "a whole number of at least 1",
        |value| usize::try_from(count(value).filter(|n| *n >= 1)?).ok(),
        &mut limits.max_classes,
    );
}

fn read_resident(section: &mut Section<'_>, budget: &mut ModelBudget) {
    let number = |value: &Value| count(value).and_then(|n| usize::try_from(n).ok());
    section.set("max_models", "a whole number", number, &mut budget.max_models);
    section.set(
        "max_model_bytes",
        "a whole number",
        count,
        &mut budget.max_model_bytes,
    );
}

/// `None` if the folder is missing; the fault is noted.
fn read_model(section: &mut Section<'_>) -> Option<ModelChoice> {
    let folder = section.take("model", "a folder beneath the root", path);
    if folder.is_none() {
        section.require("model");
    }
    let folds = section.take("folds", "a list of numbers or \"all\"", folds);
    let checkpoint = section.take("checkpoint", "final or best", |value| match text(value)? {
        "final" => Some(CheckpointKind::Final),
        "best" => Some(CheckpointKind::Best),
        _ => None,
    });
    Some(ModelChoice {
        folder: folder?,
        folds: folds.unwrap_or(FoldSelection::Available),
        checkpoint: checkpoint.unwrap_or(CheckpointKind::Final),
    })
}

fn provider(value: &Value) -> Option<Provider> {
    text(value)?.parse().ok()
}

/// `[0, 1]`, `["0", "1"]` or `["all"]`.
fn folds(value: &Value) -> Option<FoldSelection> {
    let entries = value.as_array()?.iter().map(|entry| match entry {
        Value::Integer(number) => number.to_string().parse().ok(),
        Value::String(name) => name.parse().ok(),
        _ => None,
    });
    let names = entries.collect::<Option<Vec<_>>>()?;
    (!names.is_empty()).then_some(FoldSelection::List(names))
}

#[cfg(test)]
mod tests {
    use nephrite_nnunet_folder::FoldName;

    use super::*;

    fn read(text: &str) -> Result<ServeConfig, Vec<ConfigFault>> {
        ServeConfig::from_toml(text, Path::new("/etc/nephrite"))
    }

    #[test]
    fn a_root_is_enough_and_paths_start_at_the_file() {
        let config = read("root = 'data'").unwrap();
        assert_eq!(config, ServeConfig::new("/etc/nephrite/data".into()));
    }

    #[test]
    fn every_key_is_taken() {
        let config = read(
            "listen = '0.0.0.0:0'\nroot = '/data'\nprovider = 'openvino'\nthreads = 3\nonnxruntime = 'lib'\n\
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
        assert_eq!(config.provider, Provider::OpenVino);
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
    fn all_faults_are_told_at_once() {
        let faults = read(
            "lisen = 'x'\nlisten = 'nowhere'\nprovider = 'gpu'\nthreads = 0\nmax_waiting_runs = -1\n\
             drain_timeout_seconds = nan\nlog_format = 3\n[limits]\nmax_voxel = 1\nmax_classes = 0\n\
             [[models]]\nfolds = []\n[[models]]\nmodel = 'm'\nfold = 1\n\
             [[cores]]\nname = 'x'\naddress = 'kidney:1'",
        )
        .unwrap_err();
        let keys: Vec<&str> = faults.iter().map(ConfigFault::key).collect();
        let mut expected = [
            "root",
            "listen",
            "provider",
            "threads",
            "max_waiting_runs",
            "drain_timeout_seconds",
            "log_format",
            "limits.max_classes",
            "limits.max_voxel",
            "models[0].model",
            "models[0].folds",
            "models[1].fold",
            "cores[0].address",
            "cores[0].models",
            "lisen",
        ];
        let mut found = keys.clone();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_toml_is_a_fault() {
        assert!(matches!(
            read("root = ").unwrap_err()[..],
            [ConfigFault::Syntax { .. }]
        ));
        assert!(matches!(
            read("root = 'x'\nmodels = 3").unwrap_err()[..],
            [ConfigFault::Value { .. }]
        ));
        assert!(matches!(
            read("root = 'x'\nlimits = 3").unwrap_err()[..],
            [ConfigFault::Value { .. }]
        ));
    }
}
