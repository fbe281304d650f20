//! The connection to a service: lazy, with deadlines, retries and bounds.

use std::error::Error as _;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use nephrite_proto::server_address;
use nephrite_proto::status::{ERROR_CODE_KEY, error_code};
use nephrite_proto::v1::mask_service_client::MaskServiceClient;
use nephrite_types::{CancelToken, Cancelled, ErrorCode, with_causes};
use prost::Message;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, TimeoutExpired};

use crate::{OperationError, ServiceFault, Traffic};

/// Bytes of one reply; a mask inside it has at most 1 MiB.
pub(super) const MAX_REPLY_BYTES: usize = 8 << 20;
/// Of one call; each waits twice as long as the one before it.
const MAX_ATTEMPTS: u32 = 5;
/// Before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// For a connection to be there.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// A service whose machine vanished during a call is noticed after about three times this. TCP's own, because gRPC
/// servers in other languages cut connections that are pinged often during a long call.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 2;
/// How often it is looked whether the caller has cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(5);
/// Bytes under way before they are read: a message of the usual size travels in one go.
const WINDOW_BYTES: u32 = 4 << 20;

/// A connection that is made when it is first needed, and again when it broke.
#[derive(Debug)]
pub(super) struct Link {
    endpoint: String,
    channel: OnceLock<Channel>,
}

/// Why a call gave no reply.
#[derive(Debug)]
pub(super) enum CallError {
    /// The caller did not want it any more.
    Cancelled,
    Fault(ServiceFault),
}

impl CallError {
    /// As an error of the service with this name.
    pub(super) fn of(self, service: &str) -> OperationError {
        match self {
            CallError::Cancelled => Cancelled::ByCaller.into(),
            CallError::Fault(fault) => OperationError::Service {
                service: service.to_owned(),
                fault,
            },
        }
    }
}

impl From<ServiceFault> for CallError {
    fn from(fault: ServiceFault) -> Self {
        CallError::Fault(fault)
    }
}

impl Link {
    pub(super) fn new(endpoint: &str) -> Link {
        Link {
            endpoint: endpoint.to_owned(),
            channel: OnceLock::new(),
        }
    }

    /// Calls until there is an answer that trying again would not change, the deadline passes, or the attempts are used
    /// up. Says what crossed, too. Blocks; not for threads of an async runtime.
    pub(super) fn call<Q, R, F>(
        &self,
        message: Q,
        timeout: Duration,
        cancel: &CancelToken,
        method: impl Fn(MaskServiceClient<Channel>, Request<Q>) -> F,
    ) -> Result<(R, Traffic), CallError>
    where
        Q: Message + Clone,
        R: Message,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let runtime = runtime()?;
        runtime.block_on(async {
            let client = MaskServiceClient::new(self.channel()?).max_decoding_message_size(MAX_REPLY_BYTES);
            tokio::select! {
                reply = attempts(client, message, timeout, cancel, method) => Ok(reply?),
                () = cancelled(cancel) => Err(CallError::Cancelled),
            }
        })
    }

    fn channel(&self) -> Result<Channel, ServiceFault> {
        if let Some(channel) = self.channel.get() {
            return Ok(channel.clone());
        }
        let uri = server_address(&self.endpoint).map_err(|fault| ServiceFault::Endpoint {
            reason: fault.to_string(),
        })?;
        let endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_PATIENCE)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(KEEPALIVE))
            .tcp_keepalive_interval(Some(KEEPALIVE))
            .tcp_keepalive_retries(Some(KEEPALIVE_RETRIES))
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        Ok(self.channel.get_or_init(|| endpoint.connect_lazy()).clone())
    }
}

/// One thread that waits for sockets, for all services of the process.
fn runtime() -> Result<&'static Runtime, ServiceFault> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(1).thread_name("mask-calls").enable_all();
        builder.build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(|reason| ServiceFault::Unavailable {
        attempts: 0,
        reason: reason.clone(),
    })
}

async fn cancelled(cancel: &CancelToken) {
    while cancel.check() != Err(Cancelled::ByCaller) {
        sleep(CANCEL_INTERVAL).await;
    }
}

