//! Runs an operation of this process under the same rules as a service: deadline, cancel, panics caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_kernel::{Artefacts, Context, Inputs, MaskOperation, Outcome, run_checked};
use nephrite_types::{Coded, ErrorCode, Limits};

use super::{Call, CallError, Reply};

/// An operation of this process.
#[derive(Clone)]
pub(crate) struct InProcess {
    pub(crate) operation: Arc<dyn MaskOperation>,
}

impl InProcess {
    pub(crate) fn process(&self, call: &Call, grace: Duration) -> Result<Reply, CallError> {
        let broke = |error: &dyn std::fmt::Display| CallError::Broke(error.to_string());
        let artefacts = call
            .artefacts
            .as_deref()
            .map(open)
            .transpose()
            .map_err(|error| broke(&error))?;
        let mut inputs = Inputs::new();
        for (name, mask) in &call.inputs {
            inputs.add(name, mask.clone());
        }
        let began = Instant::now();
        let cancel = call.cancel.clone().with_deadline(began + call.deadline);
        let context = Context {
            limits: &Limits::default(),
            cancel: &cancel,
            artefacts: artefacts.as_ref(),
        };
        let work = || run_checked(self.operation.as_ref(), &inputs, &call.parameters, &context);
        let caught = |work: &(dyn Fn() -> _ + Sync)| catch_unwind(AssertUnwindSafe(work));
        let outcome = match call.threads {
            Some(threads) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.map_err(|error| broke(&error))?.install(|| caught(&work))
            }
            None => caught(&work),
        };
        let took = began.elapsed();
        if took > call.deadline + grace {
            return Err(CallError::Late {
                took,
                deadline: call.deadline,
            });
        }
        match outcome {
            Ok(Ok(outcome)) => Ok(reply(outcome)),
            Ok(Err(error)) if error.code() == ErrorCode::Internal => Err(CallError::Reply(error.to_string())),
            Ok(Err(error)) => Err(CallError::Refused {
                code: error.code(),
                message: error.to_string(),
                is_coded: true,
            }),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(CallError::Broke(format!("a panic: {}", text.unwrap_or_default())))
            }
        }
    }
}

fn open(path: &Path) -> std::io::Result<Artefacts> {
    let folder = Dir::open_ambient_dir(path, ambient_authority())?;
    Ok(Artefacts::new(folder, path))
}

fn reply(outcome: Outcome) -> Reply {
    let artefacts = outcome.artefacts.into_iter();
    Reply {
        masks: outcome.masks,
        measurements: outcome.measurements,
        artefacts: artefacts.map(|artefact| (artefact.name, artefact.path)).collect(),
        encoded: Vec::new(),
    }
}
