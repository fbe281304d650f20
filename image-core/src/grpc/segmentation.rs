use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nephrite_proto::v1::run_response::Event;
use nephrite_proto::v1::segmentation_service_server::SegmentationService;
use nephrite_proto::v1::{Accepted, RunRequest, RunResponse};
use nephrite_server::{Deadline, Place, Refusal, token};
use nephrite_types::{CancelToken, ErrorCode};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::description;
use super::events::{Events, Item, MAX_WAITING_EVENTS, TileCount};
use crate::serve::Work;
use crate::{Core, SegmentReport, SegmentRequest, segment};

/// `SegmentationService`.
#[derive(Debug)]
pub(crate) struct Segmentation {
    work: Arc<Work>,
}

impl Segmentation {
    pub(crate) fn new(work: Arc<Work>) -> Self {
        Segmentation { work }
    }
}

#[tonic::async_trait]
impl SegmentationService for Segmentation {
    type RunStream = RunStream;

    async fn run(&self, request: Request<RunRequest>) -> Result<Response<RunStream>, Status> {
        let deadline = Deadline::of(&request);
        let request = SegmentRequest::try_from(request.into_inner()).map_err(Refusal::from)?;
        let place = self.work.enter()?;
        let request_id = self.work.request_id();
        let position = place.position();
        tracing::info!(request_id, position, "run accepted");
        tracing::debug!(request_id, ?request, "run");

        let (events, receiver) = mpsc::channel(MAX_WAITING_EVENTS);
        let accepted = Event::Accepted(Accepted {
            request_id: request_id.clone(),
            position,
        });
        let _ = events.try_send(Ok(RunResponse {
            event: Some(accepted),
        })); // the first of many places
        let cancel = token(deadline);
        let tiles = Arc::<TileCount>::default();
        let stream = RunStream {
            events: receiver,
            tiles: tiles.clone(),
            cancel: cancel.clone(),
        };
        let run = Run {
            work: self.work.clone(),
            request_id,
            request,
            deadline,
            cancel,
            tiles,
            events,
        };
        tokio::spawn(run.go(place));
        Ok(Response::new(stream))
    }
}

/// A run that has been accepted.
struct Run {
    work: Arc<Work>,
    request_id: String,
    request: SegmentRequest,
    deadline: Option<Deadline>,
    cancel: CancelToken,
    tiles: Arc<TileCount>,
    events: mpsc::Sender<Item>,
}

impl Run {
    /// Waits for its turn, works, and tells the caller how it ended, or that its deadline passed, which may be before
    /// the tile at hand is done.
    async fn go(self, place: Place) {
        let events = self.events.clone();
        let deadline = self.deadline;
        let mut ending = std::pin::pin!(self.end(place));
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

    async fn end(self, place: Place) -> Item {
        let waiting = Instant::now();
        // While it waits, no tile loop looks whether the caller is still there.
        let permit = tokio::select! {
            permit = place.turn() => permit,
            () = self.events.closed() => Err(Refusal::CallerGone),
            () = passed(self.deadline) => Err(Refusal::DeadlineExceeded),
        };
        let waited = waiting.elapsed();
        let outcome = match permit {
            Err(refusal) => Err(refusal),
            Ok(permit) => {
                let events = Events::new(self.events, self.tiles.clone());
                let request = self.request;
                let job = move |core: &Core, cancel: &CancelToken| segment(core, &request, &events, cancel);
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
        log(&self.request_id, &outcome, waited, &self.tiles);
        Ok(RunResponse {
            event: Some(Event::Done(description::done(outcome?))),
        })
    }
}

async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(Deadline(deadline)) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn log(request_id: &str, outcome: &Result<SegmentReport, Refusal>, waited: Duration, tiles: &TileCount) {
    match outcome {
        Ok(report) => {
            let stages = &report.stages;
            tracing::info!(
                request_id,
                model = model_name(&report.model.folder),
                tiles = report.tiles,
                waited_seconds = waited.as_secs_f64(),
                total_seconds = report.total_seconds,
                load_model = stages.load_model,
                read = stages.read,
                preprocess = stages.preprocess,
                inference = stages.inference,
                export = stages.export,
                write = stages.write,
                weight_bytes_read = report.weight_bytes_read,
                peak_rss_bytes = report.peak_rss_bytes,
                "run done"
            );
            tracing::debug!(request_id, mask = report.mask, "run done");
        }
        Err(refusal) => {
            let code = refusal.code().name();
            let tiles_done = tiles.done();
            let tiles_after_cancel = tiles.done_after_cancel();
            tracing::info!(request_id, code, tiles_done, tiles_after_cancel, "run ended");
            tracing::debug!(request_id, reason = %refusal, "run ended"); // names files
        }
    }
}

/// `DatasetXXX_Name/Trainer__Plans__Configuration`; what lies above is for the debug log.
fn model_name(folder: &str) -> String {
    let path = Path::new(folder);
    let name = |path: Option<&Path>| Some(path?.file_name()?.to_string_lossy().into_owned());
    let model = name(Some(path)).unwrap_or_default();
    match name(path.parent()).filter(|dataset| dataset.starts_with("Dataset")) {
        Some(dataset) => format!("{dataset}/{model}"),
        None => model,
    }
}

/// The events of a run. Dropped by the server when the caller goes away; the work then stops within one tile.
#[derive(Debug)]
pub(crate) struct RunStream {
    events: mpsc::Receiver<Item>,
    tiles: Arc<TileCount>,
    cancel: CancelToken,
}

impl Stream for RunStream {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.events.poll_recv(cx)
    }
}

impl Drop for RunStream {
    fn drop(&mut self) {
        self.tiles.cancelled();
        self.cancel.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_logged_without_the_folders_above_its_dataset() {
        assert_eq!(model_name("/a/b/Dataset001_X/T__P__C/"), "Dataset001_X/T__P__C");
        assert_eq!(model_name("a/b"), "b");
        assert_eq!(model_name(""), "");
    }
}
