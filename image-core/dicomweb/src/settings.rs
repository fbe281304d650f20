//! Where a server is, how to get in, and what its answers may cost.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;

/// Most bytes of a URL.
const MAX_URL: usize = 1024;

/// Where the services of a server begin, such as `https://pacs.example/dicom-web`. No user, no password, no query, no fragment:
/// secrets lie in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// A text that is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected https://host/path or http://host/path, without user, password, query and fragment")]
pub struct BaseUrlFault;

impl BaseUrl {
    /// Host and port, as they may be shown.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// True if nobody on the way can read or change what is sent.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// True if it stays on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = |address: IpAddr| address.is_loopback();
        host == "localhost" || host.parse().is_ok_and(is_loopback)
    }

    /// The URL of a resource below it. `path` is of our own words and UIDs, which need no escapes.
    pub(crate) fn below(&self, path: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlFault;

    fn from_str(text: &str) -> Result<Self, BaseUrlFault> {
        let is_plain = text.len() <= MAX_URL && text.bytes().all(|byte| byte.is_ascii_graphic());
        let url = Url::parse(text).map_err(|_| BaseUrlFault)?;
        let is_usable = is_plain
            && matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && !text.contains(['@', '?', '#']);
        is_usable.then_some(BaseUrl(url)).ok_or(BaseUrlFault)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How to get in. The files are read at each call, so that what they hold can be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A file that holds a bearer token.
    TokenFile(PathBuf),
    /// A file that holds `user:password`.
    BasicFile(PathBuf),
}

/// What answers may cost, compared while they come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferLimits {
    /// Bytes of one instance.
    pub max_instance_bytes: u64,
    /// Bytes of all instances of one call.
    pub max_bytes: u64,
    /// Instances of one series.
    pub max_instances: usize,
    /// Series of one study.
    pub max_series: usize,
    /// Bytes of one answer in JSON that is held in memory: a page of a list, or what became of a batch.
    pub max_json_bytes: usize,
    /// Bytes of the metadata of one series; they are read piece by piece.
    pub max_metadata_bytes: u64,
    /// Bytes of one request that stores instances, unless one instance alone is larger.
    pub max_batch_bytes: u64,
}

impl TransferLimits {
    /// Generous for CT and MR: 4 GiB an instance, 16 GiB a call, 20 000 instances a series, 1000 series a study, 16 MiB of JSON,
    /// 1 GiB of metadata, batches of 64 MiB.
    pub const DEFAULT: TransferLimits = TransferLimits {
        max_instance_bytes: 4 << 30,
        max_bytes: 16 << 30,
        max_instances: 20_000,
        max_series: 1000,
        max_json_bytes: 16 << 20,
        max_metadata_bytes: 1 << 30,
        max_batch_bytes: 64 << 20,
    };
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Its name in the configuration, or its host: what messages call it.
    pub name: String,
    /// Where its services begin.
    pub url: BaseUrl,
    /// How to get in; without credentials if `None`.
    pub credentials: Option<Credentials>,
    /// Certificates that the server's may be signed with, besides those of the machine: a file of PEM.
    pub ca_file: Option<PathBuf>,
    /// How long nothing may come: a connection, an answer, the next piece of one.
    pub timeout: Duration,
    /// How long one call may take in all.
    pub transfer_timeout: Duration,
    /// How long a busy server (429, 503) may ask to wait before the next try.
    pub max_retry_wait: Duration,
    /// How often a request is tried when the server is busy.
    pub max_tries: u32,
    /// Whether the metadata of a series are asked for, too, and compared with what came.
    pub check_metadata: bool,
    /// What answers may cost.
    pub limits: TransferLimits,
}

impl ServerSettings {
    /// The defaults: no credentials, 60 s without a byte, an hour for a call, four tries, waits of at most 60 s.
    pub fn new(name: impl Into<String>, url: BaseUrl) -> Self {
        ServerSettings {
            name: name.into(),
            url,
            credentials: None,
            ca_file: None,
            timeout: Duration::from_secs(60),
            transfer_timeout: Duration::from_secs(3600),
            max_retry_wait: Duration::from_secs(60),
            max_tries: 4,
            check_metadata: true,
            limits: TransferLimits::DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_lie_below_the_url() {
        for text in ["http://a:8042/dicom-web", "http://a:8042/dicom-web/"] {
            let base: BaseUrl = text.parse().unwrap();
            let query = [("limit", "2".to_owned())];
            assert_eq!(
                base.below("studies/1.2/series", &query).as_str(),
                "http://a:8042/dicom-web/studies/1.2/series?limit=2"
            );
            assert_eq!((base.host().as_str(), base.is_encrypted()), ("a:8042", false));
        }
        let root: BaseUrl = "https://a".parse().unwrap();
        assert_eq!(root.below("studies", &[]).as_str(), "https://a/studies");
        assert!(root.is_encrypted() && !root.is_loopback());
        for loopback in ["http://localhost:1", "http://127.0.0.1", "http://[::1]:2/x"] {
            assert!(loopback.parse::<BaseUrl>().unwrap().is_loopback(), "{loopback}");
        }
    }

    #[test]
    fn secrets_and_other_schemes_are_refused() {
        for text in [
            "",
            "pacs",
            "ftp://a",
            "file:///etc",
            "http://u:p@a",
            "https://@a",
            "http://a?x",
            "http://a#x",
            "http://a b",
            "http://",
            "http://ä",
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(BaseUrlFault), "{text}");
        }
    }
}
