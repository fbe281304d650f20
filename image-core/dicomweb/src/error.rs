//! Why a call of a DICOMweb server does not give its result, sorted by what a caller can do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nephrite_root::PathError;
use nephrite_types::{Cancelled, Coded, ErrorCode, count};

use crate::at::At;
use crate::multipart::MultipartFault;
use crate::uid::Uid;

/// Why a call of a DICOMweb server does not give its result. Messages name the server and UIDs, and nothing that an answer
/// says, which may be about a patient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DicomWebError {
    /// The settings cannot be used.
    #[error("{at}: {reason}")]
    Settings {
        /// Whose.
        at: At,
        /// What is wrong.
        reason: String,
    },
    /// A file of secrets or certificates cannot be used.
    #[error("{at}: {}: {reason}", path.display())]
    File {
        /// Whose.
        at: At,
        /// The file.
        path: PathBuf,
        /// What is wrong; nothing of what it says.
        reason: String,
    },
    /// The system has no threads, no random numbers, or no certificates.
    #[error("{at}: {reason}")]
    System {
        /// Whose.
        at: At,
        /// What it says.
        reason: String,
    },
    /// No connection, or none that can be trusted.
    #[error("{at}: no connection: {reason}")]
    Unreachable {
        /// Whose.
        at: At,
        /// Why not.
        reason: String,
    },
    /// Nothing came for too long, or all of it took too long.
    #[error("{at}: {what} for {:.1} s", after.as_secs_f64())]
    TimedOut {
        /// About what.
        at: At,
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// 401
    #[error("{at}: it wants other credentials (status 401); see token_file and basic_file")]
    Unauthorized {
        /// About what.
        at: At,
    },
    /// 403
    #[error("{at}: it does not allow this (status 403)")]
    Forbidden {
        /// About what.
        at: At,
    },
    /// 404 or 410, or a study or series in which there is nothing.
    #[error("{at}: not there")]
    NotFound {
        /// About what.
        at: At,
    },
    /// 429 or 503, still after some tries.
    #[error("{at}: it is busy (status {status}) after {tries} tries")]
    Busy {
        /// About what.
        at: At,
        /// 429 or 503
        status: u16,
        /// Tries.
        tries: u32,
    },
    /// 429 or 503, with a wait that is longer than it is worth.
    #[error("{at}: it is busy (status {status}) and asks to come back in {} s", wait.as_secs())]
    ComeBackLater {
        /// About what.
        at: At,
        /// 429 or 503
        status: u16,
        /// What it asks for.
        wait: Duration,
    },
    /// Another 5xx.
    #[error("{at}: it failed (status {status})")]
    ServerFailed {
        /// About what.
        at: At,
        /// 500 to 599
        status: u16,
    },
    /// 3xx; none is followed.
    #[error("{at}: it sends elsewhere (status {status}, to {host}); redirects are not followed")]
    Redirected {
        /// About what.
        at: At,
        /// 300 to 399
        status: u16,
        /// The host that it names.
        host: String,
    },
    /// Any other status.
    #[error("{at}: it refuses (status {status})")]
    Refused {
        /// About what.
        at: At,
        /// The status.
        status: u16,
    },
    /// The answer is something else.
    #[error("{at}: the answer is {found}, expected {expected}")]
    ContentType {
        /// About what.
        at: At,
        /// The type that it has.
        found: String,
        /// The type that was asked for.
        expected: &'static str,
    },
    /// The answer is no multipart message, or ends before its closing boundary.
    #[error("{at}: {fault}, after {}", count(*parts, "whole part"))]
    Multipart {
        /// About what.
        at: At,
        /// What is wrong.
        fault: MultipartFault,
        /// Parts before that.
        parts: u64,
    },
    /// The connection broke in the middle of the answer or of what was sent.
    #[error("{at}: the connection was cut: {reason}")]
    Cut {
        /// About what.
        at: At,
        /// What it says.
        reason: String,
    },
    /// Something is larger than the configuration allows.
    #[error("{at}: {what}: more than {limit} (limit {key})")]
    TooLarge {
        /// About what.
        at: At,
        /// What is.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// Its key in the configuration.
        key: &'static str,
    },
    /// An answer in JSON cannot be read.
    #[error("{at}: the answer of {query} {reason}")]
    Json {
        /// About what.
        at: At,
        /// Which.
        query: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A part of an answer, or a file to be sent, is no DICOM file, or one of another series.
    #[error("{at}: {what}: {reason}")]
    NotTheInstance {
        /// About what.
        at: At,
        /// Which part or file.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// Fewer instances came than there are.
    #[error("{at}: {n} of {expected} instances are missing from {source_of_list}, such as {example}")]
    Missing {
        /// About what.
        at: At,
        /// How many.
        n: usize,
        /// How many there should be.
        expected: usize,
        /// One of them.
        example: Uid,
        /// Where they are missing.
        source_of_list: &'static str,
    },
    /// Numbers of instances differ.
    #[error("{at}: {found} instances in {source_of_list}, but NumberOfSeriesRelatedInstances is {expected}")]
    Number {
        /// About what.
        at: At,
        /// In the list.
        found: usize,
        /// By (0020,1209).
        expected: u64,
        /// Which list.
        source_of_list: &'static str,
    },
    /// An instance came that was not asked for.
    #[error("{at}: {source_of_list} has instance {uid}, which the list of the series does not have")]
    Extra {
        /// About what.
        at: At,
        /// Which.
        uid: Uid,
        /// Where.
        source_of_list: &'static str,
    },
    /// Something came twice.
    #[error("{at}: {uid} is there twice in {source_of_list}")]
    Double {
        /// About what.
        at: At,
        /// Which.
        uid: Uid,
        /// Where.
        source_of_list: &'static str,
    },
    /// What shall be made is there already.
    #[error("{name}: there is something of this name already")]
    Exists {
        /// The name.
        name: String,
    },
    /// A path that cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The disk said no.
    #[error("{what}: {source}")]
    Disk {
        /// File or folder.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file changed while it was sent.
    #[error("{file}: it changed while it was sent")]
    FileChanged {
        /// The file.
        file: String,
    },
    /// Instances were sent, and the answer does not say whether they are stored.
    #[error("{at}: {} were sent, and it does not say what became of them: {reason}", count(*n, "instance"))]
    Unconfirmed {
        /// Where to.
        at: At,
        /// How many.
        n: usize,
        /// Why it is not known.
        reason: String,
    },
    /// The caller, or its deadline.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Coded for DicomWebError {
    fn code(&self) -> ErrorCode {
        use DicomWebError as E;
        match self {
            E::Settings { .. } => ErrorCode::InvalidArgument,
            E::NotFound { .. } => ErrorCode::NotFound,
            E::Forbidden { .. } => ErrorCode::PermissionDenied,
            E::TooLarge { .. } => ErrorCode::LimitExceeded,
            E::Exists { .. } => ErrorCode::AlreadyExists,
            E::Path(path) => path.code(),
            E::Cancelled(cancelled) => cancelled.code(),
            E::Unreachable { .. }
            | E::TimedOut { .. }
            | E::Busy { .. }
            | E::ComeBackLater { .. }
            | E::ServerFailed { .. }
            | E::Cut { .. } => ErrorCode::Unavailable,
            E::File { .. }
            | E::System { .. }
            | E::Unauthorized { .. }
            | E::Redirected { .. }
            | E::Refused { .. }
            | E::Disk { .. }
            | E::Unconfirmed { .. } => ErrorCode::Environment,
            E::ContentType { .. }
            | E::Multipart { .. }
            | E::Json { .. }
            | E::NotTheInstance { .. }
            | E::Missing { .. }
            | E::Number { .. }
            | E::Extra { .. }
            | E::Double { .. }
            | E::FileChanged { .. } => ErrorCode::InvalidInput,
        }
    }
}
