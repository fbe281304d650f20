//! Statuses that the transport makes itself get the name of our code, like all others.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body as HttpBody, Frame, SizeHint};
use nephrite_proto::status::{ERROR_CODE_KEY, nearest};
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::http::header::HeaderValue;
use tonic::codegen::http::{HeaderMap, Response};

/// The entries that a status stands in.
const GRPC_STATUS: &str = "grpc-status";
const GRPC_MESSAGE: &str = "grpc-message";

/// Names our code beside the status of a response, whether it stands in the headers (the call failed at once) or comes
/// after the last message.
pub(crate) fn coded(mut response: Response<Body>) -> Response<Body> {
    if response.headers().contains_key(GRPC_STATUS) {
        name_code(response.headers_mut());
        return response;
    }
    response.map(|inner| Body::new(CodedBody { inner }))
}

/// Adds the entry if there is a status that is an error, and none names its code.
fn name_code(headers: &mut HeaderMap) {
    let Some(status) = headers.get(GRPC_STATUS) else {
        return;
    };
    let code = Code::from_bytes(status.as_bytes());
    if code != Code::Ok && !headers.contains_key(ERROR_CODE_KEY) {
        let name = HeaderValue::from_static(nearest(code).name());
        headers.insert(ERROR_CODE_KEY, name);
    }
    let message = headers.get(GRPC_MESSAGE);
    if code != Code::Ok && message.is_none_or(|message| message.as_bytes().trim_ascii().is_empty()) {
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(words(code)));
    }
}

/// For a status that the transport made without a word.
fn words(code: Code) -> &'static str {
    match code {
        Code::Unimplemented => "this process has no such service or method",
        code => code.description(),
    }
}

/// A stream of messages, and the status after them.
struct CodedBody {
    inner: Body,
}

impl HttpBody for CodedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        polled.map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                name_code(trailers);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn name(headers: &HeaderMap) -> Option<&str> {
        headers.get(ERROR_CODE_KEY).map(|name| name.to_str().unwrap())
    }

    #[test]
    fn a_status_without_a_code_gets_one_and_others_stay() {
        let coded_name = |status: Status| name(coded(status.into_http()).headers()).map(str::to_owned);
        for (status, expected) in [
            (Status::out_of_range("too long"), "limit_exceeded"),
            (Status::unimplemented("no such method"), "invalid_argument"),
            (Status::deadline_exceeded(""), "deadline_exceeded"),
            (Status::cancelled(""), "cancelled"),
            (Status::internal(""), "internal"),
            (Status::not_found(""), "not_found"),
        ] {
            assert_eq!(coded_name(status).as_deref(), Some(expected));
        }
        let ours = nephrite_proto::status::to_status(nephrite_types::ErrorCode::InvalidInput, "");
        assert_eq!(coded_name(ours).as_deref(), Some("invalid_input"));
    }

    #[test]
    fn a_status_without_a_word_gets_some() {
        let message = |status: Status| coded(status.into_http()).headers()[GRPC_MESSAGE].clone();
        assert_eq!(message(Status::internal("ours")), "ours");
        assert_eq!(
            message(Status::unimplemented("")),
            "this process has no such service or method"
        );
        assert_eq!(message(Status::internal("")), Code::Internal.description());
    }

    /// What comes after messages.
    struct Trailers(Option<HeaderMap>);

    impl HttpBody for Trailers {
        type Data = <Body as HttpBody>::Data;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
            Poll::Ready(self.0.take().map(|trailers| Ok(Frame::trailers(trailers))))
        }
    }

    #[tokio::test]
    async fn a_status_after_messages_gets_a_code_too() {
        for (status, expected) in [("11", Some("limit_exceeded")), ("0", None)] {
            let mut trailers = HeaderMap::new();
            trailers.insert(GRPC_STATUS, HeaderValue::from_static(status));
            let response = Response::new(Body::new(Trailers(Some(trailers))));
            let mut body = coded(response).into_body();
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let trailers = frame.unwrap().unwrap().into_trailers().unwrap();
            assert_eq!(name(&trailers), expected);
        }
    }
}
