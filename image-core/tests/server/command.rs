//! `nephrite serve` as a process.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use nephrite_proto::Client;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{MODEL, root, small_run};

fn serve(config: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nephrite"));
    command.args(["serve", "--config"]).arg(config);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_its_address_logs_json_and_drains_on_sigterm() {
    let root = root();
    let config = root.path().join("nephrite.toml");
    let text = format!(
        "listen = '127.0.0.1:0'\nroot = '.'\nthreads = 1\nlog_format = 'json'\n[[models]]\nmodel = '{MODEL}'\n\
         folds = [0]\n"
    );
    fs::write(&config, text).unwrap();
    let mut process = serve(&config).spawn().unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
    let client = Client::connect(&address).await.unwrap();
    let done = loop {
        let run = client.run(small_run("results/mask.nii.gz")).await;
        match run {
            Ok(events) => break events.done().await.unwrap(),
            Err(error) => assert_eq!(error.code, nephrite_types::ErrorCode::Unavailable, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(done.weight_bytes_read, 0);
    let pid = Pid::from_raw(process.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let mut log = String::new();
    process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(process.wait().unwrap().success(), "{log}");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let messages: Vec<_> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    for message in [
        "model is warm",
        "serving",
        "run accepted",
        "run done",
        "draining",
        "stopped",
    ] {
        assert!(messages.contains(&message), "{message}: {messages:?}");
    }
}

#[test]
fn all_faults_of_a_configuration_are_printed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nephrite.toml");
    fs::write(&config, "root = 3\nlisten = 'x'\nunknown = 1\n").unwrap();
    let output = serve(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    for key in ["root", "listen", "unknown"] {
        assert!(text.contains(&format!("\n  {key}: ")), "{text}");
    }
    let output = serve(&folder.path().join("none.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    fs::write(&config, "root = '.'\nlisten = '192.0.2.1:1'\n").unwrap();
    let output = serve(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "an address of another machine");
}

#[test]
fn health_says_whether_the_server_of_a_configuration_serves() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nephrite.toml");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    fs::write(&config, format!("root = '.'\nlisten = '{address}'\n")).unwrap();
    let health = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nephrite"));
        command
            .args(["health", "--config"])
            .arg(&config)
            .output()
            .unwrap()
    };
    let nobody = health();
    let text = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(6), "{text}");
    assert!(text.contains(&address.to_string()), "{text}");

    let mut process = serve(&config).spawn().unwrap();
    let serves = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        health().status.success()
    });
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(serves);
}
