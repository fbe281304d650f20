//! `nephrite demo`: the core runs between the parts of the demo. Left out of builds without the feature `demo`.

use std::path::PathBuf;

use clap::Args;
use nephrite_demo::Task;
use nephrite_image_core::{
    ModelChoice, PostprocessingChoice, SegmentRequest, SegmentationOptions, WantedObjects, segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};

use super::failure::Failure;
use super::shared_arguments::RuntimeArguments;
use super::{output, start};
use super::{progress, signals};

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder for models, scans, masks and picture; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "demo")]
    output: PathBuf,
    /// Which patient; the models were trained on seeds 1000 to 1071
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    #[command(flatten)]
    runtime: RuntimeArguments,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(arguments: DemoArguments) -> Result<(), Failure> {
    let cancel = signals::cancelled_by_signals();
    let core = start::core(arguments.runtime)?;
    let segment_task = |task: &Task| -> Result<f64, Failure> {
        let progress = progress::on_stderr(arguments.quiet);
        Ok(segment(&core, &request(task), &*progress, &cancel)?.total_seconds)
    };
    let said = nephrite_demo::run(&arguments.output, arguments.seed, &cancel, segment_task)?;
    if !arguments.quiet {
        output::print(&said);
    }
    Ok(())
}

fn request(task: &Task) -> SegmentRequest {
    SegmentRequest {
        model: ModelChoice {
            folder: task.model.clone(),
            folds: FoldSelection::Available,
            checkpoint: CheckpointKind::Final,
            precision: None,
        },
        inputs: vec![task.scan.clone()],
        previous_stage: None,
        output: task.mask.clone(),
        save_probabilities: None,
        // Eight times faster; averaging over mirrored copies adds little to models this small.
        objects: WantedObjects::default(),
        options: SegmentationOptions {
            mirroring: false,
            ..SegmentationOptions::default()
        },
        postprocessing: PostprocessingChoice::None,
        strict_geometry: false,
    }
}