async fn attempts<Q: Message + Clone, R: Message, F>(
    client: MaskServiceClient<Channel>,
    message: Q,
    timeout: Duration,
    cancel: &CancelToken,
    method: impl Fn(MaskServiceClient<Channel>, Request<Q>) -> F,
) -> Result<(R, Traffic), ServiceFault>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let began = Instant::now();
    // What is too far away for a clock: about a century.
    let own = began
        .checked_add(timeout)
        .unwrap_or(began + Duration::from_secs(u32::MAX.into()));
    let deadline = cancel.deadline().map_or(own, |deadline| own.min(deadline.into()));
    let late = || ServiceFault::DeadlineExceeded {
        waited: began.elapsed(),
    };
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let mut request = Request::new(message.clone());
        request.set_timeout(left);
        let Ok(answer) = timeout_at(deadline, method(client.clone(), request)).await else {
            break;
        };
        let status = match answer {
            Ok(reply) => {
                let reply = reply.into_inner();
                let mut traffic = Traffic::of_sent(message.encoded_len());
                traffic += Traffic::of_received(reply.encoded_len());
                return Ok((reply, traffic));
            }
            Err(status) => status,
        };
        let soon = Instant::now() + pause;
        if !is_transient(&status) || attempt == MAX_ATTEMPTS || soon >= deadline {
            return Err(fault(&status, attempt).unwrap_or_else(late));
        }
        tracing::debug!(attempt, %status, "a call is tried again");
        tokio::time::sleep_until(soon).await;
        pause *= 2;
    }
    Err(late())
}

/// True if the same call may succeed the next time: nobody was there, or the connection broke. Calls change nothing but
/// files of their own, so that they may be repeated.
fn is_transient(status: &Status) -> bool {
    status.code() == Code::Unavailable || broke(status)
}

/// True if the transport on this side made the status, because the connection broke.
fn broke(status: &Status) -> bool {
    !is_timeout(status) && status.source().is_some() && !status.metadata().contains_key(ERROR_CODE_KEY)
}

fn is_timeout(status: &Status) -> bool {
    status.code() == Code::DeadlineExceeded
        || (status.code() == Code::Cancelled && status.message() == TimeoutExpired(()).to_string())
}

/// What a status says; `None` if it is a deadline.
fn fault(status: &Status, attempts: u32) -> Option<ServiceFault> {
    if is_timeout(status) {
        return None;
    }
    if is_transient(status) {
        return Some(ServiceFault::Unavailable {
            attempts,
            reason: reason(status),
        });
    }
    let from_nephrite = status.metadata().contains_key(ERROR_CODE_KEY);
    Some(match status.code() {
        // tonic's own words, on this side, for what it does not decode.
        Code::OutOfRange if !from_nephrite && status.message().contains("message length too large") => {
            ServiceFault::ReplyTooLarge {
                limit: MAX_REPLY_BYTES,
            }
        }
        Code::Internal | Code::Unknown if !from_nephrite && is_undecodable(status.message()) => {
            ServiceFault::MalformedReply {
                reason: reason(status),
            }
        }
        Code::Unimplemented => ServiceFault::Contract {
            reason: format!(
                "it does not implement nephrite.v1.MaskService: {}",
                reason(status)
            ),
        },
        _ => ServiceFault::Refused {
            code: match error_code(status) {
                // Of the other side; on this one nobody has cancelled.
                ErrorCode::Cancelled => ErrorCode::Internal,
                code => code,
            },
            message: reason(status),
        },
    })
}

/// Words that tonic and prost have for bytes that are no message.
fn is_undecodable(message: &str) -> bool {
    [
        "failed to decode Protobuf",
        "Unexpected compression flag",
        "invalid compression flag",
        "Missing response message",
    ]
    .iter()
    .any(|words| message.to_lowercase().contains(&words.to_lowercase()))
}

/// The message and its causes, bounded: it comes from outside.
fn reason(status: &Status) -> String {
    let mut text = with_causes(status.message().to_owned(), status.source());
    if text.is_empty() {
        text = format!("{:?}", status.code());
    }
    text.chars().take(2048).collect()
}
