//! A disk that is full when a case writes its results, shown with a limit on the size of files: the system refuses the
//! write in the same way. The limit holds for the whole process, hence a test program of its own with one test.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too
#![allow(dead_code)] // not all helpers are needed here

#[path = "cases/patient.rs"]
mod patient;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nephrite_types::{Coded, ErrorCode};
use patient::{KIDNEYS, Patient};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_full_disk_leaves_no_result_folder_and_the_next_case_runs() {
    let patient = Patient::new();
    let core = patient.core();
    let mut request = patient.request("full");
    let text = format!(
        "[[models]]\nid = 'kidneys'\nmodel = '{KIDNEYS}'\nphases = ['portal_venous']\nno_mirroring = true\n\
         [[samples]]\nid = 'look'\nstep = 'kidneys'\n[[save]]\nstep = 'kidneys'\nfile = 'kidneys.nii'\n"
    );
    request.pipeline = patient.pipeline("kidneys.toml", &text);
    // With a handler the signal does not end the process, and the write fails.
    let signalled = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::clone(&signalled)).unwrap();
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = |current| setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
    limit(Some(20_000));
    let error = patient.run_here(&core, &request).unwrap_err();
    limit(maximum);
    assert!(signalled.load(Ordering::Relaxed), "the limit was never reached");
    assert_eq!(error.code(), ErrorCode::Environment, "{error}");
    assert!(error.to_string().contains("step "), "{error}");
    patient.assert_nothing_left("full");
    request.output = "results/next".into();
    patient.run_here(&core, &request).unwrap();
    assert!(patient.files("next").contains_key("kidneys.nii"));
}
