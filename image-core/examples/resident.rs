//! Segments one scan twice in one process and prints both reports: what a second request costs.
//!
//! ```text
//! cargo run --release --example resident -- MODEL_FOLDER SCAN.nii.gz MASK.nii.gz
//! ```

use std::path::PathBuf;

use nephrite_engine::Provider;
use nephrite_image_core::{
    Core, CoreSettings, ModelBudget, ModelChoice, PostprocessingChoice, Root, RuntimeSettings,
    SegmentRequest, SegmentationOptions, StepBudget, segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{CancelToken, Limits, NoProgress};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = || paths.next().ok_or("MODEL_FOLDER SCAN MASK are needed");
    let (model, scan, mask) = (next()?, next()?, next()?);
    let runtime = RuntimeSettings::new(
        Provider::Cpu,
        None,
        None,
        std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from),
    );
    let core = Core::new(CoreSettings {
        root: Root::filesystem(),
        limits: Limits::default(),
        runtime,
        models: ModelBudget {
            max_models: 1,
            ..ModelBudget::default()
        },
        steps: StepBudget::default(),
    });
    let request = SegmentRequest {
        model: ModelChoice {
            folder: model,
            folds: FoldSelection::Available,
            checkpoint: CheckpointKind::Final,
            precision: None,
        },
        inputs: vec![scan],
        previous_stage: None,
        output: mask,
        objects: nephrite_image_core::WantedObjects::default(),
        save_probabilities: None,
        options: SegmentationOptions {
            mirroring: false,
            ..SegmentationOptions::default()
        },
        postprocessing: PostprocessingChoice::None,
        strict_geometry: false,
    };
    let first = segment(&core, &request, &NoProgress, &CancelToken::new())?;
    let second = segment(&core, &request, &NoProgress, &CancelToken::new())?;
    #[allow(clippy::print_stdout)] // the result of the program
    {
        println!("{}", serde_json::json!({ "first": first, "second": second }));
    }
    Ok(())
}
