//! Runs the cases, one after another, each on a thread of its own that may be left behind.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nephrite_kernel::MaskOperation;
use nephrite_kernel::grpc::{RemoteService, RemoteSettings};
use nephrite_root::Root;
use nephrite_types::CancelToken;
use tokio::runtime::Handle;

use crate::kit::Kit;
use crate::stop::Stop;
use crate::subject::{InProcess, Service, Subject};
use crate::{CASES, Case, KitError, Options, Report, Row, Scope, Verdict};

/// The case that is about the description; the others need it.
const DESCRIBES: &str = "describes_itself";
/// The case that is tried even if the service seems to be gone.
const ALIVE: &str = "stays_alive";

/// Checks an operation in this process. Cases that need a service are skipped.
///
/// # Errors
/// [`KitError`] if `options` do not fit.
pub fn check_operation(operation: Arc<dyn MaskOperation>, options: &Options) -> Result<Report, KitError> {
    let description = operation.description().clone();
    check_names(&[&description], options)?;
    let subject = format!("{} {}", description.name, description.version);
    let kit = Kit::new(Subject::InProcess(InProcess { operation }), description, options)?;
    Ok(Report {
        subject,
        rows: rows(&Arc::new(kit)),
    })
}

/// Checks a service at an address such as `http://127.0.0.1:7445`, all its operations or the one that the options name.
///
/// # Errors
/// [`KitError`] if nobody answers there, or if `options` do not fit.
pub async fn check_service(endpoint: &str, options: &Options) -> Result<Report, KitError> {
    let service = Service::new(endpoint, Handle::current())?;
    let (endpoint, options) = (endpoint.to_owned(), options.clone());
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = send.send(check(&service, &endpoint, &options)); // nobody waits if the caller was dropped
    });
    receive
        .await
        .expect("the thread sends, or panics, which is a bug of the kit")
}

fn check(service: &Service, endpoint: &str, options: &Options) -> Result<Report, KitError> {
    let began = Instant::now();
    if let Err(error) = service.describe()
        && let crate::subject::CallError::Broke(reason) = error
    {
        return Err(KitError::Unavailable {
            endpoint: endpoint.to_owned(),
            reason,
        });
    }
    // As the core would ask, so that what passes here passes there.
    let remote = RemoteService::new(RemoteSettings {
        name: "service".to_owned(),
        endpoint: endpoint.to_owned(),
        timeout: Duration::from_secs(5),
        root: Arc::new(Root::filesystem()),
        exchange_folder: None,
    });
    let asked = || remote.describe_again(&CancelToken::new());
    let fault = match (asked(), asked()) {
        (Ok(first), Ok(second)) if first == second => {
            return check_operations(service, &first, endpoint, options);
        }
        (Ok(_), Ok(_)) => "it says another thing when it is asked again".to_owned(),
        (Err(error), _) | (_, Err(error)) => error.to_string(),
    };
    let skipped = Verdict::Skipped(format!("{DESCRIBES} did not pass"));
    let rows = CASES.iter().map(|case| Row {
        operation: String::new(),
        case: case.name,
        verdict: if case.name == DESCRIBES {
            Verdict::Failed(fault.clone())
        } else {
            skipped.clone()
        },
        seconds: if case.name == DESCRIBES {
            began.elapsed().as_secs_f64()
        } else {
            0.0
        },
    });
    Ok(Report {
        subject: endpoint.to_owned(),
        rows: rows.collect(),
    })
}

fn check_operations(
    service: &Service,
    description: &nephrite_kernel::ServiceDescription,
    endpoint: &str,
    options: &Options,
) -> Result<Report, KitError> {
    let wanted = |name: &str| options.operation.as_ref().is_none_or(|wanted| wanted == name);
    let operations: Vec<_> = description
        .operations
        .iter()
        .filter(|op| wanted(&op.name))
        .collect();
    if let (true, Some(name)) = (operations.is_empty(), &options.operation) {
        return Err(KitError::UnknownOperation {
            name: name.clone(),
            known: description.operations.iter().map(|op| op.name.clone()).collect(),
        });
    }
    check_names(&operations, options)?;
    let mut all = Vec::new();
    for operation in operations {
        let subject = Subject::Service(Box::new(service.of_operation(&operation.name)));
        let kit = Kit::new(subject, operation.clone(), options)?;
        all.extend(rows(&Arc::new(kit)));
    }
    Ok(Report {
        subject: format!("{} {} at {endpoint}", description.name, description.version),
        rows: all,
    })
}

fn check_names(
    operations: &[&nephrite_kernel::OperationDescription],
    options: &Options,
) -> Result<(), KitError> {
    let known = |name: &str| {
        operations
            .iter()
            .flat_map(|op| &op.parameters)
            .any(|spec| spec.name == name)
    };
    match options.set.iter().find(|(name, _)| !known(name)) {
        Some((name, _)) => Err(KitError::UnknownParameter { name: name.clone() }),
        None => Ok(()),
    }
}

/// All cases on one operation.
fn rows(kit: &Arc<Kit>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut gone: Option<&str> = None;
    for case in CASES {
        let began = Instant::now();
        let passed = |need: &&&str| {
            rows.iter()
                .any(|row| row.case == **need && row.verdict == Verdict::Passed)
        };
        let verdict = if let (Some(last), true) = (gone, case.name != ALIVE) {
            Verdict::Skipped(format!("the service is gone since {last}"))
        } else if let Some(need) = case.needs.iter().find(|need| !passed(need)) {
            Verdict::Skipped(format!("{need} did not pass"))
        } else if case.scope == Scope::Service && kit.service().is_err() {
            Verdict::Skipped("needs a service".to_owned())
        } else {
            run(kit, case)
        };
        if let (Verdict::Failed(_), None, Ok(service)) = (&verdict, gone, kit.service())
            && service.describe().is_err()
        {
            gone = Some(case.name);
        }
        rows.push(Row {
            operation: kit.description.name.clone(),
            case: case.name,
            verdict,
            seconds: began.elapsed().as_secs_f64(),
        });
    }
    rows
}

fn run(kit: &Arc<Kit>, case: &'static Case) -> Verdict {
    let (send, receive) = channel();
    let shared = kit.clone();
    std::thread::spawn(move || {
        let result = (case.run)(&shared);
        drop(shared); // the last one removes the kit's folders
        let _ = send.send(result); // nobody waits any more if the time was up
    });
    let limit = kit.time_limit();
    match receive.recv_timeout(limit) {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(Stop::Failed(reason))) => Verdict::Failed(reason),
        Ok(Err(Stop::Skipped(reason))) => Verdict::Skipped(reason),
        Err(RecvTimeoutError::Timeout) => {
            Verdict::Failed(format!("no end within {:.0} s", limit.as_secs_f64()))
        }
        Err(RecvTimeoutError::Disconnected) => Verdict::Failed("a panic in the kit".to_owned()),
    }
}
