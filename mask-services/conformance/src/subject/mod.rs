//! What is checked: an operation in this process, or one of a service. Both answer a [`Call`].

mod in_process;
mod service;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephrite_kernel::{CancelToken, Mask, Measurement, ParameterValue};
use nephrite_proto::v1;
use nephrite_types::ErrorCode;

pub(crate) use in_process::InProcess;
pub(crate) use service::{Service, encode, named};

/// One request, checked by nobody.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) inputs: Vec<(String, Arc<Mask>)>,
    pub(crate) parameters: BTreeMap<String, ParameterValue>,
    pub(crate) deadline: Duration,
    /// Stops the work from outside.
    pub(crate) cancel: CancelToken,
    /// Folder for files.
    pub(crate) artefacts: Option<PathBuf>,
    /// Folder for masks that are too large for a message.
    pub(crate) exchange: Option<PathBuf>,
    /// Compute on this many threads, where that can be chosen.
    pub(crate) threads: Option<usize>,
}

/// What came back, decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) masks: Vec<(String, Arc<Mask>)>,
    pub(crate) measurements: Vec<Measurement>,
    /// Files: their names and where they lie.
    pub(crate) artefacts: Vec<(String, PathBuf)>,
    /// The masks that were inside of the message, as they were.
    pub(crate) encoded: Vec<v1::EncodedMask>,
}

/// Why nothing usable came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error("refused with {code}: {message}")]
    Refused {
        code: ErrorCode,
        message: String,
        /// The status named our code; else it is the nearest one.
        is_coded: bool,
    },
    #[error("no answer within {:.1} s", waited.as_secs_f64())]
    NoAnswer { waited: Duration },
    #[error("an answer after {:.1} s, the deadline was {:.1} s", took.as_secs_f64(), deadline.as_secs_f64())]
    Late { took: Duration, deadline: Duration },
    #[error("its reply is wrong: {0}")]
    Reply(String),
    #[error("it broke down: {0}")]
    Broke(String),
}

/// An operation, wherever it is.
#[derive(Clone)]
pub(crate) enum Subject {
    InProcess(InProcess),
    Service(Box<Service>),
}

impl Subject {
    /// Blocks, but not much longer than the call's deadline and the grace.
    pub(crate) fn process(&self, call: &Call, grace: Duration) -> Result<Reply, CallError> {
        match self {
            Subject::InProcess(operation) => operation.process(call, grace),
            Subject::Service(service) => service.process(call, grace),
        }
    }
}
