//! What comes whole is kept.

use std::sync::Mutex;

use nephrite_dicomweb::{Credentials, DicomWebError};
use nephrite_types::{CancelToken, Coded as _, ErrorCode, Progress, Stage};

use super::files::{instance, named};
use super::pacs::{
    Client, INSTANCES, MULTIPART, SERIES, STUDY, Service, client_but, files, good, instance_rows, json,
    parts, series_rows, service, uid,
};
use super::server::{Reply, Server};

#[test]
fn a_series_comes_whole_under_its_names() {
    let server = Server::start(good);
    for series in [Some(SERIES), None] {
        let client = Client::of(&server.url, |_| {});
        let pulled = client.pull(series, &CancelToken::new()).unwrap();
        assert_eq!(pulled.len(), 1);
        assert_eq!(
            (pulled[0].uid.as_str(), &*pulled[0].modality, pulled[0].instances),
            (SERIES, "CT", 3)
        );
        let mut bytes = 0;
        for uid in INSTANCES {
            let file = client.folder().join(format!("out/{SERIES}/{uid}.dcm"));
            let content = std::fs::read(file).unwrap();
            assert_eq!(content, instance(STUDY, SERIES, uid));
            bytes += content.len() as u64;
        }
        assert_eq!(pulled[0].bytes, bytes);
        assert_eq!(client.left().len(), 5, "two folders, three files");
    }
}

#[test]
fn long_lists_come_in_pages_whatever_size_they_have() {
    // 7 rows at most, whatever is asked for
    let uids: Vec<String> = (1..=20).map(|n| format!("{SERIES}.{n}")).collect();
    for knows_pages in [true, false] {
        let all = uids.clone();
        let server = Server::start(move |request| {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let offset = request.number("offset").unwrap_or(0);
            match service(request) {
                Some(Service::Series) if offset == 0 || !knows_pages => json(series_rows(20)),
                Some(Service::Instances) if knows_pages => {
                    let rest = &all[offset.min(20)..];
                    json(instance_rows(&rest[..rest.len().min(7)]))
                }
                Some(Service::Instances | Service::Metadata) => json(instance_rows(&all)),
                Some(Service::Wado) => Reply::of_type(MULTIPART, parts(&files(&all))),
                _ => json("[]"),
            }
        });
        let client = Client::of(&server.url, |_| {});
        let pulled = client.pull(None, &CancelToken::new()).unwrap();
        assert_eq!(pulled[0].instances, 20, "{knows_pages}");
    }
}

#[test]
fn credentials_are_read_anew_for_each_request() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer one" | "Bearer two" | "Basic bWU6c2VjcmV0") => good(request),
        _ => Reply::status(401),
    });
    let secret = tempfile::NamedTempFile::new().unwrap();
    for (content, expected) in [("one\n", true), ("three", false), ("two", true)] {
        std::fs::write(secret.path(), content).unwrap();
        let token = Credentials::TokenFile(secret.path().to_owned());
        let client = Client::of(&server.url, |settings| settings.credentials = Some(token));
        let pulled = client.pull(None, &CancelToken::new());
        assert_eq!(pulled.is_ok(), expected, "{content}: {pulled:?}");
        if let Err(error) = pulled {
            assert!(matches!(error, DicomWebError::Unauthorized { .. }), "{error}");
        }
    }
    std::fs::write(secret.path(), "me:secret").unwrap();
    let basic = Credentials::BasicFile(secret.path().to_owned());
    let client = Client::of(&server.url, |settings| settings.credentials = Some(basic));
    assert!(client.pull(None, &CancelToken::new()).is_ok());
    assert!(
        Client::of(&server.url, |_| {})
            .pull(None, &CancelToken::new())
            .is_err()
    );
}

#[test]
fn nothing_that_is_there_is_replaced() {
    let server = Server::start(good);
    let client = Client::of(&server.url, |_| {});
    std::fs::write(client.folder().join("out"), "mine").unwrap();
    let error = client.pull(None, &CancelToken::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::AlreadyExists, "{error}");
    assert!(server.requests().is_empty());
    assert_eq!(client.left().len(), 1);
}

#[test]
fn progress_counts_instances() {
    #[derive(Default)]
    struct Told(Mutex<Vec<(u64, u64)>>);
    impl Progress for Told {
        fn stage(&self, stage: Stage) {
            assert_eq!(stage, Stage::Read);
        }
        fn advance(&self, done: u64, total: u64) {
            self.0.lock().unwrap().push((done, total));
        }
    }
    let server = Server::start(good);
    let client = Client::of(&server.url, |_| {});
    let dir = cap_std::fs::Dir::open_ambient_dir(client.folder(), cap_std::ambient_authority()).unwrap();
    let told = Told::default();
    let pulled = client
        .client
        .pull(&uid(STUDY), None, (&dir, "out"), &told, &CancelToken::new());
    pulled.unwrap();
    assert_eq!(*told.0.lock().unwrap(), [(1, 3), (2, 3), (3, 3)]);
}

#[test]
fn a_busy_server_is_asked_again() {
    let busy = Mutex::new(vec![429, 503]);
    let server = Server::start(move |request| match busy.lock().unwrap().pop() {
        Some(status) => Reply::Full(status, vec![("Retry-After", "0".to_owned())], Vec::new()),
        None => good(request),
    });
    let client = Client::of(&server.url, |_| {});
    assert!(client.pull(None, &CancelToken::new()).is_ok());
}

#[test]
fn the_data_set_says_which_instance_a_file_is() {
    // as in files that somebody made anonymous, and left the header
    let stale: Vec<Vec<u8>> = INSTANCES
        .iter()
        .map(|uid| named("1.9.9", STUDY, SERIES, uid, 4))
        .collect();
    let (_server, client) = client_but(Service::Wado, move |_| Reply::of_type(MULTIPART, parts(&stale)));
    client.pull(None, &CancelToken::new()).unwrap();
    for uid in INSTANCES {
        assert!(client.folder().join(format!("out/{SERIES}/{uid}.dcm")).is_file());
    }
}
