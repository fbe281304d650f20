//! The stream of a long call: progress first, and exactly one result at its end.

use nephrite_types::ErrorCode;
use tonic::Streaming;

use super::RemoteError;
use crate::v1;

/// A message of a stream: an event, of which the last one says what was done.
pub trait EventMessage: sealed::Sealed {
    /// What happened.
    type Event;
    /// What the last event says.
    type Done;

    /// The event; none if it is of a kind that a newer server knows.
    fn event(self) -> Option<Self::Event>;

    /// What was done, if this event says so.
    fn done(event: Self::Event) -> Option<Self::Done>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! event_message {
    ($message:ty, $module:ident, $done:ty) => {
        impl sealed::Sealed for $message {}

        impl EventMessage for $message {
            type Event = v1::$module::Event;
            type Done = $done;

            fn event(self) -> Option<Self::Event> {
                self.event
            }

            fn done(event: Self::Event) -> Option<Self::Done> {
                match event {
                    v1::$module::Event::Done(done) => Some(done),
                    _ => None,
                }
            }
        }
    };
}

event_message!(v1::RunResponse, run_response, v1::Done);
event_message!(
    v1::CaseServiceRunResponse,
    case_service_run_response,
    v1::CaseDone
);
event_message!(
    v1::StepServiceRunResponse,
    step_service_run_response,
    v1::StepDone
);

/// The events of a job, as they come. Dropping it leaves the job alone.
#[derive(Debug)]
pub struct JobEvents {
    messages: Streaming<v1::WatchResponse>,
}

impl JobEvents {
    pub(super) fn new(messages: Streaming<v1::WatchResponse>) -> Self {
        JobEvents { messages }
    }

    /// The next event; `None` after the last, when the job has ended.
    ///
    /// # Errors
    /// [`RemoteError`] if the server is gone; watching goes on with the number of the last event that came.
    pub async fn next(&mut self) -> Result<Option<v1::WatchResponse>, RemoteError> {
        Ok(self.messages.message().await?)
    }
}

/// The events of a call, as they come. Dropping it cancels the work.
#[derive(Debug)]
pub struct Events<M> {
    messages: Streaming<M>,
}

/// Of a segmentation.
pub type RunEvents = Events<v1::RunResponse>;
/// Of a case.
pub type CaseEvents = Events<v1::CaseServiceRunResponse>;
/// Of a model step.
pub type StepEvents = Events<v1::StepServiceRunResponse>;

impl<M: EventMessage> Events<M> {
    pub(super) fn new(messages: Streaming<M>) -> Self {
        Events { messages }
    }

    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// [`RemoteError`] if the work failed, or the server is gone.
    pub async fn next(&mut self) -> Result<Option<M::Event>, RemoteError> {
        while let Some(message) = self.messages.message().await? {
            if let Some(event) = message.event() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Waits for the end and gives what was done.
    ///
    /// # Errors
    /// As [`Events::next`]; [`ErrorCode::Internal`] if the stream ends without a result.
    pub async fn done(mut self) -> Result<M::Done, RemoteError> {
        while let Some(event) = self.next().await? {
            if let Some(done) = M::done(event) {
                return Ok(done);
            }
        }
        Err(RemoteError {
            code: ErrorCode::Internal,
            message: "the stream ended without a result".to_owned(),
        })
    }
}
