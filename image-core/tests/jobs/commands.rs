//! The same from the command line.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::place::{Engine, Place, Process};

struct Shell<'a> {
    server: &'a Process,
    folder: &'a Path,
}

impl Shell<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_nephrite"))
            .args(arguments)
            .env("NEPHRITE_SERVER", &self.server.address)
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(
            ran.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        String::from_utf8(ran.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(arguments)).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let ran = self.run(arguments);
        assert!(!ran.status.success(), "{arguments:?}");
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    }
}

const CASE: [&str; 4] = [
    "--pipeline",
    "short.toml",
    "--scan",
    "portal_venous=scans/portal_venous.nii.gz",
];

#[test]
fn jobs_from_the_command_line() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let server = place.server();
    let shell = Shell {
        server: &server,
        folder: place.patient.root.path(),
    };
    let submit = |more: &[&str]| {
        shell
            .text(&[&["submit"], &CASE[..], more].concat())
            .trim_end()
            .to_owned()
    };
    let id = submit(&[
        "--output",
        "results/a",
        "--key",
        "a",
        "--priority",
        "low",
        "--tenant",
        "urology",
    ]);
    assert_eq!(id.len(), 32);
    assert_eq!(
        submit(&["--output", "results/a", "--key", "a", "--tenant", "urology"]),
        id
    );
    // watching ends with the job, one object a line
    let events = shell.text(&["jobs", "watch", &id, "--json"]);
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.last().unwrap()["state"], "succeeded", "{events:?}");
    assert!(events.iter().any(|event| event["kind"] == "mask"));
    shell.text(&["jobs", "watch", &id]);
    let shown = shell.json(&["jobs", "show", &id, "--json"]);
    assert_eq!(
        (&shown["state"], &shown["priority"]),
        (&"succeeded".into(), &"low".into())
    );
    assert_eq!(shown["request"]["output"], "results/a");
    let text = shell.text(&["jobs", "show", &id]);
    assert!(text.contains("succeeded") && text.contains("results/a"), "{text}");
    let again = shell.json(
        &[
            &["submit"],
            &CASE[..],
            &[
                "--output",
                "results/b",
                "--key",
                "b",
                "--reuse",
                "--tenant",
                "urology",
                "--json",
            ],
        ]
        .concat(),
    );
    assert_eq!(again["reused_from"], id.as_str());
    let listed = shell.json(&["jobs", "list", "--state", "succeeded", "--json"]);
    let listed = listed
        .as_array()
        .cloned()
        .unwrap_or_else(|| listed["jobs"].as_array().unwrap().clone());
    assert_eq!(listed.len(), 2);
    let table = shell.text(&["jobs", "list"]);
    assert!(table.lines().count() >= 3 && table.contains(&id[..8]), "{table}");
    assert!(shell.text(&["jobs", "workers"]).contains("server/"));

    let (code, error) = shell.fails(&["jobs", "cancel", &id]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("succeeded"), "{error}");
    let (code, error) = shell.fails(&["jobs", "retry", &id]);
    assert_eq!(code, Some(2), "{error}");
    let (code, error) = shell.fails(&["jobs", "show", "x"]);
    assert_eq!(code, Some(2), "{error}");
    let (code, _) = shell.fails(&["jobs", "show", &"0".repeat(32)]);
    assert_eq!(code, Some(3));
    // The list of a table can be cut to what is asked for; a filter that is none is refused.
    let (code, _) = shell.fails(&["jobs", "list", "--state", "sleeping"]);
    assert_eq!(code, Some(2));

    shell.text(&["jobs", "purge", &id]);
    let (code, orphans) = {
        let ran = shell.run(&["jobs", "fsck", "results"]);
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    assert_eq!(code, Some(3), "{orphans}");
    assert!(
        orphans.contains("results/a") && orphans.contains(&id),
        "{orphans}"
    );
    shell.text(&["jobs", "purge", "--state", "succeeded", "--with-results"]);
    assert!(!place.patient.path("results/b").exists());
    assert_eq!(
        shell
            .json(&["jobs", "list", "--json"])
            .to_string()
            .matches("\"id\"")
            .count(),
        0
    );

    // One that fails: the exit code says how.
    let (code, error) = shell.fails(&[
        "submit",
        "--pipeline",
        "none.toml",
        "--scan",
        "portal_venous=scans/portal_venous.nii.gz",
        "--output",
        "results/c",
    ]);
    assert_eq!(code, Some(3), "{error}");
    // A server that is not there.
    let ran = Command::new(env!("CARGO_BIN_EXE_nephrite"))
        .args(["jobs", "list", "--server", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(6));
}

/// A command that waits stops waiting; the job goes on.
#[test]
fn a_watcher_that_is_interrupted_leaves_the_job_alone() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let server = place.server_without_worker();
    let shell = Shell {
        server: &server,
        folder: place.patient.root.path(),
    };
    let id = shell.text(&[&["submit"], &CASE[..], &["--output", "results/a"]].concat());
    let id = id.trim_end();
    let watch = Command::new(env!("CARGO_BIN_EXE_nephrite"))
        .args(["jobs", "watch", id, "--server", &server.address])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = rustix::process::Pid::from_child(&watch);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = watch.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("cancel"), "{said}");
    assert_eq!(shell.json(&["jobs", "show", id, "--json"])["state"], "queued");
}
