//! The demo from the drawing of the patient to the table.

use std::path::{Path, PathBuf};

use nephrite_phantom::Phantom;
use nephrite_phantom::models::{DemoModel, demo_models};
use nephrite_types::{CancelToken, LabelMap, Phase};
use nephrite_volume::write_atomically;

use crate::folder::Folder;
use crate::mask_file::read_mask;
use crate::patient::{self, scan_name};
use crate::picture::{PictureColumn, PictureStructure, picture};
use crate::table::{StructureRow, overlap, table};
use crate::{DemoError, masks};

/// A model to run on a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Folder of the trained model.
    pub model: PathBuf,
    /// NIfTI file.
    pub scan: PathBuf,
    /// The NIfTI file to write, on the voxels of the scan, with the labels of the model.
    pub mask: PathBuf,
}

/// The demo of patient `seed`. `folder` is made if it is not there, and keeps models, scans, masks, a sample and the picture
/// `demo.png`; files of an earlier demo are replaced. `segment` is called once per phase; it writes the mask and says how
/// many seconds that took. Gives what to print.
///
/// # Errors
/// [`DemoError`], and what `segment` says.
pub fn run<E: From<DemoError>>(
    folder: &Path,
    seed: u64,
    cancel: &CancelToken,
    mut segment: impl FnMut(&Task) -> Result<f64, E>,
) -> Result<String, E> {
    let folder = Folder::create(folder).map_err(DemoError::from)?;
    let phantom = patient::write(&folder, seed)?;
    let mut rows = Vec::new();
    let mut masks = Vec::new();
    for model in demo_models() {
        let mask_name = format!("mask_{}.nii.gz", model.phase);
        let seconds = segment(&Task {
            model: folder.path.join(model.folder),
            scan: folder.path.join(scan_name(model.phase)),
            mask: folder.path.join(&mask_name),
        })?;
        let mask = read_mask(&folder.path.join(&mask_name), cancel)?;
        rows.extend(structure_rows(model, &phantom, seconds, &mask)?);
        masks.push((model, mask));
    }
    let said = masks::merge_clean_sample(&folder, &masks, cancel)?;
    draw(&folder, &phantom, &masks)?;
    Ok(format!(
        "{}{said}scans, masks and models in {}, picture in {}\n",
        table(&rows),
        folder.path.display(),
        folder.path.join("demo.png").display()
    ))
}

/// One row per structure of a model; the seconds stand in the first.
fn structure_rows(
    model: &DemoModel,
    phantom: &Phantom,
    seconds: f64,
    mask: &LabelMap,
) -> Result<Vec<StructureRow>, DemoError> {
    let mut rows = Vec::new();
    for &(id, name) in model.labels {
        let Some(truth_id) = phantom.label_id(name) else {
            continue;
        };
        rows.push(StructureRow {
            name: name.to_owned(),
            overlap: overlap(mask, id.into(), &phantom.truth, truth_id.into())?,
            voxel_mm3: mask.geometry.voxel_mm3(),
            secs: rows.is_empty().then_some(seconds),
        });
    }
    Ok(rows)
}

fn draw(folder: &Folder, phantom: &Phantom, masks: &[(&DemoModel, LabelMap)]) -> Result<(), DemoError> {
    let structures: Vec<Vec<PictureStructure>> = masks.iter().map(|(model, _)| legend(model)).collect();
    let columns = masks
        .iter()
        .zip(&structures)
        .filter_map(|((model, mask), structures)| {
            Some(PictureColumn {
                title: title(model.phase),
                scan: phantom.scan(model.phase)?,
                mask,
                structures,
            })
        });
    let png = picture(&columns.collect::<Vec<_>>())?;
    write_atomically(&folder.dir, "demo.png", |out| out.write_all(&png))?;
    Ok(())
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
