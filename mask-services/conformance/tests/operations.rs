//! Operations of ours, in this process and as services.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod support;

use std::sync::Arc;

use nephrite_conformance::{CASES, KitError, Options, Report, Verdict, check_operation, check_service};
use nephrite_kernel::MaskOperation;
use nephrite_kernel::test_util::Identity;
use support::{Place, runtime, serve};

fn n_skipped(report: &Report) -> usize {
    let skipped = |verdict: &Verdict| matches!(verdict, Verdict::Skipped(_));
    report.rows.iter().filter(|row| skipped(&row.verdict)).count()
}

/// Both ways; `set` is for the operation of this name.
#[track_caller]
fn check(operation: Arc<dyn MaskOperation>, set: &[(&str, &str)]) {
    let set: Vec<(String, String)> = set
        .iter()
        .map(|(name, text)| (name.to_string(), text.to_string()))
        .collect();
    let place = Place::new();
    let options = Options {
        set,
        ..place.options()
    };
    let report = check_operation(operation.clone(), &options).unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!(report.rows.len(), CASES.len());

    let runtime = runtime();
    let endpoint = serve(&runtime, vec![operation], place.root());
    let report = runtime.block_on(check_service(&endpoint, &options)).unwrap();
    assert!(report.passed(), "{report}");
    assert!(n_skipped(&report) <= 2, "{report}"); // without parameters, none can be wrong
    assert!(place.is_clean());
}

#[test]
fn identity_passes() {
    check(Arc::new(Identity::default()), &[]);
}

#[test]
fn merge_passes() {
    check(Arc::new(nephrite_merge::Merge::new()), &[]);
}

#[test]
fn cleanup_passes() {
    check(Arc::new(nephrite_cleanup::Cleanup::new()), &[]);
}

#[test]
fn cleanup_passes_with_every_kind_of_rule() {
    let set = [
        ("keep_largest", "1"),
        ("min_volume_mm3", "10"),
        ("fill_holes", "volume"),
        ("close_mm", "1.5"),
    ];
    check(Arc::new(nephrite_cleanup::Cleanup::new()), &set);
}

#[test]
fn compare_passes() {
    check(Arc::new(nephrite_compare::Compare::new()), &[]);
    check(Arc::new(nephrite_compare::Compare::new()), &[("match", "id")]);
}

#[test]
fn sample_passes() {
    check(Arc::new(nephrite_sample::Sample::new()), &[]);
}

#[test]
fn all_operations_of_a_service_are_checked() {
    let place = Place::new();
    let runtime = runtime();
    let operations: Vec<Arc<dyn MaskOperation>> = vec![
        Arc::new(Identity::default()),
        Arc::new(nephrite_merge::Merge::new()),
    ];
    let endpoint = serve(&runtime, operations, place.root());
    let options = Options {
        set: vec![("wait_seconds".to_owned(), "0".to_owned())],
        ..place.options()
    };
    let report = runtime.block_on(check_service(&endpoint, &options)).unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!(report.rows.len(), 2 * CASES.len());
    let only = Options {
        operation: Some("merge".to_owned()),
        ..place.options()
    };
    let report = runtime.block_on(check_service(&endpoint, &only)).unwrap();
    assert!(report.rows.iter().all(|row| row.operation == "merge"));
}

#[test]
fn cases_that_need_a_folder_say_so_without_one() {
    let place = Place::new();
    let runtime = runtime();
    let endpoint = serve(&runtime, vec![Arc::new(Identity::default())], place.root());
    let options = Options {
        exchange_folder: None,
        ..place.options()
    };
    let report = runtime.block_on(check_service(&endpoint, &options)).unwrap();
    assert!(report.passed(), "{report}");
    let reason = |case: &str| {
        report
            .rows
            .iter()
            .find(|row| row.case == case)
            .unwrap()
            .verdict
            .clone()
    };
    for case in [
        "inline_and_path_agree",
        "path_outside_root_refused",
        "large_mask",
        "corrupt_file_refused",
    ] {
        assert_eq!(
            reason(case),
            Verdict::Skipped("needs an exchange folder".to_owned()),
            "{case}"
        );
    }
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let place = Place::new();
    let runtime = runtime();
    let endpoint = serve(&runtime, vec![Arc::new(Identity::default())], place.root());
    let check = |endpoint: &str, options: &Options| runtime.block_on(check_service(endpoint, options));
    let set = |name: &str, text: &str| Options {
        set: vec![(name.to_owned(), text.to_owned())],
        ..place.options()
    };
    let found = check(&endpoint, &set("nothing", "1"));
    assert!(
        matches!(found, Err(KitError::UnknownParameter { .. })),
        "{found:?}"
    );
    let found = check(&endpoint, &set("wait_seconds", "x"));
    assert!(matches!(found, Err(KitError::Value { .. })), "{found:?}");
    let other = Options {
        operation: Some("other".to_owned()),
        ..place.options()
    };
    let found = check(&endpoint, &other);
    assert!(
        matches!(found, Err(KitError::UnknownOperation { .. })),
        "{found:?}"
    );
    for wrong in ["", "127.0.0.1:1", "https://a:1", "http://"] {
        let found = check(wrong, &place.options());
        assert!(
            matches!(found, Err(KitError::Endpoint { .. })),
            "{wrong}: {found:?}"
        );
    }
    let began = std::time::Instant::now();
    let found = check("http://127.0.0.1:1", &place.options());
    assert!(matches!(found, Err(KitError::Unavailable { .. })), "{found:?}");
    assert!(began.elapsed().as_secs() < 5, "a dead service fails fast");
}
