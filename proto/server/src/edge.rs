//! What happens to every call before and after its handler: its deadline, and whom a malformed message is blamed on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::Refusal;
use crate::coded_body::coded;

/// When the caller stops waiting; an extension of every request that says so.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// Of a request that a server of [`run`](crate::run) got; `None` if its caller waits for ever.
    pub fn of<M>(request: &tonic::Request<M>) -> Option<Deadline> {
        request.extensions().get::<Deadline>().copied()
    }
}

/// Reads `grpc-timeout` and ends a call at its deadline with DEADLINE_EXCEEDED (tonic alone says CANCELLED). A response
/// that has begun, such as a stream, is for its handler to end. A message that cannot be decoded becomes
/// INVALID_ARGUMENT (tonic: INTERNAL). Every status names our code, also those that tonic makes itself: a message that is
/// too long, a method that is not there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EdgeLayer;

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner }
    }
}

/// A service behind [`EdgeLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Edge<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let deadline = match grpc_timeout(request.headers()) {
            Ok(None) => None,
            // What is too far away for a clock is no deadline.
            Ok(Some(timeout)) => Instant::now().checked_add(timeout),
            Err(refusal) => {
                let response = Status::from(refusal).into_http();
                return Box::pin(async { Ok(response) });
            }
        };
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let call = self.inner.call(request);
        Box::pin(async move {
            let response = match deadline {
                None => call.await?,
                Some(deadline) => match tokio::time::timeout_at(deadline, call).await {
                    Ok(response) => response?,
                    Err(_) => Status::from(Refusal::DeadlineExceeded).into_http(),
                },
            };
            Ok(coded(blame_the_caller(response)))
        })
    }
}

/// Up to eight digits and a unit. Source: gRPC over HTTP2, "Timeout".
fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let parse = || {
        let (digits, unit) = value
            .to_str()
            .ok()?
            .split_at_checked(value.len().checked_sub(1)?)?;
        if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: u64 = digits.parse().ok()?;
        Some(match unit {
            "H" => Duration::from_secs(number * 3600),
            "M" => Duration::from_secs(number * 60),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        })
    };
    parse().map(Some).ok_or(Refusal::Timeout)
}

/// tonic answers a message that prost cannot decode with INTERNAL, as if the fault were ours.
fn blame_the_caller(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    let is = |headers: &HeaderMap, name, text: &str| {
        let value = headers.get(name).map(HeaderValue::as_bytes);
        value.is_some_and(|value| value.starts_with(text.as_bytes()))
    };
    let internal = (Code::Internal as i32).to_string();
    if is(headers, "grpc-status", &internal) && is(headers, "grpc-message", "failed%20to%20decode%20Protobuf")
    {
        headers.insert("grpc-status", HeaderValue::from(Code::InvalidArgument as i32));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn timeout(text: &'static str) -> Result<Option<Duration>, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_static(text));
        grpc_timeout(&headers)
    }

    #[test]
    fn timeouts_are_eight_digits_and_a_unit() {
        assert!(grpc_timeout(&HeaderMap::new()).unwrap().is_none());
        assert_eq!(timeout("2H").unwrap(), Some(Duration::from_secs(7200)));
        assert_eq!(
            timeout("99999999M").unwrap(),
            Some(Duration::from_secs(99_999_999 * 60))
        );
        assert_eq!(timeout("3S").unwrap(), Some(Duration::from_secs(3)));
        assert_eq!(timeout("4m").unwrap(), Some(Duration::from_millis(4)));
        assert_eq!(timeout("5u").unwrap(), Some(Duration::from_micros(5)));
        assert_eq!(timeout("6n").unwrap(), Some(Duration::from_nanos(6)));
        for malformed in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S"] {
            assert!(timeout(malformed).is_err(), "{malformed:?}");
        }
    }

    fn call(
        timeout: &'static str,
        answer: impl Future<Output = Response<Body>> + Send + 'static,
    ) -> impl Future<Output = Response<Body>> {
        let mut answer = Some(answer);
        let service = tower::service_fn(move |request: Request<()>| {
            assert!(request.extensions().get::<Deadline>().is_some());
            let answer = answer.take().unwrap();
            async { Ok::<_, Infallible>(answer.await) }
        });
        let mut request = Request::new(());
        request
            .headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static(timeout));
        let response = EdgeLayer.layer(service).call(request);
        async { response.await.unwrap() }
    }

    #[tokio::test]
    async fn a_call_ends_at_its_deadline() {
        let response = call("20m", std::future::pending()).await;
        assert_eq!(response.headers()["grpc-status"], "4");
        assert_eq!(response.headers()["nephrite-error-code"], "deadline_exceeded");
        let response = call("0n", std::future::pending()).await;
        assert_eq!(response.headers()["nephrite-error-code"], "deadline_exceeded");
        let response = call("1H", async { Status::not_found("x").into_http() }).await;
        assert_eq!(response.headers()["grpc-status"], "5");
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_decoded_is_the_callers_fault() {
        let error = <nephrite_proto::v1::RunRequest as prost::Message>::decode(&b"\xff"[..]).unwrap_err();
        let response = call(
            "1H",
            async move { Status::internal(error.to_string()).into_http() },
        )
        .await;
        assert_eq!(response.headers()["grpc-status"], "3");
        assert_eq!(response.headers()["nephrite-error-code"], "invalid_argument");
        let response = call("1H", async { Status::internal("ours").into_http() }).await;
        assert_eq!(response.headers()["grpc-status"], "13");
    }
}
