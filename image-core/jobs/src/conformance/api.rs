//! What callers see.

use std::collections::BTreeSet;
use std::time::Duration;

use nephrite_job_state::{Filter, JobId, JobState, ListFault, NewJob, Priority, Query};
use nephrite_types::{Coded as _, ErrorCode};

use super::rig::{Rig, lease, new_job, result, settings, state, submit, worker};
use crate::engine::JobEngine;
use crate::error::JobError;
use crate::settings::JobSettings;

pub(super) fn the_same_key_is_the_same_job(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let first = engine.submit(new_job("a")).unwrap();
    assert!(first.is_new);
    let again = engine.submit(new_job("a")).unwrap();
    assert!(!again.is_new);
    assert_eq!(again.job.id, first.job.id);
    let other = NewJob {
        request: "{}".into(),
        ..new_job("a")
    };
    let refused = engine.submit(other).unwrap_err();
    assert!(
        matches!(&refused, JobError::KeyTaken { key, .. } if key == "a"),
        "{refused}"
    );
    assert_eq!(refused.code(), ErrorCode::AlreadyExists);
    let of_another_tenant = NewJob {
        tenant: "b".into(),
        output: "results/other".into(),
        ..new_job("a")
    };
    assert_ne!(engine.submit(of_another_tenant).unwrap().job.id, first.job.id);
    // one that runs, and one that has ended, are the same job too
    let held = lease(&*engine, &worker("w"));
    assert_eq!(engine.submit(new_job("a")).unwrap().job.state, JobState::Running);
    engine.complete(&held, result()).unwrap();
    let done = engine.submit(new_job("a")).unwrap();
    assert_eq!((done.is_new, done.job.state), (false, JobState::Succeeded));
}

pub(super) fn a_result_folder_is_of_one_job_at_a_time(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let same = NewJob {
        output: "results/a".into(),
        ..new_job("b")
    };
    let first = submit(&*engine, &["a"]).remove(0);
    let refused = engine.submit(same.clone()).unwrap_err();
    assert!(
        matches!(&refused, JobError::OutputTaken { id, .. } if *id == first),
        "{refused}"
    );
    let unknown = engine.get(&JobId::of("", "b")).unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::NotFound, "it was not taken");
    engine.cancel(&first).unwrap();
    let second = engine.submit(same).unwrap().job.id;
    let refused = engine.retry(&first).unwrap_err();
    assert!(
        matches!(&refused, JobError::OutputTaken { id, .. } if *id == second),
        "{refused}"
    );
}

pub(super) fn bad_jobs_are_refused_by_name(rig: &dyn Rig) {
    let engine = rig.open(JobSettings {
        tenants: vec!["urology".into()],
        capabilities: vec!["cpu".into()],
        ..settings()
    });
    let good = || NewJob {
        tenant: "urology".into(),
        ..new_job("a")
    };
    let with = |change: &dyn Fn(&mut NewJob)| {
        let mut new = good();
        change(&mut new);
        new
    };
    let bad: [(&str, NewJob); 7] = [
        ("key", with(&|new| new.key = "k".repeat(257))),
        ("key", with(&|new| new.key = String::new())),
        ("key", with(&|new| new.key = "a\nb".into())),
        ("tenant", with(&|new| new.tenant = "surgery".into())),
        ("tenant", with(&|new| new.tenant = String::new())),
        (
            "capability",
            with(&|new| new.needs.capability = Some("cuda".into())),
        ),
        ("deadline", with(&|new| new.deadline_unix_ms = Some(1))),
    ];
    for (part, new) in bad {
        let refused = engine.submit(new).unwrap_err();
        assert!(
            matches!(&refused, JobError::New { field, .. } if *field == part),
            "{part}: {refused}"
        );
        assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    }
    engine.submit(good()).unwrap();
    let call = NewJob {
        attached: true,
        ..new_job("a call names no tenant")
    };
    engine.submit(call).unwrap();
}

pub(super) fn unknown_jobs_are_said_to_be_unknown(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let id = JobId::of("", "nobody");
    let calls = [
        ("get", engine.get(&id).map(drop)),
        ("cancel", engine.cancel(&id).map(drop)),
        ("retry", engine.retry(&id).map(drop)),
        ("purge", engine.purge(&id).map(drop)),
        ("watch", engine.watch(&id, 0, Duration::ZERO).map(drop)),
    ];
    for (name, called) in calls {
        let refused = called.unwrap_err();
        assert!(matches!(refused, JobError::Unknown { .. }), "{name}: {refused}");
    }
}

fn query(filter: Filter, page_size: usize, token: Option<String>) -> Query {
    Query {
        filter,
        page_size,
        token,
    }
}

fn keys(engine: &dyn JobEngine, filter: &Filter, page_size: usize) -> Vec<String> {
    let (mut keys, mut token) = (Vec::new(), None);
    loop {
        let page = engine.list(&query(filter.clone(), page_size, token)).unwrap();
        assert!(page.jobs.len() <= page_size);
        keys.extend(page.jobs.into_iter().map(|job| job.new.key));
        token = page.next;
        if token.is_none() {
            return keys;
        }
    }
}

