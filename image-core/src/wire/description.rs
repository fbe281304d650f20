//! Reports of the core as messages.

use nephrite_nnunet::ModelDescription;
use nephrite_proto::v1;
use nephrite_volume::{Unit, VolumeInfo};

use super::model_choice::wire_checkpoint;
use super::provider::{wire_precision, wire_provider};
use super::warning;
use crate::memory::ResidentEntry;
use crate::model::{ModelListing, ResidentKey};
use crate::resize::ResizeReport;
use crate::segment::SegmentReport;

pub(crate) fn shape([x, y, z]: [usize; 3]) -> v1::Shape {
    let [x, y, z] = [x, y, z].map(|len| len as u64);
    v1::Shape { x, y, z }
}

fn spacing([x, y, z]: [f64; 3]) -> v1::Spacing {
    v1::Spacing { x, y, z }
}

/// Counts of a handful of things; what is over `u32::MAX` is not one.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub(crate) fn done(report: SegmentReport) -> v1::Done {
    let stages = report.stages.by_stage();
    let versions = report.versions.into_iter();
    v1::Done {
        warnings: report.warnings.iter().map(warning::of_report).collect(),
        mask: report.mask,
        objects: report.objects,
        probabilities: report.probabilities.unwrap_or_default(),
        labels: report.labels.iter().map(Into::into).collect(),
        shape: Some(shape(report.shape)),
        spacing: Some(spacing(report.spacing)),
        stages: stages
            .map(|(stage, seconds)| v1::StageTiming {
                stage: v1::Stage::from(stage).into(),
                seconds,
            })
            .into(),
        total_seconds: report.total_seconds,
        tiles: report.tiles,
        peak_rss_bytes: report.peak_rss_bytes,
        provider: wire_provider(report.provider).into(),
        precision: wire_precision(report.precision).into(),
        threads: small(report.threads),
        input_bytes_read: report.input_bytes_read,
        weight_bytes_read: report.weight_bytes_read,
        folds: report.model.folds,
        versions: versions
            .map(|(name, version)| (name.to_owned(), version))
            .collect(),
    }
}

pub(crate) fn resized(report: ResizeReport) -> v1::ResizeResponse {
    v1::ResizeResponse {
        output: report.output,
        from_shape: Some(shape(report.from_shape)),
        shape: Some(shape(report.shape)),
        spacing: Some(spacing(report.spacing)),
    }
}

pub(crate) fn volume(info: VolumeInfo) -> v1::VolumeServiceInspectResponse {
    v1::VolumeServiceInspectResponse {
        nifti_version: info
            .format
            .nifti_version()
            .map_or(0, |version| version.number().into()),
        format: info.format.name().to_owned(),
        compressed: info.compressed,
        big_endian: info.big_endian,
        dims: info.dims,
        spacing: Some(spacing(info.spacing_xyz)),
        unit: match info.unit {
            Unit::Unknown => v1::LengthUnit::Unknown,
            Unit::Metre => v1::LengthUnit::Meter,
            Unit::Millimetre => v1::LengthUnit::Millimeter,
            Unit::Micrometre => v1::LengthUnit::Micrometer,
        }
        .into(),
        voxel_type: info.voxel_type.name().to_owned(),
        slope: info.scale.slope,
        intercept: info.scale.inter,
        affine: info.affine.rows().concat(),
        orientation: info.orientation,
    }
}

pub(crate) fn listing(listing: ModelListing) -> v1::ModelListing {
    v1::ModelListing {
        folder: listing.folder.display().to_string(),
        dataset: listing.dataset,
        trainer: listing.trainer,
        plans: listing.plans,
        configuration: listing.configuration,
        folds: listing.folds,
    }
}

pub(crate) fn resident(model: ResidentEntry<ResidentKey>, device: Option<String>) -> v1::ResidentModel {
    v1::ResidentModel {
        folder: model.name,
        folds: model.key.model.folds,
        checkpoint: wire_checkpoint(model.key.model.checkpoint).into(),
        memory_bytes: model.bytes,
        users: small(model.users),
        precision: wire_precision(model.key.precision).into(),
        device: device.unwrap_or_default(),
    }
}

pub(crate) fn card(card: &nephrite_cuda::Card) -> v1::Card {
    let info = card.info().clone();
    v1::Card {
        device: info.device(),
        name: info.name,
        driver: info.driver.unwrap_or_default(),
        cuda: info.cuda,
        cudnn: info.cudnn,
        nvrtc: info.nvrtc,
        memory_bytes: info.memory_bytes,
        used_bytes: card.used_bytes(),
        failure: card.failure().map(ToString::to_string).unwrap_or_default(),
    }
}

pub(crate) fn model(model: ModelDescription) -> v1::ModelServiceInspectResponse {
    let channels = model.channels.into_iter().map(|channel| v1::Channel {
        name: channel.name,
        normalization: channel.normalization,
    });
    let labels = model.labels.into_iter().map(|label| v1::Label {
        id: label.id.into(),
        name: label.name,
    });
    let folds = model.available_folds.into_iter().map(|fold| v1::Fold {
        name: fold.name,
        checkpoints: fold.checkpoints,
        has_onnx: fold.has_onnx,
    });
    v1::ModelServiceInspectResponse {
        folder: model.folder,
        dataset: model.dataset.unwrap_or_default(),
        plans: model.plans.unwrap_or_default(),
        configuration: model.configuration,
        trainer: model.trainer.unwrap_or_default(),
        reader: model.reader,
        channels: channels.collect(),
        labels: labels.collect(),
        regions: model.regions,
        n_classes: small(model.n_classes),
        transpose_forward: model.transpose_forward.map(small).into(),
        spacing_mm: model.spacing_mm,
        patch_size: model.patch_size.into_iter().map(|len| len as u64).collect(),
        network: model.network,
        network_is_built_in: model.network_is_built_in,
        n_parameters: model.n_parameters,
        folds: model.folds,
        available_folds: folds.collect(),
        mirroring_axes: model.mirroring_axes.into_iter().map(small).collect(),
        previous_stage: model.previous_stage.unwrap_or_default(),
        expected_memory_bytes: model.expected_memory_bytes,
    }
}
