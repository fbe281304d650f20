//! A server that keeps to the rules, a part of which a test replaces; and a client of it with a folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_dicomweb::{DicomWeb, DicomWebError, PulledSeries, ServerSettings, Uid};
use nephrite_types::{CancelToken, NoProgress};

use super::files::instance;
use super::server::{Reply, Request, Server};

pub(crate) const STUDY: &str = "1.2.3";
pub(crate) const SERIES: &str = "1.2.3.4";
pub(crate) const INSTANCES: [&str; 3] = ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.30"];
const JSON: &str = "application/dicom+json";
pub(crate) const MULTIPART: &str = "multipart/related; type=\"application/dicom\"; boundary=b-1";

pub(crate) fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

/// Parts with a closing boundary.
pub(crate) fn parts(files: &[Vec<u8>]) -> Vec<u8> {
    [open_parts(files), b"\r\n--b-1--\r\n".to_vec()].concat()
}

/// Parts without one.
pub(crate) fn open_parts(files: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for file in files {
        body.extend(b"\r\n--b-1\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend(file);
    }
    body
}

pub(crate) fn files(uids: &[&str]) -> Vec<Vec<u8>> {
    uids.iter().map(|uid| instance(STUDY, SERIES, uid)).collect()
}

pub(crate) fn instance_rows(uids: &[&str]) -> String {
    rows_of_instances(STUDY, SERIES, uids)
}

fn rows_of_instances(study: &str, series: &str, uids: &[&str]) -> String {
    let mut text = "[".to_owned();
    for (n, uid) in uids.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"00100010":{{"vr":"PN","Value":[{{"Alphabetic":"SECRET^NAME"}}]}},
            "0020000D":{{"vr":"UI","Value":["{study}"]}},"0020000E":{{"vr":"UI","Value":["{series}"]}},
            "00080018":{{"vr":"UI","Value":["{uid}"]}}}}"#
        );
    }
    text + "]"
}

pub(crate) fn series_rows(n: usize) -> String {
    rows_of_series(STUDY, SERIES, n)
}

fn rows_of_series(study: &str, series: &str, n: usize) -> String {
    format!(
        r#"[{{"0020000D":{{"vr":"UI","Value":["{study}"]}},"0020000E":{{"vr":"UI","Value":["{series}"]}},
        "00080060":{{"vr":"CS","Value":["CT"]}},"00201209":{{"vr":"IS","Value":["{n}"]}}}}]"#
    )
}

/// Which of its services a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Series,
    Instances,
    Wado,
    Metadata,
}

pub(crate) fn service(request: &Request) -> Option<Service> {
    service_of(STUDY, SERIES, request)
}

fn service_of(study: &str, series: &str, request: &Request) -> Option<Service> {
    let path = request.path.strip_prefix("/dicom-web/studies/")?;
    let path = path.strip_prefix(study)?.strip_prefix("/series")?;
    if path.is_empty() {
        return Some(Service::Series);
    }
    Some(match path.strip_prefix('/')?.strip_prefix(series)? {
        "" => Service::Wado,
        "/instances" => Service::Instances,
        "/metadata" => Service::Metadata,
        _ => return None,
    })
}

pub(crate) fn json(text: impl Into<Vec<u8>>) -> Reply {
    Reply::of_type(JSON, text)
}

/// What a good server says.
pub(crate) fn good(request: &Request) -> Reply {
    holding((STUDY, SERIES), &INSTANCES, &files(&INSTANCES), request)
}

/// What a good server says that has one series.
pub(crate) fn holding(
    (study, series): (&str, &str),
    uids: &[&str],
    files: &[Vec<u8>],
    request: &Request,
) -> Reply {
    let offset = request.number("offset").unwrap_or(0);
    let limit = request.number("limit").unwrap_or(100);
    match service_of(study, series, request) {
        Some(Service::Series) if offset == 0 => json(rows_of_series(study, series, uids.len())),
        Some(Service::Series) => Reply::status(204),
        Some(Service::Instances) => {
            let rest = uids.get(offset..).unwrap_or_default();
            json(rows_of_instances(study, series, &rest[..limit.min(rest.len())]))
        }
        Some(Service::Wado) => {
            let accept = request.header("accept").unwrap();
            assert_eq!(
                accept,
                "multipart/related; type=\"application/dicom\"; transfer-syntax=*"
            );
            Reply::of_type(MULTIPART, parts(files))
        }
        Some(Service::Metadata) => json(rows_of_instances(study, series, uids)),
        None => Reply::status(404),
    }
}

/// A good server, but for one service.
pub(crate) fn but(replaced: Service, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match service(request) {
        Some(asked) if asked == replaced => answer(request),
        _ => good(request),
    })
}

/// A client with a folder of its own.
pub(crate) struct Client {
    pub(crate) client: DicomWeb,
    folder: tempfile::TempDir,
}

impl Client {
    pub(crate) fn of(url: &str, change: impl FnOnce(&mut ServerSettings)) -> Client {
        let mut settings = ServerSettings::new("pacs", url.parse().unwrap());
        settings.timeout = Duration::from_secs(5);
        change(&mut settings);
        Client {
            client: DicomWeb::new(settings).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pull(
        &self,
        series: Option<&str>,
        cancel: &CancelToken,
    ) -> Result<Vec<PulledSeries>, DicomWebError> {
        let dir = Dir::open_ambient_dir(self.folder.path(), ambient_authority()).unwrap();
        let series = series.map(uid);
        self.client
            .pull(&uid(STUDY), series.as_ref(), (&dir, "out"), &NoProgress, cancel)
    }

    /// Pulls the series, which must fail, leave nothing, and tell nothing of the patient.
    pub(crate) fn refused(&self) -> DicomWebError {
        self.refused_with(&CancelToken::new())
    }

    pub(crate) fn refused_with(&self, cancel: &CancelToken) -> DicomWebError {
        let error = self.pull(Some(SERIES), cancel).unwrap_err();
        let left = self.left();
        assert!(left.is_empty(), "{left:?} after {error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("SECRET"), "{text}");
        error
    }

    /// Everything in the folder.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found
    }
}

/// A client of a good server, but for one service.
pub(crate) fn client_but(
    replaced: Service,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (Server, Client) {
    let server = but(replaced, answer);
    let client = Client::of(&server.url, |_| {});
    (server, client)
}
