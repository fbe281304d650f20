//! The three small nnU-Nets of the demo, in nnU-Net's folder format, inside the binary.
//!
//! `training/train.py` made them, on phantoms with seeds 1000 to 1071. Any other seed is unseen.

use cap_std::fs::Dir;
use nephrite_types::Phase;

use crate::PhantomError;

/// A trained model folder.
#[derive(Debug, Clone, Copy)]
pub struct DemoModel {
    /// nnU-Net's name of the dataset, also the name of the outer folder.
    pub dataset_name: &'static str,
    /// Path of the trained model folder from where [`DemoModel::write_to`] writes: what `segment --model` wants.
    pub folder: &'static str,
    /// The phase that it was trained on.
    pub phase: Phase,
    /// Path beneath `folder`, and content.
    pub files: &'static [(&'static str, &'static [u8])],
    /// Foreground label ids as in its `dataset.json`; names as in [`LabelSet::Demo`](crate::LabelSet::Demo).
    pub labels: &'static [(u8, &'static str)],
}

macro_rules! model_bytes {
    ($dataset_name:literal, $path:literal) => {
        include_bytes!(concat!(
            "../models/",
            $dataset_name,
            "/nnUNetTrainer__nnUNetPlans__3d_fullres/",
            $path
        ))
    };
}

macro_rules! model {
    ($dataset_name:literal, $phase:expr, $labels:expr) => {
        DemoModel {
            dataset_name: $dataset_name,
            folder: concat!($dataset_name, "/nnUNetTrainer__nnUNetPlans__3d_fullres"),
            phase: $phase,
            files: &[
                ("plans.json", model_bytes!($dataset_name, "plans.json")),
                ("dataset.json", model_bytes!($dataset_name, "dataset.json")),
                (
                    "fold_0/checkpoint_final.pth",
                    model_bytes!($dataset_name, "fold_0/checkpoint_final.pth"),
                ),
            ],
            labels: $labels,
        }
    };
}

static MODELS: [DemoModel; 3] = [
    model!(
        "Dataset901_DemoArtery",
        Phase::Arterial,
        &[(1, "aorta"), (2, "renal_artery")]
    ),
    model!(
        "Dataset902_DemoKidney",
        Phase::PortalVenous,
        &[(1, "kidney"), (2, "vein")]
    ),
    model!(
        "Dataset903_DemoUreter",
        Phase::Delayed,
        &[(1, "renal_pelvis"), (2, "ureter")]
    ),
];

/// The demo's models, in order of their phases.
pub fn demo_models() -> &'static [DemoModel] {
    &MODELS
}

impl DemoModel {
    /// Writes the folder beneath `dir`; files that are there already are replaced.
    ///
    /// # Errors
    /// [`PhantomError::Write`].
    pub fn write_to(&self, dir: &Dir) -> Result<(), PhantomError> {
        for (path, bytes) in self.files {
            let file = format!("{}/{path}", self.folder);
            let parent = file.rsplit_once('/').map_or("", |(parent, _)| parent);
            dir.create_dir_all(parent)
                .and_then(|()| dir.write(&file, bytes))
                .map_err(|source| PhantomError::Write {
                    file: file.clone(),
                    source,
                })?;
        }
        Ok(())
    }
}
