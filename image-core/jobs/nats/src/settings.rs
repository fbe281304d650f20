//! Where the jobs are, and how to get in.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use nephrite_jobs::JobError;

/// Longest name.
const MAX_NAME: usize = 32;

/// Where the jobs are, and how to get in.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsSettings {
    /// `nats://host:port` or `tls://host:port`, or several with commas between them. A user and a password, or a token, may
    /// stand before the host: `nats://user:password@host`, `nats://token@host`.
    pub url: String,
    /// A file of credentials, as `nsc` makes them.
    pub credentials: Option<PathBuf>,
    /// What the names of streams begin with: servers with the same one share their jobs. Letters a to z, digits, `-`, `_`.
    pub name: String,
    /// Copies of everything, on as many machines; 1 or 3.
    pub replicas: usize,
    /// Certificates that the server's may be signed with, besides those of the machine.
    pub ca_file: Option<PathBuf>,
    /// How long it is tried to connect at the start.
    pub connect_timeout: Duration,
}

impl Default for NatsSettings {
    fn default() -> Self {
        NatsSettings {
            url: "nats://127.0.0.1:4222".to_owned(),
            credentials: None,
            name: "nephrite".to_owned(),
            replicas: 1,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl std::fmt::Debug for NatsSettings {
    /// Without what stands before the host.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self
            .servers()
            .map_or_else(|_| "?".to_owned(), |servers| address(&servers));
        f.debug_struct("NatsSettings")
            .field("address", &address)
            .field("credentials", &self.credentials)
            .field("name", &self.name)
            .field("replicas", &self.replicas)
            .field("ca_file", &self.ca_file)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

impl NatsSettings {
    /// Whether they can be used at all.
    ///
    /// # Errors
    /// [`JobError::OtherConfiguration`], naming what is wrong.
    pub(crate) fn check(&self) -> Result<(), JobError> {
        let wrong = |reason: String| {
            let what = "jobs kept by NATS".to_owned();
            Err(JobError::OtherConfiguration { what, reason })
        };
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.bytes().all(is_plain) {
            let expected = format!("expected 1 to {MAX_NAME} of a to z, 0 to 9, - and _");
            return wrong(format!("the name is {:?}, {expected}", self.name));
        }
        if self.replicas != 1 && self.replicas != 3 {
            return wrong(format!("{} replicas, expected 1 or 3", self.replicas));
        }
        match self.servers() {
            Ok(_) => Ok(()),
            Err(reason) => wrong(reason),
        }
    }

    /// The servers of the URL. An error tells nothing of what stands before the host.
    pub(crate) fn servers(&self) -> Result<Vec<ServerAddr>, String> {
        let urls = self.url.split(',').map(str::trim).filter(|url| !url.is_empty());
        let servers = urls.map(|url| {
            let server: Result<ServerAddr, _> = url.parse();
            server.map_err(|error| format!("a URL of a server cannot be read: {error}"))
        });
        let servers: Vec<ServerAddr> = servers.collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err("no URL of a server".to_owned());
        }
        if servers.iter().any(ServerAddr::is_websocket) {
            return Err("WebSocket URLs are not supported, use nats:// or tls://".to_owned());
        }
        Ok(servers)
    }
}

/// Hosts and ports, as they may be shown.
pub(crate) fn address(servers: &[ServerAddr]) -> String {
    let hosts = servers
        .iter()
        .map(|server| format!("nats://{}:{}", server.host(), server.port()));
    hosts.collect::<Vec<_>>().join(",")
}

/// What a URL has for bytes that must not stand in it (`%40`), as they are.
pub(crate) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut NatsSettings)) -> NatsSettings {
        let mut settings = NatsSettings::default();
        change(&mut settings);
        settings
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(NatsSettings::default().check().is_ok());
        for name in ["", "A", "a.b", "a b", "a*", ">", "ä", &"a".repeat(33)] {
            assert!(
                with(|settings| settings.name = name.to_owned()).check().is_err(),
                "{name}"
            );
        }
        for replicas in [0, 2, 4, 5] {
            assert!(with(|settings| settings.replicas = replicas).check().is_err());
        }
        for url in ["", ",", "http://a", "ws://a", "nats://[", "nats://a,http://b"] {
            assert!(
                with(|settings| settings.url = url.to_owned()).check().is_err(),
                "{url}"
            );
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = with(|settings| settings.url = "nats://me:secret@a:1,nats://secret@b".to_owned());
        let shown = format!("{settings:?}");
        assert!(shown.contains("nats://a:1,nats://b:4222"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        let bad = with(|settings| settings.url = "nats://me:secret@[".to_owned());
        let error = bad.check().unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn bytes_of_urls_are_read() {
        assert_eq!(unescaped("a%40b%3a%2Fc"), "a@b:/c");
        for text in ["", "%", "%4", "%zz", "100%", "ä"] {
            assert_eq!(unescaped(text), text);
        }
    }
}
