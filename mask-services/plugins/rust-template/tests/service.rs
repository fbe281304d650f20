//! The program, as its README has it run.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nephrite_conformance::{Options, Verdict, check_service};

/// A process that ends with the test.
struct Plugin(Child);

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_passes() {
    let temp = tempfile::tempdir().unwrap();
    let (exchange, outside) = (temp.path().join("root/exchange"), temp.path().join("outside"));
    std::fs::create_dir_all(&exchange).unwrap();
    std::fs::create_dir(&outside).unwrap();
    let template = include_str!("../plugin.toml");
    let config = template
        .replace("/data", "root")
        .replace("0.0.0.0:7446", "127.0.0.1:0");
    std::fs::write(temp.path().join("plugin.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nephrite-plugin-template"));
    command.arg("--config").arg(temp.path().join("plugin.toml"));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let _plugin = Plugin(child);
    let endpoint = line.trim().strip_prefix("listening on ").unwrap();
    let options = Options {
        exchange_folder: Some(exchange),
        outside_folder: outside,
        deadline: Duration::from_secs(10),
        ..Options::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(check_service(endpoint, &options)).unwrap();
    assert!(report.passed(), "{report}");
    assert!(
        !report
            .rows
            .iter()
            .any(|row| matches!(row.verdict, Verdict::Skipped(_))),
        "{report}"
    );
}
