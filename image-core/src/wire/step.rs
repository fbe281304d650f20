//! A model step on its way to another core and back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use nephrite_kernel::grpc::{NamedFile, Outgoing};
use nephrite_kernel::{Mask, OperationError, open_volume};
use nephrite_nnunet_folder::FoldSelection;
use nephrite_proto::convert::{optional_path, path};
use nephrite_proto::v1::{self, StepServiceRunRequest};
use nephrite_proto::{ConvertError, RemoteError};
use nephrite_types::{BoundingBox, CancelToken, ErrorCode, Geometry, Stage};
use nephrite_volume::{FileHash, Reader, VolumeFiles};

use super::model_choice::{model_choice, wire_checkpoint};
use super::provider::{precision, provider, wire_precision, wire_provider};
use super::{cost, warning};
use crate::core::Core;
use crate::error::CoreError;
use crate::masks::{receive_mask, send_mask};
use crate::memory::Counters;
use crate::model::FileRecord;
use crate::objects::read_mask_object;
use crate::segment::{
    ModelRun, ModelStepOutcome, PostprocessingChoice, PreviousStage, ScanInput, StageSeconds, WorldBox, log,
};

/// The message of a step. `text` says a path as the other process knows it, `send` packs a mask.
pub(crate) fn request(
    run: &ModelRun,
    exchange: Option<&Path>,
    text: impl Fn(&Path) -> Result<String, CoreError>,
    mut send: impl FnMut(&Arc<Mask>) -> Result<v1::Mask, CoreError>,
) -> Result<StepServiceRunRequest, CoreError> {
    let scan = &run.scans[0]; // a step has one
    let channels = run.masks.iter().map(|(mask, label)| {
        Ok::<_, CoreError>(v1::MaskChannel {
            mask: Some(send(mask)?),
            label: label.clone(),
        })
    });
    let channels = channels.collect::<Result<_, _>>()?;
    let previous_stage = match &run.previous_stage {
        PreviousStage::Mask(mask) => Some(send(mask)?),
        PreviousStage::Model | PreviousStage::File(_) => None,
    };
    Ok(StepServiceRunRequest {
        model: text(&run.model.folder)?,
        folds: match &run.model.folds {
            FoldSelection::Available => Vec::new(),
            FoldSelection::List(folds) => folds.iter().map(ToString::to_string).collect(),
        },
        checkpoint: Some(wire_checkpoint(run.model.checkpoint).into()),
        precision: run
            .model
            .precision
            .map(|precision| wire_precision(precision).into()),
        scan: text(&scan.path)?,
        options: Some(run.options.into()),
        postprocessing: run.postprocessing != PostprocessingChoice::None,
        crop: run.crop.as_ref().map(Into::into),
        previous_stage,
        channels,
        exchange_folder: exchange.map_or_else(String::new, |path| path.display().to_string()),
        scan_bytes: scan.bytes.unwrap_or(0),
        world: run.world.map(|world| warning::wire_world(world).into()),
    })
}

/// A step as it came; its masks are not decoded yet.
pub(crate) struct StepRequest {
    pub(crate) run: ModelRun,
    previous_stage: Option<v1::Mask>,
    channels: Vec<(v1::Mask, String)>,
    pub(crate) exchange_folder: Option<PathBuf>,
}

impl TryFrom<StepServiceRunRequest> for StepRequest {
    type Error = ConvertError;

    fn try_from(request: StepServiceRunRequest) -> Result<Self, ConvertError> {
        let channels = request.channels.into_iter().map(|channel| {
            let missing = ConvertError::Missing {
                field: "channels.mask",
            };
            Ok((channel.mask.ok_or(missing)?, channel.label))
        });
        let scan = ScanInput {
            path: path("scan", &request.scan)?,
            bytes: (request.scan_bytes > 0).then_some(request.scan_bytes),
        };
        let run = ModelRun {
            model: model_choice(
                path("model", &request.model)?,
                &request.folds,
                request.checkpoint,
                request.precision,
            )?,
            scans: vec![scan],
            masks: Vec::new(),
            previous_stage: PreviousStage::Model,
            options: request.options.unwrap_or_default().try_into()?,
            postprocessing: match request.postprocessing {
                true => PostprocessingChoice::FromModel,
                false => PostprocessingChoice::None,
            },
            crop: request.crop.as_ref().map(WorldBox::try_from).transpose()?,
            world: warning::world("world", request.world)?,
            probabilities: false,
            is_step: true,
        };
        Ok(StepRequest {
            run,
            previous_stage: request.previous_stage,
            channels: channels.collect::<Result<_, ConvertError>>()?,
            exchange_folder: optional_path("exchange_folder", &request.exchange_folder)?,
        })
    }
}

impl StepRequest {
    /// With its masks, from the message or from the shared volume.
    pub(crate) fn unpack(self, core: &Core, cancel: &CancelToken) -> Result<ModelRun, CoreError> {
        let mut run = self.run;
        if let Some(mask) = self.previous_stage {
            run.previous_stage = PreviousStage::Mask(take_mask(core, mask, cancel)?);
        }
        for (mask, label) in self.channels {
            run.masks.push((take_mask(core, mask, cancel)?, label));
        }
        Ok(run)
    }
}

/// A mask of a request, from the message or from the shared volume.
pub(crate) fn take_mask(core: &Core, mask: v1::Mask, cancel: &CancelToken) -> Result<Arc<Mask>, CoreError> {
    if let Some(file) = NamedFile::of(&mask)? {
        let (path, grid) = (&file.path, file.grid.as_deref());
        if let Some((mask, warnings)) = read_mask_object(core, path, &file.labels, grid, cancel)? {
            warnings.iter().for_each(log);
            return Ok(Arc::new(mask));
        }
    }
    let open = |path: &Path| open_volume(core.root(), path);
    Ok(Arc::new(receive_mask(core, mask, open, cancel)?))
}

