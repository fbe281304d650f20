//! Keys that the configuration of every server has. Each function declares one.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nephrite_settings::Section;
use nephrite_settings::kind::{choice, parsed, path, seconds, whole};

use crate::LogFormat;

/// Far more than any machine runs at once.
const MAX_REQUESTS: u64 = 4096;
/// A day.
pub const MAX_SECONDS: f64 = 86_400.0;

/// `root`: the folder that all paths of requests lie beneath, relative to `folder`, that of the file. Empty if it is missing,
/// which is a fault.
pub fn root(top: &mut Section<'_>, folder: &Path) -> PathBuf {
    let help = "folder that all paths of requests lie beneath, the shared volume; relative to the file";
    let root = top.require("root", path("a folder"), help);
    root.map(|root| folder.join(root)).unwrap_or_default()
}

/// `listen`: an address and a port.
pub fn listen(top: &mut Section<'_>, default: SocketAddr) -> SocketAddr {
    let kind = parsed("an address and port such as \"127.0.0.1:7443\"");
    top.get(
        "listen",
        kind,
        default,
        "port 0 takes a free one, which is printed",
    )
}

/// How many requests of a kind work at once, 1 to 4096.
pub fn max_concurrent(top: &mut Section<'_>, key: &'static str, default: usize, help: &'static str) -> usize {
    top.get(key, whole(1..=MAX_REQUESTS), default, help)
}

/// How many requests of a kind wait for their turn, 0 to 4096.
pub fn max_waiting(top: &mut Section<'_>, key: &'static str, default: usize, help: &'static str) -> usize {
    top.get(key, whole(0..=MAX_REQUESTS), default, help)
}

/// `max_message_bytes`: 1 KiB to 64 MiB.
pub fn max_message_bytes(top: &mut Section<'_>, default: usize) -> usize {
    let kind = whole(1024..=64 << 20);
    top.get("max_message_bytes", kind, default, "bytes of one request message")
}

/// `max_memory_bytes`: all that the process may hold.
pub fn max_memory_bytes(top: &mut Section<'_>) -> Option<u64> {
    let otherwise = "what machine, control group and resource limits allow, minus a tenth";
    let help = "all that the process may hold; a request waits for what it expects to need";
    top.option("max_memory_bytes", whole(1..), otherwise, help)
}

/// `threads`: for computing.
pub fn threads(top: &mut Section<'_>) -> Option<NonZeroUsize> {
    let help = "threads for computing, never more than the control group grants";
    let threads = top.option("threads", whole(1..), "what the control group grants", help);
    threads.and_then(NonZeroUsize::new)
}

/// `drain_timeout_seconds`: up to a day.
pub fn drain_timeout(top: &mut Section<'_>, default: Duration) -> Duration {
    let help = "how long running requests may go on after SIGTERM";
    top.get("drain_timeout_seconds", seconds(0.0..=MAX_SECONDS), default, help)
}

/// `log_format`: text or json.
pub fn log_format(top: &mut Section<'_>, default: LogFormat) -> LogFormat {
    let kind = choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    let help = "how the log is written; the variable NEPHRITE_LOG=debug makes it say more";
    top.get("log_format", kind, default, help)
}

/// A limit of which 0 would refuse everything.
pub fn limit<T>(section: &mut Section<'_>, key: &'static str, default: T, help: &'static str) -> T
where
    T: TryFrom<u64> + std::fmt::Display + 'static,
{
    section.get(key, whole(1..), default, help)
}
