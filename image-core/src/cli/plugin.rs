//! `nephrite plugin`: lists, describes and checks mask operations.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use nephrite_conformance::{Options, check_service};
use nephrite_kernel::grpc::{RemoteService, RemoteSettings};
use nephrite_kernel::{
    InputGeometry, OperationDescription, OutputGeometry, OutputLabels, ParameterKind, ParameterSpec,
    ParameterValue,
};
use nephrite_types::{ErrorCode, count};
use serde_json::{Value, json};

use super::failure::Failure;
use super::shared_arguments::{MemoryArguments, Pair, PlaceArguments};
use super::{output, start};
use super::{place, signals};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List the operations: ours, and those of the services that are configured
    List {
        #[command(flatten)]
        place: PlaceArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what an operation takes and gives, or all operations of a service
    Describe {
        /// Name of an operation, or address of a service
        #[arg(value_name = "NAME|URL")]
        what: String,
        #[command(flatten)]
        place: PlaceArguments,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try a service with everything that a plugin must stand
    Check(CheckArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Address, such as http://127.0.0.1:7445
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Only this operation [default: all of the service]
    #[arg(long, value_name = "NAME")]
    pub(crate) operation: Option<String>,
    /// Folder that the service sees under the same path; without it, masks by path and files are not tried
    #[arg(long, value_name = "DIR")]
    pub(crate) exchange: Option<PathBuf>,
    /// A parameter that the operation needs
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<Pair>,
    /// Seconds that one ordinary call may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) timeout: f64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(command: PluginCommand) -> Result<(), Failure> {
    let core = start::idle_core(MemoryArguments::default());
    let cancel = signals::cancelled_by_signals();
    match command {
        PluginCommand::List { place, json } => {
            let listed = place::operations(&place, None, &core)?.list(&cancel);
            if json {
                let rows = listed.iter().map(|row| match &row.description {
                    Ok(operation) => json!({"name": row.name, "place": row.place, "version": operation.version, "help": operation.help}),
                    Err(error) => json!({"name": row.name, "place": row.place, "error": error.to_string()}),
                });
                output::print(&output::json(&rows.collect::<Vec<_>>()));
                return Ok(());
            }
            let name = listed.iter().map(|row| row.name.len()).max().unwrap_or(0);
            let where_ = listed
                .iter()
                .map(|row| row.place.to_string().len())
                .max()
                .unwrap_or(0);
            for row in &listed {
                let says = match &row.description {
                    Ok(operation) => format!("{}  {}", operation.version, operation.help),
                    Err(error) => format!("NOT AVAILABLE: {error}"),
                };
                output::print(&format!(
                    "{:name$}  {:where_$}  {says}\n",
                    row.name,
                    row.place.to_string()
                ));
            }
            Ok(())
        }
        PluginCommand::Describe { what, place, json } => {
            let described = if what.contains("://") {
                let endpoint = place::endpoint(&what)?;
                let service = Arc::new(RemoteService::new(RemoteSettings {
                    name: "service".to_owned(),
                    endpoint: endpoint.url,
                    timeout: place
                        .timeout
                        .map_or(Ok(Duration::from_secs(10)), place::timeout)?,
                    root: core.root().clone(),
                    exchange_folder: None,
                }));
                let described = service.describe(&cancel)?;
                let wanted = |operation: &&OperationDescription| {
                    endpoint
                        .operation
                        .as_ref()
                        .is_none_or(|name| *name == operation.name)
                };
                described.operations.iter().filter(wanted).cloned().collect()
            } else {
                vec![place::operations(&place, Some(&what), &core)?.describe(&what, &cancel)?]
            };
            if json {
                let rows: Vec<Value> = described.iter().map(as_json).collect();
                output::print(&output::json(&rows));
            } else {
                described
                    .iter()
                    .for_each(|operation| output::print(&as_text(operation)));
            }
            Ok(())
        }
        PluginCommand::Check(arguments) => check(arguments),
    }
}

fn as_text(operation: &OperationDescription) -> String {
    let mut text = format!("{} {}: {}\n", operation.name, operation.version, operation.help);
    for input in &operation.inputs {
        let mut is = vec![if input.required { "required" } else { "optional" }];
        is.extend(input.repeated.then_some("repeated"));
        is.extend((input.geometry == InputGeometry::SameAsFirst).then_some("on the grid of the first"));
        let _ = writeln!(text, "  input {} ({}): {}", input.name, is.join(", "), input.help); // cannot fail
    }
    for output in &operation.outputs {
        let grid = match &output.geometry {
            OutputGeometry::Own => "on a grid of its own".to_owned(),
            OutputGeometry::SameAs(input) => format!("on the grid of {input}"),
        };
        let _ = writeln!(text, "  output {} ({grid}): {}", output.name, output.help);
    }
    for parameter in &operation.parameters {
        let unit = if parameter.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", parameter.unit)
        };
        let _ = writeln!(
            text,
            "  --set {}={}{unit}, {}: {}",
            parameter.name,
            parameter.kind.expected(),
            default(parameter),
            parameter.help
        );
    }
    if operation.artefacts {
        text.push_str("  writes files into --artefacts\n");
    }
    text
}

fn default(parameter: &ParameterSpec) -> String {
    match &parameter.default {
        _ if parameter.required => "required".to_owned(),
        None => "off by default".to_owned(),
        Some(ParameterValue::Text(text)) => format!("default {text}"),
        Some(ParameterValue::Texts(texts)) => format!("default {}", texts.join(",")),
        Some(ParameterValue::Flag(flag)) => format!("default {flag}"),
        Some(ParameterValue::Integer(number)) => format!("default {number}"),
        Some(ParameterValue::Number(number)) => format!("default {number}"),
    }
}

fn as_json(operation: &OperationDescription) -> Value {
    let inputs = operation.inputs.iter().map(|input| {
        json!({"name": input.name, "help": input.help, "required": input.required, "repeated": input.repeated,
               "on_first_grid": input.geometry == InputGeometry::SameAsFirst})
    });
    let outputs = operation.outputs.iter().map(|output| {
        let grid = match &output.geometry {
            OutputGeometry::Own => Value::Null,
            OutputGeometry::SameAs(input) => json!(input),
        };
        let labels = match &output.labels {
            OutputLabels::Unknown => Value::Null,
            OutputLabels::Of { inputs, only } => json!({"of": inputs, "only": only}),
            OutputLabels::Fixed(names) => json!({"fixed": names}),
        };
        json!({"name": output.name, "help": output.help, "on_grid_of": grid, "labels": labels})
    });
    let parameters = operation.parameters.iter().map(|spec| {
        let kind = match &spec.kind {
            ParameterKind::Flag => json!({"kind": "flag"}),
            ParameterKind::Integer { min, max } => json!({"kind": "integer", "min": min, "max": max}),
            ParameterKind::Number { min, max } => json!({"kind": "number", "min": min, "max": max}),
            ParameterKind::Text => json!({"kind": "text"}),
            ParameterKind::Choice(choices) => json!({"kind": "text", "choices": choices}),
            ParameterKind::Texts => json!({"kind": "texts"}),
            ParameterKind::Label { inputs } => json!({"kind": "label", "inputs": inputs}),
            ParameterKind::Labels { inputs, form } => {
                json!({"kind": "labels", "inputs": inputs, "form": form.name()})
            }
        };
        json!({"name": spec.name, "help": spec.help, "unit": spec.unit, "required": spec.required, "type": kind,
               "default": spec.default})
    });
    json!({
        "name": operation.name, "version": operation.version, "help": operation.help, "artefacts": operation.artefacts,
        "inputs": inputs.collect::<Value>(), "outputs": outputs.collect::<Value>(), "parameters": parameters.collect::<Value>(),
    })
}

fn check(arguments: CheckArguments) -> Result<(), Failure> {
    let options = Options {
        operation: arguments.operation,
        set: arguments
            .parameters
            .into_iter()
            .map(|pair| (pair.0, pair.1))
            .collect(),
        exchange_folder: arguments.exchange,
        deadline: place::timeout(arguments.timeout)?,
        ..Options::default()
    };
    let url = place::endpoint(&arguments.url)?.url;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure {
        code: ErrorCode::Environment,
        message: format!("starting threads: {error}"),
    })?;
    let report = runtime.block_on(check_service(&url, &options))?;
    // What a broken service still owes is not waited for.
    runtime.shutdown_background();
    if arguments.json {
        output::print(&output::json(&report.to_json()));
    } else {
        output::print(&format!("{report}\n"));
    }
    if report.passed() {
        return Ok(());
    }
    Err(Failure {
        code: ErrorCode::InvalidInput,
        message: format!("{} failed", count(report.failed().count(), "case")),
    })
}
