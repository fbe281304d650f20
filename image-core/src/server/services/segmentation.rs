//! One model on one scan.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nephrite_proto::v1::run_response::Event;
use nephrite_proto::v1::segmentation_service_server::SegmentationService;
use nephrite_proto::v1::{Accepted, RunRequest, RunResponse};
use nephrite_server::{Deadline, Refusal};
use tonic::{Request, Response, Status};

use super::Work;
use super::events::{Events, MAX_WAITING_EVENTS, TileCount};
use super::streaming::{EventStream, Streaming};
use crate::segment::{SegmentReport, SegmentRequest, segment};
use crate::wire::description;

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
    type RunStream = EventStream<RunResponse>;

    async fn run(&self, request: Request<RunRequest>) -> Result<Response<Self::RunStream>, Status> {
        let deadline = Deadline::of(&request);
        let request = SegmentRequest::try_from(request.into_inner()).map_err(Refusal::from)?;
        let ticket = self.work.enter()?;
        let request_id = self.work.request_id();
        let position = ticket.position();
        tracing::info!(request_id, position, "run accepted");
        tracing::debug!(request_id, ?request, "run");

        let accepted = Event::Accepted(Accepted {
            request_id: request_id.clone(),
            position,
        });
        let tiles = Arc::<TileCount>::default();
        let [of_stream, of_job, of_log] = [tiles.clone(), tiles.clone(), tiles];
        let streaming = Streaming {
            work: self.work.clone(),
            deadline,
            capacity: MAX_WAITING_EVENTS,
            accepted: RunResponse {
                event: Some(accepted),
            },
            gone: Box::new(move || of_stream.cancelled()),
        };
        let stream = streaming.start(
            ticket,
            move |core, cancel, events| segment(core, &request, &Events::new(events, of_job), cancel),
            move |outcome, waited| {
                log(&request_id, &outcome, waited, &of_log);
                Ok(RunResponse {
                    event: Some(Event::Done(description::done(outcome?))),
                })
            },
        );
        Ok(Response::new(stream))
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
