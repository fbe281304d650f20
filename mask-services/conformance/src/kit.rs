//! What every case is given: the operation under test, folders, and checks of what it answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nephrite_kernel::{
    CancelToken, InputLabels, Inputs, Mask, OperationDescription, OperationError, Outcome, ParameterValue,
    Parameters, check_outcome, check_output_labels, expected_labels,
};
use nephrite_proto::status::ERROR_CODE_KEY;
use nephrite_types::ErrorCode;
use tempfile::TempDir;

use crate::stop::{Stop, ensure};
use crate::subject::{Call, CallError, Reply, Service, Subject};
use crate::{KitError, Options, masks};

/// What a case works with: one operation, and how to call it.
pub(crate) struct Kit {
    pub(crate) subject: Subject,
    pub(crate) description: OperationDescription,
    pub(crate) options: Options,
    /// Values that every ordinary request gives.
    set: BTreeMap<String, ParameterValue>,
    /// A folder beneath the exchange folder, or, in this process, any.
    folder: Option<TempDir>,
    /// A folder that the service must not see.
    outside: TempDir,
    huge: OnceLock<Arc<Mask>>,
    ordinary: OnceLock<Reply>,
}

impl Kit {
    pub(crate) fn new(
        subject: Subject,
        description: OperationDescription,
        options: &Options,
    ) -> Result<Kit, KitError> {
        let mut set = BTreeMap::new();
        for (name, text) in &options.set {
            // Of another operation of the same service, maybe.
            if let Some(spec) = description.parameters.iter().find(|spec| spec.name == *name) {
                let value = spec.kind.parse(text).map_err(|expected| KitError::Value {
                    name: name.clone(),
                    found: text.clone(),
                    expected,
                })?;
                set.insert(name.clone(), value);
            }
        }
        let new_folder = |parent: &Path| {
            let made = tempfile::Builder::new()
                .prefix("nephrite-check-")
                .tempdir_in(parent);
            let made = made.and_then(|made| {
                // A service of another user must be able to write there, if it may write beside it.
                let _ = std::fs::set_permissions(made.path(), parent.metadata()?.permissions());
                Ok(made)
            });
            made.map_err(|source| KitError::Folder {
                path: parent.to_owned(),
                source,
            })
        };
        let parent = match (&subject, &options.exchange_folder) {
            (_, Some(folder)) => Some(std::path::absolute(folder).map_err(|source| KitError::Folder {
                path: folder.clone(),
                source,
            })?),
            (Subject::InProcess(_), None) => Some(std::env::temp_dir()),
            (Subject::Service(_), None) => None,
        };
        Ok(Kit {
            subject,
            description,
            set,
            folder: parent.as_deref().map(new_folder).transpose()?,
            outside: new_folder(&options.outside_folder)?,
            options: options.clone(),
            huge: OnceLock::new(),
            ordinary: OnceLock::new(),
        })
    }

    /// The mask for every required input, the parameters that were set, and all folders there are.
    pub(crate) fn call(&self, mask: &Arc<Mask>) -> Call {
        let inputs = self.description.inputs.iter().filter(|spec| spec.required);
        Call {
            inputs: inputs.map(|spec| (spec.name.clone(), mask.clone())).collect(),
            parameters: self.set.clone(),
            deadline: self.options.deadline,
            cancel: CancelToken::new(),
            artefacts: None,
            exchange: self.folder.as_ref().map(|folder| folder.path().to_owned()),
            threads: None,
        }
    }

    pub(crate) fn process(&self, call: &Call) -> Result<Reply, CallError> {
        self.subject.process(call, self.options.grace)
    }

    /// Processes a mask; its result must keep every promise of the description.
    pub(crate) fn result_of(&self, mask: &Arc<Mask>) -> Result<Reply, Stop> {
        let call = self.call(mask);
        let reply = self
            .process(&call)
            .map_err(|error| Stop::Failed(error.to_string()))?;
        self.check_promises(&call, &reply)?;
        Ok(reply)
    }

    /// The result for [`masks::ordinary`]; computed once.
    pub(crate) fn ordinary(&self) -> Result<&Reply, Stop> {
        if let Some(reply) = self.ordinary.get() {
            return Ok(reply);
        }
        let reply = self.result_of(&masks::ordinary())?;
        Ok(self.ordinary.get_or_init(|| reply))
    }

