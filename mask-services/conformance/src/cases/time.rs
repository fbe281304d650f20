//! Deadlines and cancel.

use std::time::{Duration, Instant};

use crate::cases::sameness::same;
use crate::kit::Kit;
use crate::stop::{Stop, ensure};
use crate::subject::{CallError, Subject};

/// Too short for most work on a huge mask.
const SHORT: Duration = Duration::from_millis(100);

pub(crate) fn deadline(kit: &Kit) -> Result<(), Stop> {
    let mut call = kit.call(kit.huge());
    for deadline in [SHORT, Duration::from_millis(1)] {
        call.deadline = deadline;
        match kit.process(&call) {
            // In time, whatever it says: that it is late, that the mask is too large, or a result.
            Ok(_) | Err(CallError::Refused { .. }) => {}
            Err(error) => return Err(Stop::Failed(format!("a deadline of {deadline:?}: {error}"))),
        }
    }
    Ok(())
}

/// The next call must not wait for work that nobody wants.
pub(crate) fn cancel(kit: &Kit) -> Result<(), Stop> {
    let first = kit.ordinary()?;
    let call = kit.call(kit.huge());
    let (answer, took) = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(SHORT);
            call.cancel.cancel();
        });
        let began = Instant::now();
        (kit.process(&call), began.elapsed())
    });
    if let Subject::InProcess(_) = &kit.subject {
        let limit = SHORT + kit.options.grace;
        ensure(took <= limit, || {
            format!(
                "work went on for {:.1} s after it was cancelled",
                took.as_secs_f64()
            )
        })?;
    }
    if let Err(error) = answer
        && !matches!(error, CallError::Refused { .. })
    {
        return Err(Stop::Failed(format!("a cancelled call: {error}")));
    }
    let again = kit.result_of(&crate::masks::ordinary())?;
    same(first, &again, "after a cancelled call")
}
