//! What the worker of a job told, as it is kept between worker and watchers.

use nephrite_proto::v1;
use nephrite_proto::v1::case_service_run_response::Event;
use nephrite_proto::v1::watch_response::Event as Told;
use prost::Message as _;

/// As it is kept: a message of a watch without its number and its time, which the engine gives it.
pub(crate) fn body(message: Event) -> Vec<u8> {
    let event = match message {
        Event::Progress(progress) => Some(Told::Progress(progress)),
        Event::Mask(mask) => Some(Told::Mask(mask)),
        Event::Warning(warning) => Some(Told::Warning(warning)),
        Event::Accepted(_) | Event::Done(_) => None, // of a call, not of a case
    };
    let message = v1::WatchResponse {
        event,
        ..v1::WatchResponse::default()
    };
    message.encode_to_vec()
}

/// What was told; `None` if this version does not know it.
pub(crate) fn told(body: &[u8]) -> Option<Told> {
    v1::WatchResponse::decode(body).ok()?.event
}

/// The same as an event of a call that runs a case; `None` of a change of state.
pub(crate) fn case_event(told: Told) -> Option<Event> {
    match told {
        Told::Progress(progress) => Some(Event::Progress(progress)),
        Told::Mask(mask) => Some(Event::Mask(mask)),
        Told::Warning(warning) => Some(Event::Warning(warning)),
        Told::State(_) => None,
    }
}
