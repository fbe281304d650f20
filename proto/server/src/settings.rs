//! Keys that the configuration of every server has, with their bounds. Each replaces a default if the key is there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use crate::LogFormat;
use crate::section::{Section, count, float, text};

/// Far more than any machine runs at once.
const MAX_REQUESTS: u64 = 4096;

/// `listen`: an address and a port; port 0 takes a free one.
pub fn listen(section: &mut Section<'_>, target: &mut SocketAddr) {
    let expected = "an address and port such as \"127.0.0.1:7443\"";
    section.set("listen", expected, |value| text(value)?.parse().ok(), target);
}

/// `root`: the folder that all paths of requests lie beneath, relative to the folder of the file. Every server needs
/// one.
pub fn root(section: &mut Section<'_>, folder: &Path, target: &mut PathBuf) {
    match section.take("root", "a folder", path) {
        Some(root) => *target = folder.join(root),
        None => section.require("root"),
    }
}

/// How many requests of a kind work at once, 1 to 4096.
pub fn max_concurrent(section: &mut Section<'_>, key: &str, target: &mut usize) {
    let convert = |value: &Value| requests(value).filter(|n| *n >= 1);
    section.set(key, "a whole number from 1 to 4096", convert, target);
}

/// How many requests of a kind wait for their turn, 0 to 4096.
pub fn max_waiting(section: &mut Section<'_>, key: &str, target: &mut usize) {
    section.set(key, "a whole number from 0 to 4096", requests, target);
}

/// `max_message_bytes`: bytes of one request message, 1 KiB to 64 MiB.
pub fn max_message_bytes(section: &mut Section<'_>, target: &mut usize) {
    let convert = |value: &Value| {
        let bytes = count(value).filter(|n| (1024..=64 << 20).contains(n))?;
        usize::try_from(bytes).ok()
    };
    let expected = "a whole number from 1024 to 67108864";
    section.set("max_message_bytes", expected, convert, target);
}

/// `max_memory_bytes`: all that the process may hold, at least 1.
pub fn max_memory_bytes(section: &mut Section<'_>, target: &mut Option<u64>) {
    let convert = |value: &Value| count(value).filter(|n| *n >= 1);
    if let Some(bytes) = section.take("max_memory_bytes", "a whole number of at least 1", convert) {
        *target = Some(bytes);
    }
}

/// `drain_timeout_seconds`: how long running requests may go on after the server was asked to stop, up to a day.
pub fn drain_timeout(section: &mut Section<'_>, target: &mut Duration) {
    let convert = |value: &Value| {
        let seconds = float(value).filter(|seconds| (0.0..=86400.0).contains(seconds))?;
        Some(Duration::from_secs_f64(seconds))
    };
    let expected = "a number from 0 to 86400";
    section.set("drain_timeout_seconds", expected, convert, target);
}

/// `log_format`: text or json.
pub fn log_format(section: &mut Section<'_>, target: &mut LogFormat) {
    let convert = |value: &Value| match text(value)? {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    };
    section.set("log_format", "text or json", convert, target);
}

/// A limit of which 0 would refuse everything.
pub fn limit(section: &mut Section<'_>, key: &str, target: &mut u64) {
    let convert = |value: &Value| count(value).filter(|n| *n >= 1);
    section.set(key, "a whole number of at least 1", convert, target);
}

/// A file or folder; not the empty text.
pub fn path(value: &Value) -> Option<PathBuf> {
    text(value).filter(|text| !text.is_empty()).map(PathBuf::from)
}

fn requests(value: &Value) -> Option<usize> {
    usize::try_from(count(value).filter(|n| *n <= MAX_REQUESTS)?).ok()
}
