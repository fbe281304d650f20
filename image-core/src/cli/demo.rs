//! `nephrite demo`: the core runs between the parts of the demo. Left out of builds without the feature `demo`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::ArgPredicate;
use nephrite_demo::{CaseTask, DicomDemo, Task};
use nephrite_image_core::case::{
    CasePipeline, CaseRequest, CaseServices, Profile, ServiceSettings, run_case,
};
use nephrite_image_core::{
    ModelChoice, PostprocessingChoice, Root, SegmentRequest, SegmentationOptions, WantedObjects, segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{CancelToken, ErrorCode};

use super::failure::Failure;
use super::shared_arguments::RuntimeArguments;
use super::{case_progress, output, start};
use super::{progress, signals};

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder for models, scans, masks and picture; made if it is not there. With --dicom it must not be there, and is demo-dicom
    /// by default
    #[arg(
        long,
        value_name = "DIR",
        default_value = "demo",
        default_value_if("dicom", ArgPredicate::IsPresent, "demo-dicom")
    )]
    output: PathBuf,
    /// Scans as DICOM series, masks also as segmentation, structure set and report; all of them are read again and compared
    #[arg(long)]
    dicom: bool,
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
    if arguments.dicom {
        return run_dicom(arguments, &cancel);
    }
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

/// The demo's patient as DICOM series: a case of them, the same of NIfTI files, and a table of what all files say.
fn run_dicom(arguments: DemoArguments, cancel: &CancelToken) -> Result<(), Failure> {
    let demo = DicomDemo::write(&arguments.output, arguments.seed)?;
    let core = start::core_at(Root::beneath(&arguments.output)?, arguments.runtime)?;
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    for task in demo.tasks() {
        let events = case_progress::on_stderr(arguments.quiet);
        run_case(&core, &services, &case_request(task), &*events, cancel)?;
    }
    let agreement = demo.compare(cancel)?;
    if !arguments.quiet {
        let folder = arguments.output.display();
        output::print(&format!(
            "{}series, models and results in {folder}\n",
            agreement.to_text()
        ));
    }
    match &agreement.faults()[..] {
        [] => Ok(()),
        faults => Err(Failure {
            code: ErrorCode::Internal,
            message: format!("what was written does not agree: {}", faults.join("; ")),
        }),
    }
}

fn case_request(task: CaseTask) -> CaseRequest {
    CaseRequest {
        pipeline: CasePipeline::File(task.pipeline),
        scans: task.scans,
        steps: Vec::new(),
        profile: Profile::Full,
        phases: Vec::new(),
        output: task.output,
        strict_geometry: true,
        check_phases: true,
    }
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