    pub(crate) fn huge(&self) -> &Arc<Mask> {
        self.huge.get_or_init(masks::huge)
    }

    /// Names, grids, and labels of the outputs.
    pub(crate) fn check_promises(&self, call: &Call, reply: &Reply) -> Result<(), Stop> {
        self.check_grids(call, reply)?;
        self.check_labels(call, reply)
    }

    /// Names and grids of the outputs.
    pub(crate) fn check_grids(&self, call: &Call, reply: &Reply) -> Result<(), Stop> {
        check_outcome(&self.description, &inputs(call), &outcome(reply)).map_err(failed)
    }

    /// Labels of the outputs, as far as the description says which.
    pub(crate) fn check_labels(&self, call: &Call, reply: &Reply) -> Result<(), Stop> {
        let parameters = Parameters::check(&self.description.parameters, &call.parameters).map_err(failed)?;
        let labels = InputLabels::of(&inputs(call));
        let expected = expected_labels(&self.description, &parameters, &labels).map_err(failed)?;
        check_output_labels(&self.description, &expected, &outcome(reply)).map_err(failed)
    }

    /// Fails unless the answer is a refusal that says what is wrong, and whose fault it is.
    pub(crate) fn expect_words(&self, what: &str, answer: Result<Reply, CallError>) -> Result<(), Stop> {
        let Err(CallError::Refused {
            message, is_coded, ..
        }) = answer
        else {
            return Ok(()); // told by another case
        };
        ensure(!message.trim().is_empty(), || {
            format!("{what}: refused without a message")
        })?;
        ensure(message.trim_end() == message, || {
            format!(
                "{what}: the message ends in white space, with which some clients show nothing: {message:?}"
            )
        })?;
        ensure(is_coded, || {
            format!("{what}: refused without {ERROR_CODE_KEY} in the trailing metadata")
        })
    }

    /// Fails unless the answer is a refusal with one of these codes.
    pub(crate) fn expect_refusal(
        &self,
        what: &str,
        answer: Result<Reply, CallError>,
        codes: &[ErrorCode],
    ) -> Result<(), Stop> {
        let expected: Vec<&str> = codes.iter().map(|code| code.name()).collect();
        let expected = expected.join(" or ");
        match answer {
            Ok(_) => Err(Stop::Failed(format!("{what}: accepted, expected {expected}"))),
            Err(CallError::Refused { code, message, .. }) => ensure(codes.contains(&code), || {
                format!("{what}: refused with {code} ({message}), expected {expected}")
            }),
            Err(error) => Err(Stop::Failed(format!("{what}: {error}, expected {expected}"))),
        }
    }

    /// The service; only it can be sent messages.
    pub(crate) fn service(&self) -> Result<&Service, Stop> {
        match &self.subject {
            Subject::Service(service) => Ok(service),
            Subject::InProcess(_) => Err(Stop::Skipped("needs a service".to_owned())),
        }
    }

    /// A folder that the operation may use.
    pub(crate) fn folder(&self) -> Result<&Path, Stop> {
        match &self.folder {
            Some(folder) => Ok(folder.path()),
            None => Err(Stop::Skipped("needs an exchange folder".to_owned())),
        }
    }

    /// A folder that it must not use.
    pub(crate) fn outside(&self) -> &Path {
        self.outside.path()
    }

    /// No case may take longer: a few calls, each with its deadline.
    pub(crate) fn time_limit(&self) -> Duration {
        (self.options.deadline + self.options.grace) * 4 + Duration::from_secs(30)
    }
}

fn inputs(call: &Call) -> Inputs {
    let mut inputs = Inputs::new();
    for (name, mask) in &call.inputs {
        inputs.add(name, mask.clone());
    }
    inputs
}

fn outcome(reply: &Reply) -> Outcome {
    Outcome {
        masks: reply.masks.clone(),
        measurements: reply.measurements.clone(),
        ..Outcome::default()
    }
}

fn failed(error: OperationError) -> Stop {
    Stop::Failed(error.to_string())
}
