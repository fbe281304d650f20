//! What is odd about a scan is an event and a line of the answer, and an error where geometry is strict.

use std::fs;
use std::path::Path;

use nephrite_image_core::server::ServeConfig;
use nephrite_proto::v1;
use nephrite_proto::v1::run_response::Event;
use nephrite_proto::v1::{
    BareModel, CaseServiceRunRequest, Done, PhaseScan, RunRequest, SegmentationOptions, Warning, WarningCode,
};
use nephrite_proto::{CaseEvent, RemoteError};
use nephrite_types::ErrorCode;

use crate::harness::{MODEL, TWO_CHANNELS, TestServer, write_scan};

/// Two channels of one patient; the second lies 3 mm off.
fn write_channels(server: &TestServer) {
    for name in ["first.nii", "second.nii"] {
        write_scan(&server.path("scans"), name, [20, 24, 20], [2.0, 1.5, 1.5]);
    }
    set_f32(&server.path("scans/second.nii"), 280 + 12, 3.0); // the offset along x of the sform
}

fn set_f32(file: &Path, at: usize, value: f32) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

fn two_channels(strict_geometry: bool) -> RunRequest {
    RunRequest {
        model: TWO_CHANNELS.to_owned(),
        input: ["scans/first.nii", "scans/second.nii"]
            .map(str::to_owned)
            .to_vec(),
        output: "results/mask.nii.gz".to_owned(),
        options: Some(SegmentationOptions {
            mirroring: Some(false),
            ..Default::default()
        }),
        strict_geometry,
        ..Default::default()
    }
}

async fn run(server: &TestServer, request: RunRequest) -> Result<(Vec<Warning>, Done), RemoteError> {
    let mut events = server.client.run(request).await?;
    let (mut warnings, mut done) = (Vec::new(), None);
    while let Some(event) = events.next().await? {
        match event {
            Event::Warning(warning) => warnings.push(warning),
            Event::Done(report) => done = Some(report),
            _ => {}
        }
    }
    Ok((warnings, done.unwrap()))
}

fn assert_strict(refused: &RemoteError) {
    assert_eq!(refused.code, ErrorCode::InvalidInput);
    assert!(
        refused.message.contains("geometry is strict"),
        "{}",
        refused.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_lies_elsewhere_is_an_event_and_a_line_of_the_answer() {
    let server = TestServer::start(|_| {}).await;
    write_channels(&server);
    let (warnings, done) = run(&server, two_channels(false)).await.unwrap();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert_eq!(warning.code(), WarningCode::ChannelGeometry);
    assert!(warning.file.ends_with("scans/second.nii"), "{warning:?}");
    assert_eq!(done.warnings, warnings);

    fs::remove_file(server.path("results/mask.nii.gz")).unwrap();
    let refused = run(&server, two_channels(true)).await.unwrap_err();
    assert_strict(&refused);
    assert!(server.results().is_empty(), "{:?}", server.results());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_file_says_strict_refuses_whatever_the_request_says() {
    let server = TestServer::start(|config| {
        let file = config.root.join("server.toml");
        fs::write(&file, "root = '.'\nstrict_geometry = true\n").unwrap();
        let of_file = ServeConfig::read(&file).unwrap();
        config.strict_geometry = of_file.strict_geometry;
    })
    .await;
    write_channels(&server);
    let refused = run(&server, two_channels(false)).await.unwrap_err();
    assert_strict(&refused);
    server.serves().await;
}

/// `pixdim` says 3 mm where the affine says 1.5.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_contradicts_itself_is_an_event_of_a_case_and_a_line_of_its_record() {
    let server = TestServer::start(|_| {}).await;
    write_scan(&server.path("scans"), "odd.nii", [20, 24, 20], [2.0, 1.5, 1.5]);
    set_f32(&server.path("scans/odd.nii"), 80, 3.0);
    let request = |strict_geometry| CaseServiceRunRequest {
        models: vec![BareModel {
            model: MODEL.to_owned(),
            phase: None,
        }],
        scans: vec![PhaseScan {
            phase: v1::Phase::PortalVenous.into(),
            path: "scans/odd.nii".to_owned(),
        }],
        profile: Some(v1::Profile::Quick.into()),
        output: "results/case".to_owned(),
        strict_geometry,
        ..Default::default()
    };
    let mut events = server.client.run_case(request(false)).await.unwrap();
    let (mut warnings, mut done) = (Vec::new(), None);
    while let Some(event) = events.next().await.unwrap() {
        match event {
            CaseEvent::Warning(warning) => warnings.push(warning),
            CaseEvent::Done(report) => done = Some(report),
            _ => {}
        }
    }
    let codes: Vec<WarningCode> = warnings.iter().map(Warning::code).collect();
    assert_eq!(codes, [WarningCode::HeaderLengths]);
    assert_eq!(done.unwrap().warnings, warnings);
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(server.path("results/case/record.json")).unwrap()).unwrap();
    assert_eq!(record["warnings"][0]["code"], "header_lengths", "{record}");

    fs::remove_dir_all(server.path("results/case")).unwrap();
    let mut events = server.client.run_case(request(true)).await.unwrap();
    let refused = loop {
        if let Err(error) = events.next().await {
            break error;
        }
    };
    assert_strict(&refused);
    assert!(server.results().is_empty(), "{:?}", server.results());
}
