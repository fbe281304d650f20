//! Every operation gives the same masks, files and numbers in this process and at a service, inline and by path.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nephrite_kernel::grpc::{Placement, RemoteService, RemoteSettings, Service, ServiceConfig, serve_all};
use nephrite_kernel::{
    Artefacts, CancelToken, Context, Inputs, LabelTable, Limits, Mask, Outcome, ParameterValue, Run,
    RunMaskBuilder, Traffic,
};
use nephrite_mask_services::operations;
use nephrite_root::Root;
use nephrite_types::{Affine, Geometry, Shape3, Spacing};
use tokio::net::TcpListener;

/// Two balls, one hollow, and specks; spacing that 32 bits do not hold.
fn balls(shift: f64) -> Arc<Mask> {
    let (shape, spacing) = ([24, 40, 48], Spacing::new([2.7, 1.1, 0.9]).unwrap());
    let geometry = Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [-10.3, 4.7, 0.1]),
    };
    let label = |z: usize, y: usize, x: usize| {
        let distance = |c: [f64; 3]| {
            let d = [
                (z as f64 - c[0]) * 2.7,
                (y as f64 - c[1]) * 1.1,
                (x as f64 - c[2] - shift) * 0.9,
            ];
            (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt()
        };
        let first = distance([12.0, 15.0, 14.0]);
        match () {
            () if (4.0..11.0).contains(&first) => 1,
            () if distance([10.0, 24.0, 32.0]) < 9.0 => 2,
            () if (z * 7 + y * 13 + x * 29).is_multiple_of(997) => 1 + (x % 2) as u16,
            () => 0,
        }
    };
    let mut builder = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
    for row in 0..shape[0] * shape[1] {
        let runs = (0..shape[2]).map(|x| Run {
            start: x as u32,
            end: x as u32 + 1,
            label: label(row / shape[1], row % shape[1], x),
        });
        builder.push_row(runs).unwrap();
    }
    Arc::new(Mask::new(builder.finish().unwrap(), LabelTable::numbered([1, 2])).unwrap())
}

/// The files of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

/// An outcome without the place of its files, and the files.
fn run(
    placement: &Placement,
    operation: &str,
    inputs: &Inputs,
    parameters: &BTreeMap<String, ParameterValue>,
    root: &Root,
    folder: &Path,
) -> (Outcome, BTreeMap<String, Vec<u8>>) {
    std::fs::create_dir(folder).unwrap();
    let writes = placement
        .describe(operation, &CancelToken::new())
        .unwrap()
        .artefacts;
    let artefacts = Artefacts::new(root.open_folder(folder).unwrap(), folder);
    let context = Context {
        limits: &Limits::default(),
        cancel: &CancelToken::new(),
        artefacts: writes.then_some(&artefacts),
    };
    let mut outcome = placement.run(operation, inputs, parameters, &context).unwrap();
    outcome.traffic = Traffic::default(); // alone tells the two places apart
    for artefact in &mut outcome.artefacts {
        artefact.path = artefact.path.strip_prefix(folder).unwrap().to_owned();
    }
    (outcome, contents(folder))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_gives_the_same_here_and_there() {
    let temp = tempfile::tempdir().unwrap();
    let root = Arc::new(Root::beneath(temp.path()).unwrap());
    std::fs::create_dir(temp.path().join("exchange")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Service {
        name: "mask-services".to_owned(),
        version: "1".to_owned(),
        operations: operations(),
    };
    let config = ServiceConfig::new(temp.path().to_owned());
    tokio::spawn(serve_all(service, config, listener, std::future::pending()));
    let there = RemoteSettings {
        name: "mask-services".to_owned(),
        endpoint: format!("http://{address}"),
        timeout: Duration::from_secs(60),
        root: root.clone(),
        exchange_folder: Some("exchange".into()),
    };
    let there = Placement::Endpoint(Arc::new(RemoteService::new(there)));
    let here = Placement::InProcess(Arc::new(operations()));

    let one = Inputs::new().with("mask", balls(0.0));
    let two = one.clone().with("reference", balls(2.0));
    let several = Inputs::new().with("masks", balls(0.0)).with("masks", balls(3.0));
    let values = |values: &[(&str, ParameterValue)]| -> BTreeMap<String, ParameterValue> {
        let named = values.iter();
        named
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    };
    let number = ParameterValue::Number;
    let cases = [
        ("merge", several, values(&[])),
        (
            "cleanup",
            one.clone(),
            values(&[("keep_largest", ParameterValue::Integer(1))]),
        ),
        (
            "cleanup",
            one.clone(),
            values(&[
                ("min_voxels", ParameterValue::Integer(5)),
                ("close_mm", number(3.0)),
            ]),
        ),
        ("compare", two, values(&[])),
        (
            "sample",
            one,
            values(&[("margin_mm", number(5.0)), ("meshes", ParameterValue::Flag(true))]),
        ),
    ];
    let names: std::collections::BTreeSet<&str> = cases.iter().map(|(name, ..)| *name).collect();
    assert!(
        operations().names().into_iter().eq(names),
        "every operation has a case"
    );
    let temp = Arc::new(temp);
    let compared = tokio::task::spawn_blocking({
        let temp = temp.clone();
        move || {
            for (idx, (operation, inputs, parameters)) in cases.iter().enumerate() {
                let folder = |place: &str| temp.path().join(format!("{idx}-{place}"));
                let run =
                    |placement, place| run(placement, operation, inputs, parameters, &root, &folder(place));
                let ((here, files), (there, files_there)) = (run(&here, "here"), run(&there, "there"));
                assert_eq!(here, there, "{operation}");
                assert!(
                    !here.masks.is_empty() && !here.masks[0].1.runs().is_empty(),
                    "{operation}"
                );
                let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
                assert_eq!(names(&files), names(&files_there), "{operation}");
                let writes = *operation == "sample";
                assert_eq!(
                    files.contains_key("preview.png"),
                    writes,
                    "{operation}: {:?}",
                    names(&files)
                );
                for (name, bytes) in &files {
                    assert!(files_there[name] == *bytes, "{operation} {name}");
                }
            }
        }
    });
    compared.await.unwrap();
    assert!(contents_is_empty(&temp.path().join("exchange")));
}

fn contents_is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}
