//! From a model folder to a network that is ready to run, with a clock.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use cap_std::fs::Dir;
use nephrite_cpu::{CpuOptions, Network, Threads};
use nephrite_nnunet_folder::{Checkpoint, CheckpointKind, FoldSelection, ModelFolder};
use nephrite_nnunet_network::{Architecture, WeightSource, build_cpu};
use nephrite_types::{CancelToken, Limits};

/// A network, and what it took.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) network: Network,
    /// Opening the folder, and weights from the disk.
    pub(crate) read_seconds: f64,
    /// All else: weights brought into the order that the kernels want.
    pub(crate) prepare_seconds: f64,
}

impl Loaded {
    /// The first fold of a model folder.
    pub(crate) fn open(folder: &Path, options: CpuOptions, threads: &Threads) -> anyhow::Result<Self> {
        let (begin, cancel) = (Instant::now(), CancelToken::new());
        let dir = Dir::open_ambient_dir(folder, cap_std::ambient_authority())
            .with_context(|| folder.display().to_string())?;
        let model = ModelFolder::open(dir, &folder.to_string_lossy(), &Limits::default())?;
        let folds = model.select_folds(&FoldSelection::Available, CheckpointKind::Final)?;
        let fold = *folds.first().context("the model has no fold")?;
        let mut checkpoint = model.open_checkpoint(fold, CheckpointKind::Final, &cancel)?;
        let configuration = model.configuration(checkpoint.configuration())?;
        let architecture = Architecture::parse(
            &configuration.architecture.class_name,
            &configuration.architecture.arch_kwargs,
            model.n_network_channels(&configuration),
            model.dataset().labels.n_heads(),
            &configuration.patch_size,
        )?;
        let opened = begin.elapsed().as_secs_f64();
        let mut weights = TimedWeights {
            checkpoint: &mut checkpoint,
            seconds: 0.0,
        };
        let built = build_cpu(&architecture, &mut weights, options, threads, &cancel)?;
        let read_seconds = opened + weights.seconds;
        Ok(Loaded {
            network: built.network,
            read_seconds,
            prepare_seconds: begin.elapsed().as_secs_f64() - read_seconds,
        })
    }
}

/// The weights of a checkpoint, and how long their reading took.
struct TimedWeights<'a> {
    checkpoint: &'a mut Checkpoint,
    seconds: f64,
}

impl WeightSource for TimedWeights<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.checkpoint.tensor_info(name).map(|info| info.shape)
    }

    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>> {
        let begin = Instant::now();
        let read = self.checkpoint.read_tensor_f32(name);
        self.seconds += begin.elapsed().as_secs_f64();
        Ok(read?.1)
    }

    fn names(&self) -> Vec<String> {
        self.checkpoint.tensor_names().map(str::to_owned).collect()
    }
}
