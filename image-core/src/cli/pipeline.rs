use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nephrite_image_core::case::CaseServices;
use nephrite_image_core::serve::ServeConfig;
use nephrite_image_core::{
    Core, PipelineEstimate, PipelineReport, ScanEstimate, StepCost, check_pipeline, estimate_pipeline,
    read_small_file,
};
use nephrite_pipeline::{Pipeline, Step};
use nephrite_types::{ErrorCode, Phase};
use serde::Serialize;

use super::args::{MemoryArguments, PipelineCommand};
use super::{Failure, place, signals};

/// What is printed.
#[derive(Serialize)]
struct Checked {
    #[serde(flatten)]
    report: PipelineReport,
    estimate: PipelineEstimate,
}

pub(crate) fn run(command: PipelineCommand) -> Result<(), Failure> {
    let PipelineCommand::Check {
        file,
        root,
        steps,
        scans,
        place,
        json,
    } = command;
    let scans = scans_by_phase(&scans)?;
    let core = super::idle_core(MemoryArguments::default());
    let cancel = signals::cancelled_by_signals();
    let mut pipeline = read(&core, &file)?;
    if !steps.is_empty() {
        let chosen = pipeline.only(&steps);
        pipeline = chosen.map_err(|fault| Failure::wrong("--steps", &fault.to_string(), "names of steps"))?;
    }
    let operations = place::operations(&place, None, &core)?;
    let mut report = check_pipeline(&core, &operations, &pipeline, &root, &cancel)?;
    if let Some(config) = &place.config {
        place_in_cores(&mut report, &pipeline, &core, &root, config)?;
    }
    let estimate = estimate_pipeline(&core, &pipeline, &root, &scans, &cancel)?;
    let checked = Checked { report, estimate };
    super::print(&if json {
        super::json(&checked)
    } else {
        table(&checked)
    });
    Ok(())
}

/// Scans of `PHASE=FILE`.
fn scans_by_phase(scans: &[String]) -> Result<BTreeMap<Phase, PathBuf>, Failure> {
    let mut by_phase = BTreeMap::new();
    for text in scans {
        let parts = text.split_once('=').filter(|(_, file)| !file.is_empty());
        let scan = parts.and_then(|(phase, file)| Some((Phase::from_name(phase)?, file)));
        let Some((phase, file)) = scan else {
            let expected = "PHASE=FILE with non_contrast, arterial, portal_venous or delayed as phase";
            return Err(Failure::wrong("--scan", &format!("{text:?}"), expected));
        };
        if by_phase.insert(phase, PathBuf::from(file)).is_some() {
            return Err(Failure::wrong(
                "--scan",
                &format!("{phase} twice"),
                "one scan of each phase",
            ));
        }
    }
    Ok(by_phase)
}

/// Says which models run in cores of their own, as a server's configuration has it.
fn place_in_cores(
    report: &mut PipelineReport,
    pipeline: &Pipeline,
    core: &Core,
    root: &Path,
    config: &Path,
) -> Result<(), Failure> {
    let config = ServeConfig::read(config)?;
    let mut settings = config.services();
    // A server's paths lie beneath its root; a command's are those of the shell.
    for core in &mut settings.cores {
        core.models
            .iter_mut()
            .for_each(|models| *models = config.root.join(&*models));
    }
    let services = CaseServices::new(&settings, core.root());
    for step in &mut report.steps {
        match pipeline.step(&step.id) {
            Some(Step::Model(model)) => {
                step.place = services.model_place(core.root(), &root.join(&model.model))
            }
            Some(Step::Sample(_)) if !settings.cores.is_empty() => {
                "where its scan is in memory".clone_into(&mut step.place);
            }
            _ => {}
        }
    }
    Ok(())
}

fn read(core: &Core, path: &Path) -> Result<Pipeline, Failure> {
    let bytes = read_small_file(core, path, core.limits().max_json_bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        Failure::wrong(
            "pipeline",
            &path.display().to_string(),
            &format!("a text file ({error})"),
        )
    })?;
    Pipeline::parse(&text).map_err(|faults| {
        let lines: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Failure {
            code: ErrorCode::InvalidArgument,
            message: format!("pipeline {}:{lines}", path.display()),
        }
    })
}

fn table(Checked { report, estimate }: &Checked) -> String {
    let mut text = String::new();
    let width = report.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    for step in &report.steps {
        let mut about = vec![format!("{} {}", step.kind, step.what)];
        about.extend((!step.phases.is_empty()).then(|| format!("on {}", step.phases.join(" or "))));
        about.extend(step.optional.then(|| "optional".to_owned()));
        about.extend((!step.needs.is_empty()).then(|| format!("after {}", step.needs.join(", "))));
        let verb = if step.kind == "sample" { "shows" } else { "finds" };
        about.extend((!step.labels.is_empty()).then(|| format!("{verb} {}", step.labels.join(", "))));
        let cost = estimate.steps.iter().find(|cost| cost.id == step.id);
        about.extend(cost.into_iter().flat_map(cost_in_words));
        about.push(step.place.clone());
        let _ = writeln!(text, "{:width$}  {}", step.id, about.join("; ")); // writing to a string cannot fail
    }
    for save in &report.save {
        let _ = writeln!(text, "saves {} as {}", save.step, save.file);
    }
    let _ = writeln!(text, "{}", estimate_in_words(estimate));
    for warning in estimate.scans.iter().flat_map(|scan| &scan.warnings) {
        let _ = writeln!(text, "warning: {}; file {}", warning.message, warning.file);
    }
    text
}

fn cost_in_words(cost: &StepCost) -> Vec<String> {
    if let Some(reason) = &cost.left_out {
        return vec![format!("left out: {reason}")];
    }
    let mut words = vec![format!("{} tiles, {} runs", cost.tiles, cost.network_runs)];
    words.extend(cost.seconds.map(duration));
    words.extend(cost.memory_bytes.map(bytes));
    if cost.at_most {
        words.push("at most, if its crop is all of the scan".to_owned());
    }
    words
}

fn estimate_in_words(estimate: &PipelineEstimate) -> String {
    let time = match estimate.seconds {
        Some(seconds) => format!("about {} of networks", duration(seconds)),
        None => "a time that is not known".to_owned(),
    };
    let memory = match estimate.memory_bytes {
        Some(n) => format!("{} at the peak", bytes(n)),
        None => "memory that is not known".to_owned(),
    };
    let scan = |scan: &ScanEstimate| {
        let ([x, y, z], [sx, sy, sz]) = (scan.shape, scan.spacing);
        format!("{x}×{y}×{z} voxels of {sx:.3}×{sy:.3}×{sz:.3} mm")
    };
    let scans: Vec<String> = estimate.scans.iter().map(scan).collect();
    let assumed = estimate.scans.iter().any(|scan| scan.file.is_none());
    let (scans, assumed) = (
        scans.join(", "),
        if assumed {
            " (assumed; name yours with --scan)"
        } else {
            ""
        },
    );
    format!(
        "needs {time} and {memory}, for {scans}{assumed}; speed {}: {:.1} billion multiply-adds per second",
        estimate.speed,
        estimate.multiply_adds_per_second / 1e9
    )
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

fn bytes(n: u64) -> String {
    if n < 10_000_000_000 {
        format!("{} MB", n / 1_000_000)
    } else {
        format!("{:.1} GB", n as f64 / 1e9)
    }
}
