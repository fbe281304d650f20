//! `nephrite jobs workers`: who takes jobs.

use clap::Args;
use nephrite_proto::{Client, v1};
use serde_json::{Value, json};

use super::call::{ServerArguments, call};
use super::json::text_or_null;
use super::screen;
use super::table::Table;
use super::words::gigabytes;
use crate::cli::failure::Failure;
use crate::cli::output;

#[derive(Debug, Args)]
pub(crate) struct WorkersArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn run(arguments: &WorkersArguments) -> Result<(), Failure> {
    let workers = call(&arguments.server, async |client: Client| {
        Ok(client.list_workers(v1::ListWorkersRequest {}).await?.workers)
    })?;
    output::print(&if arguments.json {
        output::json(&as_json(&workers))
    } else {
        table(&workers).to_text(screen::columns())
    });
    Ok(())
}

fn as_json(workers: &[v1::WorkerStatus]) -> Value {
    let row = |worker: &v1::WorkerStatus| {
        json!({
            "name": worker.name,
            "process": worker.process,
            "capabilities": worker.capabilities,
            "models": worker.models,
            "memory_bytes": worker.memory_bytes,
            "job": text_or_null(&worker.job),
        })
    };
    workers.iter().map(row).collect()
}

fn table(workers: &[v1::WorkerStatus]) -> Table<6> {
    let mut table = Table::new(["worker", "process", "job", "memory", "capabilities", "models"]);
    for worker in workers {
        let models = match worker.models.as_slice() {
            [] => "all".to_owned(),
            models => models.join(", "),
        };
        table.row([
            worker.name.clone(),
            worker.process.clone(),
            worker.job.clone(),
            worker.memory_bytes.map(gigabytes).unwrap_or_default(),
            worker.capabilities.join(", "),
            models,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_say_what_they_have_and_do() {
        let workers = [
            v1::WorkerStatus {
                name: "core-1/0".to_owned(),
                process: "core-1".to_owned(),
                capabilities: vec!["cuda".to_owned(), "big".to_owned()],
                models: vec!["models/kidney".to_owned()],
                memory_bytes: Some(16_000_000_000),
                job: "17".to_owned(),
            },
            v1::WorkerStatus {
                name: "core-2/0".to_owned(),
                process: "core-2".to_owned(),
                capabilities: vec!["cpu".to_owned()],
                ..v1::WorkerStatus::default()
            },
        ];
        let expected = "\
worker    process  job  memory    capabilities  models
core-1/0  core-1   17   16.00 GB  cuda, big     models/kidney
core-2/0  core-2                  cpu           all
";
        assert_eq!(table(&workers).to_text(None), expected);
        let idle = &as_json(&workers)[1];
        let expected = json!({"name": "core-2/0", "process": "core-2", "capabilities": ["cpu"], "models": [],
                              "memory_bytes": null, "job": null});
        assert_eq!(*idle, expected);
    }
}