/// A reader by nnU-Net's name of it.
pub(crate) fn reader(name: &str) -> Result<Reader, ConvertError> {
    Reader::from_name(name).map_err(|_| ConvertError::Value {
        field: "reader",
        expected: "the class name of one of nnU-Net's NIfTI readers",
        found: name.chars().take(64).collect(),
    })
}

/// The message of what came of a step; `exchange` is for a mask that is too large.
pub(crate) fn done(
    core: &Core,
    outcome: ModelStepOutcome,
    exchange: Option<(&Dir, &Path)>,
    cancel: &CancelToken,
) -> Result<v1::StepDone, CoreError> {
    let mut outgoing = Outgoing::new(exchange, "out-".to_owned(), core.limits());
    let mask = send_mask(core, &mut outgoing, &outcome.mask, cancel)?;
    outgoing.sent();
    let stages = outcome.stages.by_stage().map(|(stage, seconds)| v1::StageTiming {
        stage: v1::Stage::from(stage).into(),
        seconds,
    });
    Ok(v1::StepDone {
        mask: Some(mask),
        warnings: outcome.warnings.iter().map(Into::into).collect(),
        stages: stages.into(),
        tiles: outcome.tiles,
        provider: wire_provider(outcome.provider).into(),
        precision: wire_precision(outcome.precision).into(),
        threads: u32::try_from(outcome.threads).unwrap_or(u32::MAX),
        counters: Some((&outcome.counters).into()),
        peak_rss_bytes: outcome.peak_rss_bytes,
        scan_sha256: outcome.scan.to_string(),
        scan_bytes: outcome.scan.bytes,
        model_files: outcome.model_files.iter().map(cost::file).collect(),
        folds: outcome.folds,
        versions: outcome.versions.into_iter().collect(),
    })
}

/// What came of a step, from its message.
pub(crate) fn outcome(
    core: &Core,
    done: v1::StepDone,
    open: impl Fn(&Path) -> Result<VolumeFiles, OperationError>,
    cancel: &CancelToken,
) -> Result<ModelStepOutcome, ReplyError> {
    let broken = |what: &'static str| {
        ReplyError::Broken(RemoteError {
            code: ErrorCode::Internal,
            message: format!("its reply has no usable {what}"),
        })
    };
    let mask = done.mask.ok_or_else(|| broken("mask"))?;
    let mask = receive_mask(core, mask, open, cancel).map_err(ReplyError::Mask)?;
    let mut stages = StageSeconds::default();
    for timing in &done.stages {
        let stage = v1::Stage::try_from(timing.stage)
            .ok()
            .and_then(|stage| Stage::try_from(stage).ok());
        if let Some(stage) = stage {
            stages.add(stage, timing.seconds);
        }
    }
    let mut versions: Vec<(String, String)> = done.versions.into_iter().collect();
    versions.sort();
    Ok(ModelStepOutcome {
        mask: Arc::new(mask),
        warnings: done
            .warnings
            .iter()
            .filter_map(nephrite_proto::convert::warning)
            .collect(),
        stages,
        tiles: done.tiles,
        provider: provider(done.provider).ok_or_else(|| broken("provider"))?,
        precision: precision(done.precision).ok_or_else(|| broken("precision"))?,
        threads: done.threads as usize,
        counters: done.counters.as_ref().map(Counters::from).unwrap_or_default(),
        scan: FileHash::from_hex(&done.scan_sha256, done.scan_bytes)
            .ok_or_else(|| broken("hash of the scan"))?,
        model_files: done
            .model_files
            .into_iter()
            .map(|file| FileRecord {
                path: file.path,
                sha256: file.sha256,
                bytes: file.bytes,
            })
            .collect(),
        folds: done.folds,
        versions,
        peak_rss_bytes: done.peak_rss_bytes,
    })
}

/// Why a reply is no use.
#[derive(Debug)]
pub(crate) enum ReplyError {
    /// The other side is wrong.
    Broken(RemoteError),
    /// Its mask cannot be taken.
    Mask(CoreError),
}

impl TryFrom<&v1::WorldBox> for WorldBox {
    type Error = ConvertError;

    fn try_from(wire: &v1::WorldBox) -> Result<Self, ConvertError> {
        let missing = |field| ConvertError::Missing { field };
        let geometry = Geometry::try_from(wire.geometry.as_ref().ok_or(missing("crop.geometry"))?)?;
        let bounds = BoundingBox::try_from(wire.r#box.as_ref().ok_or(missing("crop.box"))?)?;
        let shape = geometry.shape.zyx();
        let inside =
            (0..3).all(|axis| bounds.start[axis] < bounds.end[axis] && bounds.end[axis] <= shape[axis]);
        let wrong = |expected, found| ConvertError::Value {
            field: "crop",
            expected,
            found,
        };
        if !inside {
            return Err(wrong("a box within its grid", format!("{bounds:?}")));
        }
        if !(0.0..=10_000.0).contains(&wire.margin_mm) {
            return Err(wrong("a margin from 0 to 10000 mm", wire.margin_mm.to_string()));
        }
        Ok(WorldBox {
            geometry,
            bounds,
            margin_mm: wire.margin_mm,
        })
    }
}

impl From<&WorldBox> for v1::WorldBox {
    fn from(crop: &WorldBox) -> Self {
        v1::WorldBox {
            geometry: Some((&crop.geometry).into()),
            r#box: Some((&crop.bounds).into()),
            margin_mm: crop.margin_mm,
        }
    }
}
