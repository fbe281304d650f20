//! The binary as a process: what it prints and logs, its exit codes, and its end.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use nephrite_kernel::test_util::write_hollow_label_map;
use nephrite_proto::status::error_code;
use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::mask_service_client::MaskServiceClient;
use nephrite_proto::v1::{DescribeRequest, Mask, NamedMask, ProcessRequest};
use nephrite_types::ErrorCode;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mask-services"));
    command.args(arguments).env_remove("NEPHRITE_LOG");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// A running service, its address, and what else it prints.
fn start(config: &Path) -> (Child, String, BufReader<ChildStdout>) {
    let mut process = command(&["--config", config.to_str().unwrap()]).spawn().unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
    (process, address, stdout)
}

fn folder(config: &str) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask-services.toml");
    fs::write(&path, config).unwrap();
    (folder, path)
}

/// Resident memory in kB.
fn resident(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_what_the_configuration_names_logs_json_and_drains_on_sigterm() {
    let (_folder, config) =
        folder("root = '.'\nlisten = '127.0.0.1:0'\noperations = ['merge']\nlog_format = 'json'");
    let (mut process, address, _stdout) = start(&config);
    let mut client = MaskServiceClient::connect(address).await.unwrap();
    let described = client.describe(DescribeRequest {}).await.unwrap().into_inner();
    let names: Vec<&str> = described
        .operations
        .iter()
        .map(|operation| operation.name.as_str())
        .collect();
    assert_eq!((described.name.as_str(), names), ("mask-services", vec!["merge"]));
    assert!(resident(&process) <= 20_000, "{} kB", resident(&process));
    let code = loop {
        let status = client.process(ProcessRequest::default()).await.unwrap_err();
        if status.code() != tonic::Code::Unavailable {
            break status.code(); // it had begun to listen before it served
        }
    };
    assert_eq!(code, tonic::Code::InvalidArgument);

    let pid = Pid::from_raw(process.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let mut log = String::new();
    process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(process.wait().unwrap().success(), "{log}");
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let messages: Vec<String> = lines
        .filter_map(|line| line["message"].as_str().map(str::to_owned))
        .collect();
    for message in ["serving", "request ended", "draining", "stopped"] {
        assert!(
            messages.iter().any(|found| found == message),
            "{message}: {messages:?}"
        );
    }
}

/// Where an allocation that fails would end the process, with everybody's requests in it.
#[tokio::test(flavor = "multi_thread")]
async fn it_outlives_masks_that_are_larger_than_its_address_space() {
    let (folder, config) = folder("root = '.'\nlisten = '127.0.0.1:0'\nthreads = 2");
    write_hollow_label_map(&folder.path().join("huge.nii"), 600).unwrap(); // 432 MB

    let program = env!("CARGO_BIN_EXE_mask-services");
    let mut process = Command::new("sh")
        .args(["-c", "ulimit -v 900000; exec \"$@\"", "sh", program, "--config"])
        .arg(&config)
        .env_remove("NEPHRITE_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
    let mut client = MaskServiceClient::connect(address).await.unwrap();
    let mask = Mask {
        content: Some(Content::Path("huge.nii".to_owned())),
        labels: Vec::new(),
        grid: String::new(),
    };
    let request = ProcessRequest {
        operation: "cleanup".to_owned(),
        inputs: vec![NamedMask {
            name: "mask".to_owned(),
            mask: Some(mask),
        }],
        ..Default::default()
    };
    for _ in 0..3 {
        let status = loop {
            let status = client.process(request.clone()).await.unwrap_err();
            if status.message() != "the server is starting" {
                break status;
            }
        };
        assert_eq!(error_code(&status), ErrorCode::LimitExceeded, "{status}");
        assert!(status.message().contains("resource limit"), "{status}");
    }
    assert!(process.try_wait().unwrap().is_none(), "it died");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn health_needs_no_shell() {
    // A port of its own, free a moment ago: the probe reads it from the configuration.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (_folder, config) = folder(&format!("root = '.'\nlisten = '127.0.0.1:{port}'"));
    let probe = || output(&["health", "--config", config.to_str().unwrap()]);
    assert_eq!(probe().status.code(), Some(6), "nobody is there");
    let (mut process, _, _stdout) = start(&config);
    let started = std::time::Instant::now();
    while !probe().status.success() {
        assert!(started.elapsed().as_secs() < 30);
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn the_command_line_is_told_what_is_wrong() {
    let found = output(&["operations"]);
    let text = String::from_utf8(found.stdout).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, nephrite_mask_services::operations().names());

    let found = output(&["--explain"]);
    assert!(found.status.success());
    let text = String::from_utf8(found.stdout).unwrap();
    assert!(
        text.contains("\nmax_waiting_requests  (whole number: from 0 to 4096; default 16)"),
        "{text}"
    );
    assert_eq!(
        output(&["--explain", "--config", "x.toml"]).status.code(),
        Some(2)
    );

    assert_eq!(output(&[]).status.code(), Some(2));
    assert_eq!(output(&["serve"]).status.code(), Some(2));
    assert_eq!(output(&["--config", "/none.toml"]).status.code(), Some(3));
    for (text, code, words) in [
        (
            "root = 3\nlisten = 'x'\nunknown = 1",
            2,
            vec!["root: ", "listen: ", "unknown: "],
        ),
        (
            "root = '.'\nlisten = '127.0.0.1:0'\noperations = ['sharpen']",
            2,
            vec!["sharpen", "merge"],
        ),
        (
            "root = 'none'\nlisten = '127.0.0.1:0'",
            3,
            vec!["no such file or folder"],
        ),
        ("root = '.'\nlisten = '192.0.2.1:1'", 6, vec!["192.0.2.1:1"]),
    ] {
        let (_folder, config) = folder(text);
        let found = output(&["--config", config.to_str().unwrap()]);
        let error = String::from_utf8(found.stderr).unwrap();
        assert_eq!(found.status.code(), Some(code), "{text}: {error}");
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
