//! Long work whose progress is a stream: accepted, events, and one last event or an error.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nephrite_server::{Deadline, Refusal, Ticket, token};
use nephrite_types::{CancelToken, Coded, ErrorCode};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use super::Work;
use crate::core::Core;

/// What a stream carries.
pub(super) type Item<T> = Result<T, Status>;

/// Work that has been accepted.
pub(super) struct Streaming<T> {
    pub(super) work: Arc<Work>,
    pub(super) deadline: Option<Deadline>,
    /// Events that may wait for a slow caller.
    pub(super) capacity: usize,
    /// The first event.
    pub(super) accepted: T,
    /// Called when the stream is dropped: the caller went away, or has everything.
    pub(super) gone: Box<dyn FnOnce() + Send + Sync>,
}

impl<T: Send + 'static> Streaming<T> {
    /// Waits for the turn, then works on a thread that may block. `job` sends events of its own; `end` makes the last one
    /// of what came of it, and hears how long the work waited.
    pub(super) fn start<V: Send + 'static, E: Coded + Send + 'static>(
        self,
        ticket: Ticket,
        job: impl FnOnce(&Core, &CancelToken, mpsc::Sender<Item<T>>) -> Result<V, E> + Send + 'static,
        end: impl FnOnce(Result<V, Refusal>, Duration) -> Result<T, Refusal> + Send + 'static,
    ) -> EventStream<T> {
        let Streaming {
            work,
            deadline,
            capacity,
            accepted,
            gone,
        } = self;
        let (events, receiver) = mpsc::channel(capacity);
        let _ = events.try_send(Ok(accepted)); // the first of many places
        let cancel = token(deadline);
        let stream = EventStream {
            events: receiver,
            cancel: cancel.clone(),
            gone: Some(gone),
        };
        let running = Running {
            work,
            deadline,
            cancel,
            events,
        };
        tokio::spawn(running.go(ticket, job, end));
        stream
    }
}

struct Running<T> {
    work: Arc<Work>,
    deadline: Option<Deadline>,
    cancel: CancelToken,
    events: mpsc::Sender<Item<T>>,
}

impl<T: Send + 'static> Running<T> {
    /// Works, and tells the caller how it ended, or that its deadline passed, which may be before the tile at hand is
    /// done.
    async fn go<V: Send + 'static, E: Coded + Send + 'static>(
        self,
        ticket: Ticket,
        job: impl FnOnce(&Core, &CancelToken, mpsc::Sender<Item<T>>) -> Result<V, E> + Send + 'static,
        end: impl FnOnce(Result<V, Refusal>, Duration) -> Result<T, Refusal> + Send + 'static,
    ) {
        let events = self.events.clone();
        let deadline = self.deadline;
        let mut ending = std::pin::pin!(self.end(ticket, job, end));
        let last = tokio::select! {
            last = &mut ending => last,
            () = passed(deadline) => {
                let _ = events.send(Err(Refusal::DeadlineExceeded.into())).await;
                let _ = ending.await; // for the log
                return;
            }
        };
        let _ = events.send(last).await; // a caller that is gone needs no answer
    }

    async fn end<V: Send + 'static, E: Coded + Send + 'static>(
        self,
        ticket: Ticket,
        job: impl FnOnce(&Core, &CancelToken, mpsc::Sender<Item<T>>) -> Result<V, E> + Send + 'static,
        end: impl FnOnce(Result<V, Refusal>, Duration) -> Result<T, Refusal> + Send + 'static,
    ) -> Item<T> {
        let waiting = Instant::now();
        // While it waits, no tile loop looks whether the caller is still there.
        let permit = tokio::select! {
            permit = ticket.turn() => permit,
            () = self.events.closed() => Err(Refusal::CallerGone),
            () = passed(self.deadline) => Err(Refusal::DeadlineExceeded),
        };
        let waited = waiting.elapsed();
        let outcome = match permit {
            Err(refusal) => Err(refusal),
            Ok(permit) => {
                let events = self.events;
                let job = move |core: &Core, cancel: &CancelToken| job(core, cancel, events);
                self.work.run(permit, self.cancel, job).await
            }
        };
        // The caller hears of its deadline at once and goes; the work then sees a cancel first.
        let late = self
            .deadline
            .is_some_and(|Deadline(deadline)| deadline <= tokio::time::Instant::now());
        let outcome = outcome.map_err(|refusal| match refusal.code() {
            ErrorCode::Cancelled if late => Refusal::DeadlineExceeded,
            _ => refusal,
        });
        Ok(end(outcome, waited)?)
    }
}

async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(Deadline(deadline)) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The events of a request. Dropped by the server when the caller goes away; the work then stops within one layer of its
/// network, and gives its place back.
pub(crate) struct EventStream<T> {
    events: mpsc::Receiver<Item<T>>,
    cancel: CancelToken,
    gone: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl<T> EventStream<T> {
    /// Of what comes through `events`; `cancel` is for who sends them.
    pub(super) fn new(events: mpsc::Receiver<Item<T>>, cancel: CancelToken) -> Self {
        EventStream {
            events,
            cancel,
            gone: None,
        }
    }
}

impl<T> Stream for EventStream<T> {
    type Item = Item<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item<T>>> {
        self.events.poll_recv(cx)
    }
}

impl<T> Drop for EventStream<T> {
    fn drop(&mut self) {
        if let Some(gone) = self.gone.take() {
            gone();
        }
        self.cancel.cancel();
    }
}
