//! Files on their way to a server, and what it says became of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nephrite_dicomweb::{DicomWebError, Outcome, PushedFile};
use nephrite_root::Root;
use nephrite_types::{CancelToken, Coded as _, ErrorCode, NoProgress};

use super::files::named;
use super::pacs::{Client, INSTANCES, SERIES, STUDY, files};
use super::server::{Reply, Request, Server};

const JSON: &str = "application/dicom+json";

/// A reply that names instances as stored and as failed, with reasons.
fn reply(status: u16, stored: &[&str], failed: &[(&str, u16)]) -> Reply {
    let uid = |uid: &str| format!(r#""00081155":{{"vr":"UI","Value":["{uid}"]}}"#);
    let stored: Vec<String> = stored.iter().map(|text| format!("{{{}}}", uid(text))).collect();
    let failed: Vec<String> = failed
        .iter()
        .map(|(text, code)| format!(r#"{{{},"00081197":{{"vr":"US","Value":[{code}]}}}}"#, uid(text)))
        .collect();
    let body = format!(
        r#"{{"00081199":{{"vr":"SQ","Value":[{}]}},"00081198":{{"vr":"SQ","Value":[{}]}}}}"#,
        stored.join(","),
        failed.join(",")
    );
    Reply::Full(status, vec![("Content-Type", JSON.to_owned())], body.into_bytes())
}

/// The parts of what was sent, by a parser of its own.
fn sent_parts(request: &Request) -> Vec<Vec<u8>> {
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/dicom-web/studies")
    );
    assert_eq!(request.header("accept"), Some(JSON));
    let kind = request.header("content-type").unwrap();
    let boundary = kind
        .strip_prefix("multipart/related; type=\"application/dicom\"; boundary=")
        .unwrap();
    let (mut parts, mut rest) = (Vec::new(), &request.body[..]);
    let head = format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n");
    let find = |rest: &[u8], needle: &[u8]| rest.windows(needle.len()).position(|window| window == needle);
    while let Some(after) = rest.strip_prefix(head.as_bytes()) {
        let end = find(after, format!("\r\n--{boundary}").as_bytes()).unwrap();
        parts.push(after[..end].to_vec());
        rest = &after[end + 2..];
    }
    assert_eq!(rest, format!("--{boundary}--\r\n").as_bytes());
    parts
}

/// The instances of a folder of files.
fn write(folder: &Path, uids: &[&str]) -> Vec<PathBuf> {
    let contents = uids.iter().zip(files(uids));
    let write = |(uid, content): (&&str, Vec<u8>)| {
        let path = folder.join(uid);
        std::fs::write(&path, content).unwrap();
        path
    };
    contents.map(write).collect()
}

fn push(client: &Client, files: &[PathBuf]) -> (Vec<PushedFile>, Result<(), DicomWebError>) {
    let mut told = Vec::new();
    let root = Arc::new(Root::filesystem());
    let pushed = client.client.push(
        &root,
        files,
        &mut |file| told.push(file),
        &NoProgress,
        &CancelToken::new(),
    );
    (told, pushed)
}

fn outcomes(told: &[PushedFile]) -> Vec<(&str, Outcome)> {
    told.iter()
        .map(|file| (file.instance.as_str(), file.outcome))
        .collect()
}

#[test]
fn all_files_arrive_in_batches() {
    let server = Server::start(|_| reply(200, &INSTANCES, &[]));
    let folder = tempfile::tempdir().unwrap();
    let paths = write(folder.path(), &INSTANCES);
    let size = std::fs::metadata(&paths[0]).unwrap().len();
    for (max_batch_bytes, n_requests) in [(u64::MAX, 1), (2 * size + 20, 2), (1, 3)] {
        let before = server.requests().len();
        let client = Client::of(&server.url, |settings| {
            settings.limits.max_batch_bytes = max_batch_bytes
        });
        let (told, pushed) = push(&client, &paths);
        pushed.unwrap();
        assert_eq!(outcomes(&told), INSTANCES.map(|uid| (uid, Outcome::Stored)));
        let requests = server.requests().split_off(before);
        assert_eq!(requests.len(), n_requests);
        let arrived: Vec<Vec<u8>> = requests.iter().flat_map(sent_parts).collect();
        assert_eq!(arrived, files(&INSTANCES));
    }
}

#[test]
fn a_large_file_arrives_whole() {
    let server = Server::start(|_| reply(200, &["1.9"], &[]));
    let folder = tempfile::tempdir().unwrap();
    // boundaries within, and a length that is no multiple of a piece
    let mut content = named("1.9", STUDY, SERIES, "1.9", 60_000);
    content.extend(b"\r\n--nephrite-\r\n--".repeat(50_001));
    let path = folder.path().join("large");
    std::fs::write(&path, &content).unwrap();
    let client = Client::of(&server.url, |_| {});
    let (told, pushed) = push(&client, &[path]);
    pushed.unwrap();
    assert!(told[0].outcome.is_stored());
    assert!(sent_parts(&server.requests()[0]) == [content]);
}

#[test]
fn every_file_has_its_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let paths = write(folder.path(), &INSTANCES);
    let [a, b, c] = INSTANCES;
    let run = |make: fn() -> Reply| {
        let server = Server::start(move |_| make());
        let (told, pushed) = push(&Client::of(&server.url, |_| {}), &paths);
        pushed.unwrap();
        told.into_iter().map(|file| file.outcome).collect::<Vec<_>>()
    };
    let some = run(|| reply(202, &INSTANCES[..1], &[(INSTANCES[1], 0xA700)]));
    assert_eq!(
        some,
        [
            Outcome::Stored,
            Outcome::Failed(Some(0xA700)),
            Outcome::NotMentioned
        ],
        "{a} {b} {c}"
    );
    let none = run(|| reply(409, &[], &[(INSTANCES[0], 0x0110)]));
    assert_eq!(
        none,
        [
            Outcome::Failed(Some(0x0110)),
            Outcome::Failed(None),
            Outcome::Failed(None)
        ]
    );
    // some servers say 200 and mean it for some
    let silent = run(|| reply(200, &INSTANCES[2..], &[]));
    assert_eq!(
        silent,
        [Outcome::NotMentioned, Outcome::NotMentioned, Outcome::Stored]
    );
}

#[test]
fn an_answer_that_does_not_say_what_became_of_files_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let paths = write(folder.path(), &INSTANCES);
    let bodies = [
        ("text/html", "<SECRET>"),
        (JSON, "<SECRET>"),
        (JSON, ""),
        ("application/dicom+xml", "<x/>"),
    ];
    for (kind, body) in bodies {
        let server = Server::start(move |_| Reply::of_type(kind, body));
        let (told, pushed) = push(&Client::of(&server.url, |_| {}), &paths);
        let error = pushed.unwrap_err();
        assert!(
            matches!(error, DicomWebError::Unconfirmed { n: 3, .. }) && told.is_empty(),
            "{error:?}"
        );
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
    for (status, code) in [
        (401, ErrorCode::Environment),
        (403, ErrorCode::PermissionDenied),
        (500, ErrorCode::Unavailable),
        (307, ErrorCode::Environment),
    ] {
        let server = Server::start(move |_| Reply::status(status));
        let (told, pushed) = push(&Client::of(&server.url, |_| {}), &paths);
        assert_eq!((pushed.unwrap_err().code(), told.len()), (code, 0));
    }
}

#[test]
fn a_busy_server_gets_the_whole_batch_again() {
    let busy = Mutex::new(vec![503, 429]);
    let server = Server::start(move |_| match busy.lock().unwrap().pop() {
        Some(status) => Reply::Full(status, vec![("Retry-After", "0".to_owned())], Vec::new()),
        None => reply(200, &INSTANCES, &[]),
    });
    let folder = tempfile::tempdir().unwrap();
    let (told, pushed) = push(
        &Client::of(&server.url, |_| {}),
        &write(folder.path(), &INSTANCES),
    );
    pushed.unwrap();
    assert_eq!(told.len(), 3);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(sent_parts(request), files(&INSTANCES));
    }
}

