//! Sends a service whatever a case wants to send, by a transport that lets the service keep its own deadlines.

use std::error::Error as _;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nephrite_kernel::{CancelToken, LabelTable, Mask, Measurement, ParameterValue, read_mask};
use nephrite_mask_codec::EncodedMask;
use nephrite_proto::convert::label_table;
use nephrite_proto::server_address;
use nephrite_proto::status::{ERROR_CODE_KEY, error_code};
use nephrite_proto::v1;
use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::mask_service_client::MaskServiceClient;
use nephrite_proto::v1::parameter_value::Value;
use nephrite_root::Root;
use nephrite_types::{Limits, with_causes};
use prost::Message as _;
use tokio::runtime::Handle;
use tonic::{Request, Response, Status};

use super::{Call, CallError, Reply};
use crate::KitError;

/// Of a mask inside of a message; the contract's.
const MAX_INLINE_BYTES: usize = 1 << 20;
/// Of one reply.
const MAX_REPLY_BYTES: usize = 8 << 20;
/// For a service to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether a call was cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(2);

/// HTTP/2 without a clock of its own: tonic's channel would answer for a service that forgets its deadline.
type Http = Client<HttpConnector, tonic::body::Body>;

/// A service, called with whatever a case wants to send.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    client: MaskServiceClient<Http>,
    /// Of the operation to call.
    pub(crate) operation: String,
    runtime: Handle,
}

impl Service {
    /// Connects to nothing yet.
    pub(crate) fn new(endpoint: &str, runtime: Handle) -> Result<Service, KitError> {
        let uri = server_address(endpoint).map_err(|fault| KitError::Endpoint {
            endpoint: endpoint.to_owned(),
            reason: fault.to_string(),
        })?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(PATIENCE));
        let mut builder = Client::builder(TokioExecutor::new());
        let http = builder
            .http2_only(true)
            .retry_canceled_requests(false)
            .build(connector);
        let client = MaskServiceClient::with_origin(http, uri).max_decoding_message_size(MAX_REPLY_BYTES);
        Ok(Service {
            client,
            operation: String::new(),
            runtime,
        })
    }

    /// The same for one of its operations.
    pub(crate) fn of_operation(&self, name: &str) -> Service {
        Service {
            operation: name.to_owned(),
            ..self.clone()
        }
    }

    /// What it says of itself, soon.
    pub(crate) fn describe(&self) -> Result<v1::DescribeResponse, CallError> {
        let mut client = self.client.clone();
        let asked = async move { client.describe(Request::new(v1::DescribeRequest {})).await };
        self.wait(asked, PATIENCE, Duration::ZERO, &CancelToken::new())
    }

    pub(crate) fn process(&self, call: &Call, grace: Duration) -> Result<Reply, CallError> {
        let inputs = call.inputs.iter();
        let inputs = inputs.map(|(name, mask)| named(name, Content::Encoded(encode(mask)), Vec::new()));
        let request = v1::ProcessRequest {
            inputs: inputs.collect(),
            ..self.request(call)
        };
        self.send(request, call, grace)
    }

    /// A request without masks.
    pub(crate) fn request(&self, call: &Call) -> v1::ProcessRequest {
        let text = |path: &Option<PathBuf>| {
            let path = path.as_ref();
            path.map_or(String::new(), |path| path.to_string_lossy().into_owned())
        };
        let values = call.parameters.iter();
        v1::ProcessRequest {
            operation: self.operation.clone(),
            inputs: Vec::new(),
            parameters: values
                .map(|(name, value)| (name.clone(), wire_value(value)))
                .collect(),
            artefacts_folder: text(&call.artefacts),
            exchange_folder: text(&call.exchange),
        }
    }

    /// Sends any request, with the deadline of `call`, and decodes what comes back.
    pub(crate) fn send(
        &self,
        message: v1::ProcessRequest,
        call: &Call,
        grace: Duration,
    ) -> Result<Reply, CallError> {
        let mut request = Request::new(message);
        request.set_timeout(call.deadline);
        let mut client = self.client.clone();
        let asked = async move { client.process(request).await };
        let began = Instant::now();
        let reply = self.wait(asked, call.deadline, grace, &call.cancel)?;
        let reply = receive(reply, call.exchange.as_deref());
        let took = began.elapsed();
        if took > call.deadline + grace {
            return Err(CallError::Late {
                took,
                deadline: call.deadline,
            });
        }
        reply.map_err(CallError::Reply)
    }

    fn wait<R>(
        &self,
        asked: impl Future<Output = Result<Response<R>, Status>>,
        deadline: Duration,
        grace: Duration,
        cancel: &CancelToken,
    ) -> Result<R, CallError> {
        let began = Instant::now();
        let cancelled = async {
            while !cancel.is_cancelled() {
                tokio::time::sleep(CANCEL_INTERVAL).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                answer = asked => Ok(answer.map_err(|status| refused(&status))?.into_inner()),
                () = tokio::time::sleep(deadline + grace) => Err(CallError::NoAnswer { waited: began.elapsed() }),
                () = cancelled => Err(CallError::Refused {
                    code: nephrite_types::ErrorCode::Cancelled,
                    message: "cancelled by the kit".to_owned(),
                    is_coded: true,
                }),
            }
        })
    }
}