pub(super) fn lists_have_filters_and_pages(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let ids = submit(&*engine, &["a", "b", "c", "d", "e"]);
    engine.cancel(&ids[1]).unwrap();
    let urgent = NewJob {
        priority: Priority::High,
        tenant: "t".into(),
        ..new_job("f")
    };
    engine.submit(urgent).unwrap();
    for page_size in [1, 2, 3, 1000] {
        assert_eq!(
            keys(&*engine, &Filter::default(), page_size),
            ["f", "e", "d", "c", "b", "a"]
        );
    }
    let of = |states: &[JobState], tenant: Option<&str>, priority| Filter {
        states: states.iter().copied().collect::<BTreeSet<_>>(),
        tenant: tenant.map(str::to_owned),
        priority,
    };
    assert_eq!(keys(&*engine, &of(&[JobState::Cancelled], None, None), 2), ["b"]);
    assert_eq!(keys(&*engine, &of(&[], Some("t"), None), 2), ["f"]);
    assert_eq!(
        keys(&*engine, &of(&[], Some(""), None), 2),
        ["e", "d", "c", "b", "a"]
    );
    assert_eq!(keys(&*engine, &of(&[], None, Some(Priority::High)), 2), ["f"]);
    assert_eq!(
        keys(&*engine, &of(&[JobState::Dead], None, None), 2),
        Vec::<String>::new()
    );

    let token = engine
        .list(&query(Filter::default(), 2, None))
        .unwrap()
        .next
        .unwrap();
    let refused = |filter: Filter, page_size, token: Option<&str>| match engine.list(&query(
        filter,
        page_size,
        token.map(str::to_owned),
    )) {
        Err(JobError::List(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(of(&[], Some("t"), None), 2, Some(&token)),
        ListFault::OtherList
    );
    for bad in ["", "x", "-", "../..", &token[1..], &token.replace('-', "")] {
        assert_eq!(
            refused(Filter::default(), 2, Some(bad)),
            ListFault::Token,
            "{bad}"
        );
    }
    assert!(matches!(
        refused(Filter::default(), 0, None),
        ListFault::PageSize { found: 0 }
    ));
    assert!(matches!(
        refused(Filter::default(), 1001, None),
        ListFault::PageSize { .. }
    ));
}

pub(super) fn a_full_queue_refuses(rig: &dyn Rig) {
    let engine = rig.open(JobSettings {
        max_queued: 3,
        ..settings()
    });
    let ids = submit(&*engine, &["a", "b", "c"]);
    let refused = engine.submit(new_job("d")).unwrap_err();
    assert!(matches!(refused, JobError::Full { limit: 3 }), "{refused}");
    assert_eq!(refused.code(), ErrorCode::Overloaded);
    assert!(engine.get(&JobId::of("", "d")).is_err(), "it was not taken");
    assert!(
        !engine.submit(new_job("a")).unwrap().is_new,
        "one that is there is no more"
    );
    engine.cancel(&ids[0]).unwrap();
    assert!(engine.submit(new_job("d")).unwrap().is_new);
    assert!(matches!(
        engine.retry(&ids[0]).unwrap_err(),
        JobError::Full { .. }
    ));
}

pub(super) fn a_job_that_was_done_before_ends_at_once(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let mut answer = result();
    answer.reused_from = Some(JobId::of("", "earlier"));
    let answered = engine.answer(new_job("a"), answer.clone()).unwrap();
    assert!(answered.is_new);
    assert_eq!(answered.job.state, JobState::Succeeded);
    assert_eq!(engine.get(&answered.job.id).unwrap().result, Some(answer.clone()));
    assert_eq!(answered.job.executions, 0);
    let watched = engine.watch(&answered.job.id, 0, Duration::ZERO).unwrap();
    assert!(watched.is_last(0));
    assert!(!engine.answer(new_job("a"), answer).unwrap().is_new);
    assert!(
        engine
            .lease(&worker("w"), &|_| true, Duration::ZERO)
            .unwrap()
            .is_none()
    );
}

pub(super) fn what_was_answered_is_there_after_a_restart(rig: &dyn Rig) {
    let engine = rig.open(settings());
    let ids = submit(&*engine, &["a", "b", "c", "d"]);
    let held = lease(&*engine, &worker("w"));
    engine.complete(&held, result()).unwrap();
    engine.cancel(&ids[1]).unwrap();
    let before: Vec<_> = ids.iter().map(|id| engine.get(id).unwrap()).collect();
    drop(engine);
    let engine = rig.open(settings());
    let after: Vec<_> = ids.iter().map(|id| engine.get(id).unwrap()).collect();
    assert_eq!(after, before);
    assert_eq!(engine.places(&ids), [None, None, Some(1), Some(2)]);
    let next = lease(&*engine, &worker("w"));
    assert_eq!(next.job.id, ids[2], "in their order");
    assert_eq!(state(&*engine, &ids[3]), JobState::Queued);
}
