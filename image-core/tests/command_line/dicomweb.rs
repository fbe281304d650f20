//! `nephrite pull` and `nephrite push`, against a server of ours.

#[allow(dead_code)] // the tests of the client use the rest
#[path = "../../dicomweb/tests/dicomweb/files.rs"]
mod files;
#[allow(dead_code)]
#[path = "../../dicomweb/tests/dicomweb/pacs.rs"]
pub(crate) mod pacs;
#[allow(dead_code)]
#[path = "../../dicomweb/tests/dicomweb/server.rs"]
pub(crate) mod server;

use serde_json::Value;

use crate::scene::{Outcome, Scene};
use files::instance;
use pacs::{INSTANCES, SERIES, STUDY, good};
use server::{Reply, Request, Server};

/// Wants a user and a password, and stores all instances but the last.
fn answer(request: &Request) -> Reply {
    if request.header("authorization") != Some("Basic bWU6c2VjcmV0") {
        return Reply::status(401);
    }
    if request.method == "GET" {
        return good(request);
    }
    let rows = |uids: &[&str]| {
        let row = |uid: &&str| format!(r#"{{"00081155":{{"vr":"UI","Value":["{uid}"]}}}}"#);
        uids.iter().map(row).collect::<Vec<_>>().join(",")
    };
    let (stored, failed) = (rows(&INSTANCES[..2]), rows(&INSTANCES[2..]));
    let body = format!(
        r#"{{"00081199":{{"vr":"SQ","Value":[{stored}]}},"00081198":{{"vr":"SQ","Value":[{failed}]}}}}"#
    );
    Reply::Full(
        202,
        vec![("Content-Type", "application/dicom+json".to_owned())],
        body.into(),
    )
}

/// A server, a configuration that names it `pacs`, and a file with the password.
fn scene() -> (Server, Scene) {
    let (server, scene) = (Server::start(answer), Scene::new());
    scene.write("basic", b"me:secret");
    scene.write("wrong", b"me:hush");
    let config = format!(
        "root = '.'\n[dicomweb.pacs]\nurl = '{0}'\nbasic_file = 'basic'\n[dicomweb.locked]\nurl = '{0}'\nbasic_file = 'wrong'\n",
        server.url
    );
    scene.write("n.toml", config.as_bytes());
    (server, scene)
}

fn pull(scene: &Scene, server: &str, to: &str, more: &[&str]) -> Outcome {
    let usual = ["pull", "--dicomweb", server, "--study", STUDY, "--to", to];
    scene.run(&[&usual, more].concat())
}

#[test]
fn a_study_comes_by_name_and_by_url() {
    let (server, scene) = scene();
    let by_name = pull(&scene, "pacs", "out/a", &["--config", "n.toml"]).succeeded();
    assert_eq!(by_name.stdout, format!("out/a/{SERIES}: CT 3 instances, 1 MB\n"));
    assert!(by_name.stderr.contains("instance 3 of 3"), "{by_name:?}");
    for uid in INSTANCES {
        let file = format!("out/a/{SERIES}/{uid}.dcm");
        assert_eq!(scene.read(&file), instance(STUDY, SERIES, uid));
    }
    let more = ["--basic-file", "basic", "--series", SERIES, "--json"];
    let by_url = pull(&scene, &server.url, "out/b", &more).succeeded();
    let told: Value = serde_json::from_str(&by_url.stdout).unwrap();
    assert_eq!(
        (&told["study"], &told["series"][0]["instances"]),
        (&STUDY.into(), &3.into())
    );
    assert_eq!(scene.names("out"), ["a", "b"]);
    let quiet = pull(&scene, "pacs", "out/c", &["--config", "n.toml", "--quiet"]).succeeded();
    assert_eq!((quiet.stdout, quiet.stderr), (String::new(), String::new()));
}

#[test]
fn what_cannot_be_pulled_is_told_and_leaves_nothing() {
    let (server, scene) = scene();
    let named = ["--config", "n.toml"];
    pull(&scene, "locked", "out/a", &named).refused(6, &["DICOMweb server locked", STUDY, "401"]);
    pull(&scene, "other", "out/a", &named).refused(2, &["--dicomweb", "\"other\"", "locked", "pacs"]);
    pull(&scene, "pacs", "out/a", &[]).refused(2, &["--config"]);
    pull(
        &scene,
        "pacs",
        "out/a",
        &[&named[..], &["--ca-file", "x"]].concat(),
    )
    .refused(2, &["--ca-file", "[dicomweb.pacs]"]);
    pull(&scene, "http://me:hush@127.0.0.1", "out/a", &[]).refused(2, &["--dicomweb", "without user"]);
    pull(
        &scene,
        "pacs",
        "out/a",
        &[&named[..], &["--series", "1.9"]].concat(),
    )
    .refused(3, &["series 1.9", "not there"]);
    pull(&scene, "pacs", "out", &named).refused(2, &["out: there is something of this name already"]);
    pull(&scene, "pacs", "gone/a", &named).refused(3, &["gone: no such file or folder"]);
    let wrong_uid = pull(&scene, &server.url, "out/a", &["--series", "1/2"]);
    assert_eq!(wrong_uid.exit, Some(2));
    assert!(wrong_uid.stderr.contains("no DICOM UID"), "{wrong_uid:?}");
    assert!(scene.names("out").is_empty());
}

#[test]
fn what_a_server_does_not_store_is_told_file_by_file() {
    let (_server, scene) = scene();
    std::fs::create_dir(scene.path("in")).unwrap();
    for uid in INSTANCES {
        scene.write(&format!("in/{uid}"), &instance(STUDY, SERIES, uid));
    }
    scene.write("in/notes", b"no DICOM");
    let push = |more: &[&str]| {
        let usual = ["push", "--dicomweb", "pacs", "--config", "n.toml"];
        scene.run(&[&usual, more].concat())
    };
    let some = push(&["in"]);
    assert_eq!(
        (some.exit, some.stdout.as_str()),
        (Some(6), "2 of 3 instances stored\n"),
        "{some:?}"
    );
    let says = format!("did not store 1 instance:\n  in/{}: not stored\n", INSTANCES[2]);
    assert!(
        some.stderr.contains(&says) && some.stderr.contains("left out: 1 file"),
        "{some:?}"
    );
    let files: Vec<String> = INSTANCES[..2].iter().map(|uid| format!("in/{uid}")).collect();
    let all = push(&[&files[0], &files[1], "--json"]).succeeded();
    let told: Value = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!(
        (&told[1]["instance"], &told[1]["is_stored"]),
        (&INSTANCES[1].into(), &true.into())
    );
    push(&["in/notes"]).refused(3, &["in/notes", "no DICOM file"]);
    push(&["out"]).refused(3, &["out: no DICOM files are in there"]);
    push(&["gone"]).refused(3, &["gone: no such file or folder"]);
}