/// A status of the service, or of the transport on this side.
fn refused(status: &Status) -> CallError {
    let message = with_causes(status.message().to_owned(), status.source());
    let message: String = message.chars().take(300).collect();
    // A status with a cause was made on this side, because the connection broke or the stream was reset.
    if status.source().is_some() && !is_reset(status) {
        return CallError::Broke(message);
    }
    CallError::Refused {
        code: error_code(status),
        message,
        is_coded: status.metadata().contains_key(ERROR_CODE_KEY),
    }
}

/// True if the service ended this call and nothing else: how gRPC's own servers say that a deadline passed.
fn is_reset(status: &Status) -> bool {
    matches!(
        status.code(),
        tonic::Code::Cancelled | tonic::Code::DeadlineExceeded
    )
}

/// As it travels inside of a message.
pub(crate) fn encode(mask: &Mask) -> v1::EncodedMask {
    EncodedMask::encode(mask)
        .expect("planes of the kit are small")
        .into()
}

pub(crate) fn named(name: &str, content: Content, labels: Vec<v1::MaskLabel>) -> v1::NamedMask {
    v1::NamedMask {
        name: name.to_owned(),
        mask: Some(v1::Mask {
            content: Some(content),
            labels,
            grid: String::new(),
        }),
    }
}

fn wire_value(value: &ParameterValue) -> v1::ParameterValue {
    let value = match value.clone() {
        ParameterValue::Flag(flag) => Value::Flag(flag),
        ParameterValue::Integer(number) => Value::Integer(number),
        ParameterValue::Number(number) => Value::Number(number),
        ParameterValue::Text(text) => Value::Text(text),
        ParameterValue::Texts(values) => Value::Texts(v1::TextList { values }),
    };
    v1::ParameterValue { value: Some(value) }
}

fn receive(reply: v1::ProcessResponse, exchange: Option<&Path>) -> Result<Reply, String> {
    let mut received = Reply {
        masks: Vec::new(),
        measurements: Vec::new(),
        artefacts: reply
            .artefacts
            .into_iter()
            .map(|file| (file.name, file.path.into()))
            .collect(),
        encoded: Vec::new(),
    };
    for v1::NamedMask { name, mask } in reply.masks {
        let mask = mask.ok_or_else(|| format!("mask {name} is not there"))?;
        let fault = |error: &dyn std::fmt::Display| format!("mask {name}: {error}");
        let decoded = match mask.content {
            None => return Err(fault(&"it has no content")),
            Some(Content::Encoded(encoded)) => {
                let bytes = encoded.encoded_len();
                if bytes > MAX_INLINE_BYTES {
                    return Err(fault(&format!(
                        "{bytes} bytes inside of the message, the limit is {MAX_INLINE_BYTES}"
                    )));
                }
                received.encoded.push(encoded.clone());
                let encoded = EncodedMask::try_from(encoded).map_err(|error| fault(&error))?;
                encoded
                    .decode(&Limits::default())
                    .map_err(|error| fault(&error))?
            }
            Some(Content::Path(path)) => {
                let table = label_table(&mask.labels).map_err(|error| fault(&error))?;
                from_file(&path, exchange, &table).map_err(|error| fault(&error))?
            }
        };
        received.masks.push((name, Arc::new(decoded)));
    }
    let measurements = reply.measurements.into_iter().map(|measurement| {
        if !measurement.value.is_finite() {
            return Err(format!(
                "measurement {} is {}",
                measurement.name, measurement.value
            ));
        }
        Ok(Measurement {
            label: measurement.label,
            name: measurement.name,
            unit: measurement.unit,
            value: measurement.value,
        })
    });
    received.measurements = measurements.collect::<Result<_, _>>()?;
    Ok(received)
}

fn from_file(path: &str, exchange: Option<&Path>, table: &LabelTable) -> Result<Mask, String> {
    let exchange = exchange.ok_or_else(|| format!("it lies at {path}, and there was no exchange folder"))?;
    let root = Root::beneath(exchange).map_err(|error| error.to_string())?;
    let file = root
        .open_file(Path::new(path))
        .map_err(|error| error.to_string())?;
    let limits = Limits::default();
    read_mask(file, path, table, &limits, &CancelToken::new()).map_err(|error| error.to_string())
}
