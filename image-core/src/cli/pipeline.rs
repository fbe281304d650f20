use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use nephrite_image_core::{Core, CoreError, PipelineReport, check_pipeline};
use nephrite_pipeline::Pipeline;
use nephrite_types::ErrorCode;

use super::args::PipelineCommand;
use super::{Failure, place, signals};

pub(crate) fn run(command: PipelineCommand) -> Result<(), Failure> {
    let PipelineCommand::Check {
        file,
        root,
        steps,
        place,
        json,
    } = command;
    let core = super::idle_core();
    let cancel = signals::cancelled_by_signals();
    let mut pipeline = read(&core, &file)?;
    if !steps.is_empty() {
        let chosen = pipeline.only(&steps);
        pipeline = chosen.map_err(|fault| Failure::wrong("--steps", &fault.to_string(), "names of steps"))?;
    }
    let operations = place::operations(&place, None, &core)?;
    let report = check_pipeline(&core, &operations, &pipeline, &root, &cancel)?;
    super::print(&if json {
        super::json(&report)
    } else {
        table(&report)
    });
    Ok(())
}

fn read(core: &Core, path: &Path) -> Result<Pipeline, Failure> {
    let file = core.root().open_file(path)?;
    let limit = core.limits().max_json_bytes;
    let mut text = String::new();
    let read = file.take(limit + 1).read_to_string(&mut text);
    read.map_err(|error| {
        Failure::wrong(
            "pipeline",
            &path.display().to_string(),
            &format!("a text file ({error})"),
        )
    })?;
    if text.len() as u64 > limit {
        return Err(CoreError::FileTooLarge {
            limit,
            path: path.to_owned(),
        }
        .into());
    }
    Pipeline::parse(&text).map_err(|faults| {
        let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Failure {
            code: ErrorCode::InvalidArgument,
            message: format!("pipeline {}:{lines}", path.display()),
        }
    })
}

fn table(report: &PipelineReport) -> String {
    let mut text = String::new();
    let width = report.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    for step in &report.steps {
        let mut about = vec![format!("{} {}", step.kind, step.what)];
        about.extend((!step.phases.is_empty()).then(|| format!("on {}", step.phases.join(" or "))));
        about.extend(step.optional.then(|| "optional".to_owned()));
        about.extend((!step.needs.is_empty()).then(|| format!("after {}", step.needs.join(", "))));
        about.extend((!step.labels.is_empty()).then(|| format!("finds {}", step.labels.join(", "))));
        about.extend(
            step.expected_memory_bytes
                .map(|bytes| format!("{} MB", bytes / 1_000_000)),
        );
        about.push(step.place.clone());
        let _ = writeln!(text, "{:width$}  {}", step.id, about.join("; ")); // writing to a string cannot fail
    }
    for save in &report.save {
        let _ = writeln!(text, "saves {} as {}", save.step, save.file);
    }
    if let Some(bytes) = report.expected_memory_bytes {
        let _ = writeln!(text, "largest model: {} MB besides the scan", bytes / 1_000_000);
    }
    text
}
