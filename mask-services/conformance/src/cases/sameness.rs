//! The same request gives the same result: again, at the same time as others, and after all the rest.

use std::sync::Arc;

use nephrite_kernel::Mask;
use nephrite_types::ErrorCode;

use crate::kit::Kit;
use crate::masks;
use crate::stop::{Stop, ensure};
use crate::subject::{CallError, Reply};

/// Calls at once.
const N_CALLS: usize = 8;

pub(crate) fn repeatable(kit: &Kit) -> Result<(), Stop> {
    for mask in [masks::ordinary(), masks::many_labels(300)] {
        let Ok(first) = kit.result_of(&mask) else {
            continue; // told by another case
        };
        for threads in [1, 3] {
            let mut call = kit.call(&mask);
            call.threads = Some(threads);
            let again = kit
                .process(&call)
                .map_err(|error| Stop::Failed(error.to_string()))?;
            same(&first, &again, "the second time")?;
            ensure(first.encoded == again.encoded, || {
                "the same masks came in other bytes".to_owned()
            })?;
        }
    }
    Ok(())
}

/// Masks and measurements; not how they traveled.
pub(crate) fn same(first: &Reply, again: &Reply, when: &str) -> Result<(), Stop> {
    for ((name, first), (_, again)) in first.masks.iter().zip(&again.masks) {
        ensure(first == again, || format!("mask {name} is another {when}"))?;
    }
    ensure(first.masks.len() == again.masks.len(), || {
        format!("there are other masks {when}")
    })?;
    ensure(first.measurements == again.measurements, || {
        format!("measurements differ {when}")
    })
}

pub(crate) fn concurrent(kit: &Kit) -> Result<(), Stop> {
    let kinds = [
        masks::ordinary(),
        masks::empty(),
        masks::many_labels(300),
        masks::oblique(),
    ];
    // A mask that has no result when it comes alone is told by another case.
    let with_result = |mask: Arc<Mask>| kit.result_of(&mask).ok().map(|reply| (mask, reply));
    let alone: Vec<(Arc<Mask>, Reply)> = kinds.into_iter().filter_map(with_result).collect();
    ensure(!alone.is_empty(), || "no call gives a result alone".to_owned())?;
    let together: Vec<Result<Reply, CallError>> = std::thread::scope(|scope| {
        let call = |idx: usize| {
            scope.spawn({
                let (mask, _) = &alone[idx % alone.len()];
                move || kit.process(&kit.call(mask))
            })
        };
        let threads: Vec<_> = (0..N_CALLS).map(call).collect();
        let broke = || Err(CallError::Broke("a panic in the kit".to_owned()));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| broke()))
            .collect()
    });
    let mut n_done = 0;
    for (idx, answer) in together.iter().enumerate() {
        match answer {
            Ok(reply) => {
                same(&alone[idx % alone.len()].1, reply, "among others")?;
                n_done += 1;
            }
            // A service may have as many requests as it can work on.
            Err(CallError::Refused {
                code: ErrorCode::Overloaded,
                ..
            }) => {}
            Err(error) => return Err(Stop::Failed(format!("call {} of {N_CALLS}: {error}", idx + 1))),
        }
    }
    ensure(n_done > 0, || "all calls were refused".to_owned())
}

pub(crate) fn stays_alive(kit: &Kit) -> Result<(), Stop> {
    if let Ok(service) = kit.service() {
        service
            .describe()
            .map_err(|error| Stop::Failed(format!("asked what it is: {error}")))?;
    }
    let Ok(first) = kit.ordinary() else {
        return Err(Stop::Skipped("it never gave a result".to_owned()));
    };
    let again = kit.result_of(&masks::ordinary())?;
    // What is never the same twice is told by another case.
    let twice = kit.result_of(&masks::ordinary())?;
    if again == twice {
        same(first, &again, "after all cases")?;
    }
    Ok(())
}
