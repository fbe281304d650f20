//! What happens in a case, as watchers of its job get it.

use std::time::Duration;

use nephrite_jobs::{Desk, Note, Progress, fault};
use nephrite_proto::v1;
use nephrite_proto::v1::case_service_run_response::Event;

use crate::case::{CaseEvent, CaseEvents};
use crate::wire::case_events::CaseMessages;
use crate::wire::told::body;

/// Tiles of a step are told at most this often: each time is a write.
const EVERY: Duration = Duration::from_millis(500);

/// Tells the desk what happens.
pub(super) struct Notes<'a> {
    desk: &'a Desk<'a>,
    messages: CaseMessages,
}

impl<'a> Notes<'a> {
    pub(super) fn new(desk: &'a Desk<'a>) -> Self {
        Notes {
            desk,
            messages: CaseMessages::new(EVERY),
        }
    }
}

impl CaseEvents for Notes<'_> {
    fn event(&self, event: CaseEvent) {
        let tiles_of = match &event {
            CaseEvent::Tiles { step, done, total } if done < total => Some(step.clone()),
            _ => None,
        };
        if tiles_of.is_some() {
            fault::reach("mid_tile");
        }
        let messages = self.messages.of(&event, false);
        if messages.is_empty() {
            self.desk.pulse(tiles_of.is_some());
        }
        for message in messages {
            self.desk.tell(Note {
                progress: progress(&message),
                tiles_of: tiles_of.clone(),
                body: body(message),
            });
        }
    }
}

fn progress(message: &Event) -> Option<Progress> {
    let Event::Progress(step) = message else {
        return None;
    };
    let stage = step.stage.and_then(|stage| v1::Stage::try_from(stage).ok());
    Some(Progress {
        step: step.step.clone(),
        stage: stage.map_or_else(String::new, |stage| stage.as_str_name().to_owned()),
        tiles_done: step.tiles_done,
        tiles_total: step.tiles_total,
        seconds_left: step.seconds_left,
    })
}
