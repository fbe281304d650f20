use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_image_core::demo::{PictureColumn, PictureStructure, StructureRow, overlap, picture, table};
use nephrite_image_core::{
    Core, ModelChoice, PathError, PostprocessingChoice, SegmentReport, SegmentRequest, SegmentationOptions,
    segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_phantom::models::{DemoModel, demo_models};
use nephrite_phantom::{Phantom, PhantomSpec};
use nephrite_types::{CancelToken, LabelMap, Limits, Phase};
use nephrite_volume::{
    Reader, SourceGeometry, labels_from_volume, read_volume, write_atomically, write_label_map, write_volume,
};

use super::args::DemoArguments;
use super::{Failure, demo_masks, progress, signals};

/// Draws a patient, segments every phase with the model that was trained for it, and shows how well that went.
///
/// Everything goes through files, as it would for a real patient: models, scans and masks stay in the output folder.
pub(crate) fn run(arguments: DemoArguments) -> Result<(), Failure> {
    let cancel = signals::cancelled_by_signals();
    let core = super::core(arguments.runtime);
    let folder = Folder::create(&arguments.output)?;
    let phantom = PhantomSpec::demo(arguments.seed).generate();
    let truth = &phantom.truth;
    let source = SourceGeometry::from_geometry(&truth.geometry);
    write_label_map(&folder.dir, "truth.nii.gz", &truth.labels, &source)?;

    let mut rows = Vec::new();
    let mut masks = Vec::new();
    for model in demo_models() {
        cancel.check().map_err(nephrite_image_core::CoreError::from)?;
        let (report, mask) = segment_phase(&core, &folder, model, &phantom, arguments.quiet, &cancel)?;
        rows.extend(structure_rows(model, &phantom, &report, &mask)?);
        masks.push((model, mask));
    }

    let said = demo_masks::merge_clean_sample(&core, &folder.path, &masks, &cancel)?;
    let structures: Vec<Vec<PictureStructure>> = masks.iter().map(|(model, _)| legend(model)).collect();
    let mut columns = Vec::new();
    for ((model, mask), structures) in masks.iter().zip(&structures) {
        if let Some(scan) = phantom.scan(model.phase) {
            columns.push(PictureColumn {
                title: title(model.phase),
                scan,
                mask,
                structures,
            });
        }
    }
    let png = picture(&columns)?;
    write_atomically(&folder.dir, "demo.png", |out| out.write_all(&png))?;
    if !arguments.quiet {
        super::print(&table(&rows));
        super::print(&said);
        super::print(&format!(
            "scans, masks and models in {}, picture in {}\n",
            folder.path.display(),
            folder.path.join("demo.png").display()
        ));
    }
    Ok(())
}

/// Where the demo puts its files.
struct Folder {
    dir: Dir,
    path: PathBuf,
}

impl Folder {
    fn create(path: &Path) -> Result<Self, Failure> {
        let failed = |source| PathError::NotWritable {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(failed)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        Ok(Folder {
            dir,
            path: path.to_owned(),
        })
    }
}

fn segment_phase(
    core: &Core,
    folder: &Folder,
    model: &DemoModel,
    phantom: &Phantom,
    quiet: bool,
    cancel: &CancelToken,
) -> Result<(SegmentReport, LabelMap), Failure> {
    model.write_to(&folder.dir)?;
    let scan_name = format!("scan_{}.nii.gz", model.phase);
    let mask_name = format!("mask_{}.nii.gz", model.phase);
    if let Some(scan) = phantom.scan(model.phase) {
        write_volume(
            &folder.dir,
            &scan_name,
            scan,
            &SourceGeometry::from_geometry(&scan.geometry),
        )?;
    }
    let request = SegmentRequest {
        model: ModelChoice {
            folder: folder.path.join(model.folder),
            folds: FoldSelection::Available,
            checkpoint: CheckpointKind::Final,
        },
        inputs: vec![folder.path.join(scan_name)],
        previous_stage: None,
        output: folder.path.join(&mask_name),
        save_probabilities: None,
        // Eight times faster; averaging over mirrored copies adds little to models this small.
        options: SegmentationOptions {
            mirroring: false,
            ..SegmentationOptions::default()
        },
        postprocessing: PostprocessingChoice::None,
        strict_geometry: false,
    };
    let progress = progress::on_stderr(quiet);
    let report = segment(core, &request, &*progress, cancel)?;
    drop(progress); // takes the bar off the terminal
    Ok((report, read_mask(core, &request.output, cancel)?))
}

/// The mask as anybody would read it.
fn read_mask(core: &Core, path: &Path, cancel: &CancelToken) -> Result<LabelMap, Failure> {
    let file = core.root().open_file(path)?;
    let mask = read_volume(
        file,
        &path.to_string_lossy(),
        Reader::SimpleItk,
        &Limits::default(),
        cancel,
    )?;
    let labels = labels_from_volume(&mask.volume)?;
    Ok(LabelMap {
        labels,
        geometry: mask.volume.geometry,
    })
}

/// One row per structure of a model; the seconds stand in the first.
fn structure_rows(
    model: &DemoModel,
    phantom: &Phantom,
    report: &SegmentReport,
    mask: &LabelMap,
) -> Result<Vec<StructureRow>, Failure> {
    let mut rows = Vec::new();
    for &(id, name) in model.labels {
        let Some(truth_id) = phantom.label_id(name) else {
            continue;
        };
        rows.push(StructureRow {
            name: name.to_owned(),
            overlap: overlap(mask, id.into(), &phantom.truth, truth_id.into())?,
            voxel_mm3: mask.geometry.voxel_mm3(),
            secs: rows.is_empty().then_some(report.total_seconds),
        });
    }
    Ok(rows)
}

fn legend(model: &DemoModel) -> Vec<PictureStructure> {
    let structure = |&(id, name): &(u8, &str)| PictureStructure {
        id: id.into(),
        legend: name.replace('_', " "),
    };
    model.labels.iter().map(structure).collect()
}

fn title(phase: Phase) -> &'static str {
    match phase {
        Phase::NonContrast => "non-contrast",
        Phase::Arterial => "arterial",
        Phase::PortalVenous => "portal venous",
        Phase::Delayed => "delayed",
    }
}