#[test]
fn an_error_in_the_middle_leaves_what_is_known() {
    let answers = Mutex::new(vec![Reply::status(500), reply(200, &INSTANCES, &[])]);
    let server = Server::start(move |_| answers.lock().unwrap().pop().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let client = Client::of(&server.url, |settings| settings.limits.max_batch_bytes = 1);
    let (told, pushed) = push(&client, &write(folder.path(), &INSTANCES));
    assert!(
        matches!(pushed, Err(DicomWebError::ServerFailed { status: 500, .. })),
        "{pushed:?}"
    );
    assert_eq!(outcomes(&told), [(INSTANCES[0], Outcome::Stored)]);
}

#[test]
fn what_cannot_be_sent_is_refused_before_anything_is() {
    use DicomWebError as E;
    let server = Server::start(|_| reply(200, &INSTANCES, &[]));
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), &INSTANCES);
    let add = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        [good.clone(), vec![path]].concat()
    };
    let client = Client::of(&server.url, |settings| {
        settings.limits.max_instance_bytes = 100_000
    });
    let refused = |files: &[PathBuf]| {
        let (told, pushed) = push(&client, files);
        assert!(told.is_empty());
        pushed.unwrap_err()
    };
    let text = refused(&add("text", b"no DICOM"));
    assert!(matches!(text, E::NotTheInstance { .. }), "{text:?}");
    let double = refused(&add("double", &std::fs::read(&good[1]).unwrap()));
    assert!(
        matches!(&double, E::Double { uid, .. } if uid.as_str() == INSTANCES[1]),
        "{double:?}"
    );
    let large = refused(&add("large", &vec![0; 100_001]));
    assert!(
        matches!(
            large,
            E::TooLarge {
                key: "max_instance_bytes",
                ..
            }
        ),
        "{large:?}"
    );
    let gone = refused(&[good.clone(), vec![folder.path().join("gone")]].concat());
    assert_eq!(gone.code(), ErrorCode::NotFound, "{gone:?}");
    let is_folder = refused(&[folder.path().to_owned()]);
    assert!(matches!(is_folder, E::Path(_)), "{is_folder:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_file_that_changes_meanwhile_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let paths = write(folder.path(), &INSTANCES);
    let last = paths[2].clone();
    let answers = move |_: &Request| {
        std::fs::write(&last, files(&["1.7"]).remove(0)).unwrap();
        reply(200, &INSTANCES, &[])
    };
    let server = Server::start(answers);
    let client = Client::of(&server.url, |settings| settings.limits.max_batch_bytes = 1);
    let (told, pushed) = push(&client, &paths);
    assert!(
        matches!(&pushed, Err(DicomWebError::FileChanged { file }) if file.ends_with(INSTANCES[2])),
        "{pushed:?}"
    );
    assert_eq!(told.len(), 2);
}
