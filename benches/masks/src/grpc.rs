//! What the way to a service and back costs: one operation in this process and through gRPC on loopback, alternating.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use nephrite_cleanup::Cleanup;
use nephrite_kernel::grpc::{Placement, RemoteService, RemoteSettings, Service, ServiceConfig, serve_all};
use nephrite_kernel::{Context, Inputs, Outcome, ParameterValue, Registry};
use nephrite_mask_codec::{EncodedMask, LabelTable, Mask, RunMask};
use nephrite_proto::v1;
use nephrite_root::Root;
use nephrite_runs::select;
use nephrite_types::{CancelToken, Limits};
use serde_json::{Value, json};

/// Of deflate, as services use it.
const LEVEL: u32 = 2;

pub(crate) fn time(folder: &Path, repeats: usize) -> anyhow::Result<()> {
    let (labels, geometry) = crate::read_map(folder)?;
    let all = RunMask::from_labels(&labels, &geometry, &Limits::default())?;
    drop(labels);
    let counts = all.summaries();
    let one = counts
        .iter()
        .max_by_key(|(_, summary)| summary.voxels)
        .map_or(1, |(id, _)| *id);
    let organ = select(&all, |label| label == one);
    let few: Vec<u16> = counts.keys().copied().filter(|id| id % 12 == 0).collect();
    let some = select(&all, |label| few.contains(&label));

    let mut registry = Registry::new();
    registry.register(Arc::new(Cleanup::new()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let service = Service {
        name: "bench".to_owned(),
        version: "1".to_owned(),
        operations: registry.clone(),
    };
    let config = ServiceConfig::new(folder.to_owned());
    runtime.spawn(serve_all(service, config, listener, std::future::pending()));
    let remote = Placement::Endpoint(Arc::new(RemoteService::new(RemoteSettings {
        name: "bench".to_owned(),
        endpoint,
        timeout: Duration::from_secs(60),
        root: Arc::new(Root::beneath(folder)?),
        exchange_folder: None,
    })));
    let local = Placement::InProcess(Arc::new(registry));
    let mut rows = Vec::new();
    for (what, runs) in [("all labels", all), ("one label", organ), ("few labels", some)] {
        rows.push(compare(what, runs, &local, &remote, repeats)?);
    }
    runtime.shutdown_background();
    crate::print(&json!({ "rows": rows }))
}

fn compare(
    what: &str,
    runs: RunMask,
    local: &Placement,
    remote: &Placement,
    repeats: usize,
) -> anyhow::Result<Value> {
    let n_runs = runs.runs().len();
    let ids: Vec<u16> = runs.summaries().into_keys().collect();
    let n_labels = ids.len();
    let mask = Mask::new(runs, LabelTable::numbered(ids))?;
    let message = v1::EncodedMask::from(EncodedMask::encode_at(&mask, LEVEL)?);
    let (mut local_ms, mut remote_ms) = (Vec::new(), Vec::new());
    for _ in 0..=repeats {
        // A new mask every time: the message of one that was sent lately is kept.
        let inputs = Inputs::new().with("mask", Arc::new(mask.clone()));
        let (took, here) = run(local, &inputs)?;
        local_ms.push(took);
        let (took, there) = run(remote, &inputs)?;
        remote_ms.push(took);
        if here.masks != there.masks || here.measurements != there.measurements {
            bail!("{what}: the service gave another result");
        }
    }
    Ok(json!({
        "what": format!("keep largest, {what} ({n_labels} labels, {n_runs} runs)"),
        "local_ms": median(&mut local_ms),
        "remote_ms": median(&mut remote_ms),
        "message_bytes": prost::Message::encoded_len(&message),
    }))
}

fn run(placement: &Placement, inputs: &Inputs) -> anyhow::Result<(f64, Outcome)> {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let context = Context {
        limits: &limits,
        cancel: &cancel,
        artefacts: None,
    };
    let given = BTreeMap::from([("keep_largest".to_owned(), ParameterValue::Integer(1))]);
    let start = Instant::now();
    let outcome = placement.run("cleanup", inputs, &given, &context)?;
    Ok((start.elapsed().as_secs_f64() * 1e3, outcome))
}

/// The first, which makes the connection, does not count.
fn median(times: &mut Vec<f64>) -> f64 {
    times.remove(0);
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
