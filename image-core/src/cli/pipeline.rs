//! What a pipeline would run, and what that would cost.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nephrite_image_core::case::{
    CaseEstimate, CasePipeline, CaseRequest, CaseServices, PipelineCheck, Profile, ScanEstimate,
    ServiceSettings, StepEstimate, StepKind, check_pipeline,
};
use nephrite_image_core::server::ServeConfig;
use nephrite_types::{Phase, count};

use super::failure::Failure;
use super::place::services_are_unnamed;
use super::shared_arguments::{MemoryArguments, PlaceArguments};
use super::{output, start};
use super::{place, signals};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Say what a pipeline would run, and refuse one that cannot: unknown keys and steps, cycles, missing models
    Check {
        /// Pipeline file (TOML)
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Folder that the paths of models start at
        #[arg(long, value_name = "DIR", default_value = ".")]
        root: PathBuf,
        /// Only these steps, and those that they need
        #[arg(long, value_name = "ID,…", value_delimiter = ',')]
        steps: Vec<String>,
        /// A scan that time and memory are estimated for, such as arterial=art.nii.gz; its header is read only [default: a
        /// scan of 512×512×400 voxels of 0.8×0.8×1.0 mm for every phase]
        #[arg(long = "scan", value_name = "PHASE=FILE")]
        scans: Vec<String>,
        #[command(flatten)]
        place: PlaceArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
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
    let root = match root.as_os_str() == "." {
        true => PathBuf::new(), // so that paths are printed as the pipeline has them
        false => root,
    };
    let request = CaseRequest {
        pipeline: CasePipeline::File(file),
        scans: scans_by_phase(&scans)?,
        steps,
        profile: Profile::Full,
        phases: Vec::new(),
        output: PathBuf::new(), // nothing is written
        strict_geometry: false,
        check_phases: false,
    };
    let core = start::idle_core(MemoryArguments::default());
    let services = CaseServices::new(&services(&place, &root)?, core.root());
    let unnamed = services_are_unnamed(&place);
    let checked = check_pipeline(
        &core,
        &services,
        &request,
        &root,
        &signals::cancelled_by_signals(),
    );
    let checked = checked.map_err(|error| {
        let is_unknown = error.is_unknown_operation();
        place::failure(error, is_unknown && unnamed)
    })?;
    output::print(&if json {
        output::json(&checked)
    } else {
        table(&checked)
    });
    Ok(())
}

/// Scans of `PHASE=FILE`.
fn scans_by_phase(scans: &[String]) -> Result<Vec<(Phase, PathBuf)>, Failure> {
    let mut by_phase: Vec<(Phase, PathBuf)> = Vec::new();
    for text in scans {
        let parts = text.split_once('=').filter(|(_, file)| !file.is_empty());
        let scan = parts.and_then(|(phase, file)| Some((Phase::from_name(phase)?, file)));
        let Some((phase, file)) = scan else {
            let expected = "PHASE=FILE with non_contrast, arterial, portal_venous or delayed as phase";
            return Err(Failure::wrong("--scan", &format!("{text:?}"), expected));
        };
        if by_phase.iter().any(|(taken, _)| *taken == phase) {
            let found = format!("{phase} twice");
            return Err(Failure::wrong("--scan", &found, "one scan of each phase"));
        }
        by_phase.push((phase, file.into()));
    }
    Ok(by_phase)
}

/// Where steps would run, as a server's configuration has it.
fn services(arguments: &PlaceArguments, root: &Path) -> Result<ServiceSettings, Failure> {
    let config = arguments.config.as_deref().map(ServeConfig::read).transpose()?;
    let mut settings = config
        .as_ref()
        .map_or_else(ServiceSettings::default, ServeConfig::services);
    settings.operations = place::operation_settings(arguments, None)?;
    // A server's paths lie beneath its root; a command's are those of the shell.
    let beneath = config.as_ref().map_or(root, |config| &config.root);
    for models in settings.cores.iter_mut().flat_map(|core| &mut core.models) {
        *models = beneath.join(&*models);
    }
    Ok(settings)
}

fn table(PipelineCheck { report, estimate }: &PipelineCheck) -> String {
    let mut text = String::new();
    let width = report.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    for step in &report.steps {
        let phases: Vec<&str> = step.phases.iter().map(|phase| phase.name()).collect();
        let mut about = vec![format!("{} {}", step.kind.name(), step.what)];
        about.extend((!phases.is_empty()).then(|| format!("on {}", phases.join(" or "))));
        about.extend(step.optional.then(|| "optional".to_owned()));
        about.extend((!step.needs.is_empty()).then(|| format!("after {}", step.needs.join(", "))));
        let verb = if step.kind == StepKind::Sample {
            "shows"
        } else {
            "finds"
        };
        about.extend((!step.labels.is_empty()).then(|| format!("{verb} {}", step.labels.join(", "))));
        if let Some(cost) = estimate.steps.iter().find(|cost| cost.step == step.id) {
            about.extend(cost_in_words(cost));
            about.extend(cost.place.as_ref().map(ToString::to_string));
        }
        let _ = writeln!(text, "{:width$}  {}", step.id, about.join("; ")); // writing to a string cannot fail
    }
    for step in &estimate.steps {
        for file in &step.files {
            let _ = writeln!(text, "saves {} as {file}", step.step);
        }
    }
    let _ = writeln!(text, "{}", estimate_in_words(estimate));
    for warning in estimate.warnings() {
        let _ = writeln!(text, "warning: {}; file {}", warning.message, warning.file);
    }
    text
}

fn cost_in_words(cost: &StepEstimate) -> Vec<String> {
    if let Some(reason) = &cost.left_out {
        return vec![format!("left out: {reason}")];
    }
    if cost.kind != StepKind::Model {
        return Vec::new();
    }
    let mut words = vec![format!(
        "{}, {}",
        count(cost.tiles, "tile"),
        count(cost.network_runs, "run")
    )];
    words.extend(cost.seconds.map(duration));
    words.extend(cost.memory_bytes.map(bytes));
    if cost.at_most {
        words.push("at most, if its crop is all of the scan".to_owned());
    }
    words
}

fn estimate_in_words(estimate: &CaseEstimate) -> String {
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
    let mut scans: Vec<String> = estimate.scans.iter().map(scan).collect();
    scans.dedup(); // the assumed scan stands for every phase
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
