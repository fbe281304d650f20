//! Runs nephrite on files, stage by stage, through the public functions of its crates.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use half::f16;
use ndarray::Array4;
use nephrite_engine::{EngineError, EngineHandle, EngineThread, TileShape};
use nephrite_nnunet::preprocess::NetworkInput;
use nephrite_nnunet::tiles::{
    Accumulator, TileGrid, add_flipped, flip_combinations, flip_into, gather_tile, importance_map,
};
use nephrite_nnunet::{
    EngineFactory, EngineNetwork, Kernels, Model, ModelDescription, ModelOptions, NetworkRuntime,
    PredictOptions, describe,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection, ModelFolder};
use nephrite_types::{CancelToken, Labels, Limits};
use nephrite_volume::{Reader, Scan, labels_from_volume, read_volume};

/// A model in memory, with what a test needs to look inside.
#[derive(Debug)]
pub struct LoadedModel {
    /// Ready to run.
    pub model: Model,
    /// What the folder says of itself.
    pub description: ModelDescription,
    /// One per fold; the model keeps them alive.
    pub engines: Vec<EngineHandle>,
}

/// Keeps a handle of every engine that another factory builds.
struct KeepHandles<'a> {
    factory: &'a dyn EngineFactory,
    handles: Mutex<Vec<EngineHandle>>,
}

impl EngineFactory for KeepHandles<'_> {
    fn build(
        &self,
        name: &str,
        network: EngineNetwork,
        shape: TileShape,
        cancel: &CancelToken,
    ) -> Result<EngineThread, EngineError> {
        let engine = self.factory.build(name, network, shape, cancel)?;
        self.handles
            .lock()
            .expect("no thread panics while it holds the lock")
            .push(engine.handle());
        Ok(engine)
    }

    fn kernels(&self) -> Result<Kernels, EngineError> {
        self.factory.kernels()
    }
}

impl LoadedModel {
    /// Loads `folds` (`0`, `1`, … or `all`) of a model folder; `checkpoint` is `final` or `best`.
    ///
    /// # Errors
    /// If the folder is broken or the network cannot be built.
    pub fn load(
        folder: &Path,
        folds: &[String],
        checkpoint: &str,
        factory: &dyn EngineFactory,
    ) -> Result<Self> {
        let limits = Limits::default();
        let dir = Dir::open_ambient_dir(folder, ambient_authority())
            .with_context(|| folder.display().to_string())?;
        let model_folder = ModelFolder::open(dir, &folder.to_string_lossy(), &limits)?;
        let folds = folds.iter().map(|fold| fold.parse()).collect::<Result<_, _>>()?;
        let checkpoint = CheckpointKind::from_name(checkpoint).context("not a kind of checkpoint")?;
        let options = ModelOptions {
            folds: FoldSelection::List(folds),
            checkpoint,
        };
        let description = describe(
            &model_folder,
            &options,
            NetworkRuntime::default(),
            &limits,
            &CancelToken::new(),
        )?;
        let keep = KeepHandles {
            factory,
            handles: Mutex::new(Vec::new()),
        };
        let model = Model::load(&model_folder, &options, &limits, &keep, &CancelToken::new())?;
        let engines = keep
            .handles
            .into_inner()
            .expect("no thread panics while it holds the lock");
        Ok(LoadedModel {
            model,
            description,
            engines,
        })
    }

    /// The reader that the plans name.
    ///
    /// # Errors
    /// If nephrite has none of that name.
    pub fn reader(&self) -> Result<Reader> {
        Ok(Reader::from_name(&self.description.reader)?)
    }
}

/// Reads one NIfTI file.
///
/// # Errors
/// As [`read_volume`].
pub fn read_scan(path: &Path, reader: Reader) -> Result<Scan> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(read_volume(
        file,
        &path.to_string_lossy(),
        reader,
        &Limits::default(),
        &CancelToken::new(),
    )?)
}

/// Reads a label map as `reader` turns it.
///
/// # Errors
/// As [`read_volume`] and [`labels_from_volume`].
pub fn read_labels(path: &Path, reader: Reader) -> Result<Labels> {
    Ok(labels_from_volume(&read_scan(path, reader)?.volume)?)
}

/// nnU-Net's half-precision logits on the network grid, `[class, z, y, x]` in network order.
///
/// The prediction itself keeps no such array; here its parts are put together in the plainest way.
///
/// # Errors
/// If the engine fails.
pub fn reference_logits(
    loaded: &LoadedModel,
    input: &NetworkInput,
    options: &PredictOptions,
) -> Result<Array4<f16>> {
    let (_, n0, n1, n2) = input.data.dim();
    let LoadedModel {
        model,
        description,
        engines,
    } = loaded;
    let grid = TileGrid::new(
        [n0, n1, n2],
        model.patch(),
        options.segmentation.tile_step_size,
        &Limits::default(),
    )?;
    // of a 2-D network the last two of three array axes
    let axes = description
        .mirroring_axes
        .iter()
        .map(|axis| axis + 3 - model.patch().len());
    let axes: Vec<usize> = axes.filter(|_| options.segmentation.mirroring).collect();
    let flips = flip_combinations(&axes);
    let importance = importance_map(grid.patch, options.segmentation.gaussian);
    let n_classes = model.n_classes();
    let n_folds = engines.len();
    let mut accumulator = Accumulator::<f16>::new(&grid, n_classes, n_folds)?;
    let mut logits = Array4::from_elem((n_classes, n0, n1, n2), f16::ZERO);
    let inside = |axis: usize| grid.pad_low[axis]..grid.pad_low[axis] + grid.shape[axis];
    let mut plane = vec![0f32; n1 * n2 * n_classes];
    let mut take = |accumulator: &mut Accumulator<f16>, planes: std::ops::Range<usize>| {
        for padded in planes {
            accumulator.take_plane(padded, inside(1), inside(2), &mut plane);
            if inside(0).contains(&padded) {
                let values =
                    ndarray::ArrayView3::from_shape((n1, n2, n_classes), &plane).expect("sized above");
                let mut target = logits.index_axis_mut(ndarray::Axis(1), padded - grid.pad_low[0]);
                target.assign(&values.permuted_axes([2, 0, 1]).mapv(f16::from_f32));
            }
        }
    };
    let mut done = 0;
    for start in grid.positions() {
        if start[0] > done {
            take(&mut accumulator, done..start[0]);
            done = start[0];
        }
        let mut tile = vec![0f32; input.data.dim().0 * grid.patch.iter().product::<usize>()];
        gather_tile(input.data.view(), &grid, start, &mut tile);
        for (fold, engine) in engines.iter().enumerate() {
            let mut sum = vec![0f32; n_classes * grid.patch.iter().product::<usize>()];
            for &flip in &flips {
                let mut flipped = vec![0f32; tile.len()];
                flip_into(&tile, grid.patch, flip, &mut flipped);
                let (_, output) = engine.submit(flipped, Vec::new())?.wait(&CancelToken::new())?;
                add_flipped(&output, grid.patch, flip, &mut sum);
            }
            sum.iter_mut().for_each(|p| *p /= flips.len() as f32);
            assert!(
                accumulator.add_tile(start, fold, &sum, &importance),
                "logits are finite"
            );
        }
    }
    take(&mut accumulator, done..grid.padded[0]);
    Ok(logits)
}
