//! A case that was done already is answered from its result.

use std::fs;
use std::time::Instant;

use nephrite_proto::v1::{JobState, SubmitRequest};
use serde_json::Value;

use crate::place::{Engine, Place, short_case, submission};

#[test]
fn an_equal_case_is_answered_at_once_and_says_so() {
    for engine in [Engine::Sqlite, Engine::Nats] {
        let Some(place) = Place::new(engine) else { continue };
        let server = place.server();
        let _worker = (engine == Engine::Nats).then(|| place.worker("worker", &[]));
        let reusing = |key: &str, output: &str| SubmitRequest {
            reuse: true,
            ..submission(key, short_case(output))
        };
        let first = place.submit(&server, &reusing("first", "first"));
        let first = place.ended(&server, &first.id);
        assert_eq!((first.state(), first.executions), (JobState::Succeeded, 1));
        let record = |output: &str| -> Value {
            let text = fs::read(place.patient.path(&format!("results/{output}/record.json"))).unwrap();
            serde_json::from_slice(&text).unwrap()
        };

        // Another name, another folder, the scan somewhere else: the same content.
        fs::copy(
            place.patient.path("scans/portal_venous.nii.gz"),
            place.patient.path("scans/copy.nii.gz"),
        )
        .unwrap();
        let mut elsewhere = reusing("second", "second");
        elsewhere.request.as_mut().unwrap().scans[0].path = "scans/copy.nii.gz".into();
        let began = Instant::now();
        let second = place.submit(&server, &elsewhere);
        println!("{engine:?}: answered within {:.0?}", began.elapsed());
        assert_eq!(second.state(), JobState::Succeeded, "at once");
        assert_eq!((second.executions, &second.reused_from), (0, &first.id));
        assert_eq!(place.files("second"), place.files("first"));
        let written = record("second");
        assert_eq!(written["reused"]["job"], first.id.as_str());
        assert_eq!(written["job"]["id"], second.id.as_str());
        assert!(
            written["request"]["output"]
                .as_str()
                .unwrap()
                .ends_with("results/second")
        );
        assert!(record("first")["reused"].is_null());
        // The same key again is the same job, and that one's result serves as well.
        assert_eq!(place.submit(&server, &elsewhere).id, second.id);

        // A submission that is refused leaves no result behind.
        let refused = SubmitRequest {
            key: "k".repeat(300),
            ..reusing("", "refused")
        };
        place.try_submit(&server, &refused).unwrap_err();
        assert!(!place.patient.path("results/refused").exists());

        // Who does not ask for it gets a run; so does who asks for something else.
        let asked = place.submit(&server, &submission("third", short_case("third")));
        assert_eq!(place.ended(&server, &asked.id).executions, 1);
        let mut quick = reusing("quick", "quick");
        quick.request.as_mut().unwrap().profile = Some(nephrite_proto::v1::Profile::Quick.into());
        let quick = place.submit(&server, &quick);
        assert_eq!(place.ended(&server, &quick.id).executions, 1);

        // A file of the result was changed, in all results that there are: then it runs again.
        for output in ["first", "second", "third"] {
            fs::write(
                place.patient.path(&format!("results/{output}/kidneys.nii.gz")),
                "x",
            )
            .unwrap();
        }
        let again = place.submit(&server, &reusing("fourth", "fourth"));
        assert_eq!(place.ended(&server, &again.id).executions, 1);
        // The pipeline says something else.
        let text = fs::read_to_string(place.patient.path("short.toml")).unwrap();
        fs::write(place.patient.path("short.toml"), text.replace("= 50", "= 51")).unwrap();
        let changed = place.submit(&server, &reusing("fifth", "fifth"));
        assert_eq!(place.ended(&server, &changed.id).executions, 1);
        // A file of the model has changed.
        let dataset = place.patient.path(crate::patient::KIDNEYS).join("dataset.json");
        let text = fs::read_to_string(&dataset).unwrap();
        fs::write(&dataset, format!("{text}\n")).unwrap();
        let changed = place.submit(&server, &reusing("sixth", "sixth"));
        assert_eq!(place.ended(&server, &changed.id).executions, 1);
        // Nothing has changed since.
        let last = place.submit(&server, &reusing("seventh", "seventh"));
        assert_eq!(
            (last.state(), &last.reused_from),
            (JobState::Succeeded, &changed.id)
        );
        assert_eq!(place.files("seventh"), place.files("sixth"));
        assert_eq!(place.hidden(), Vec::<String>::new());
    }
}

/// Without a key, the job is that of the request and of the content of its files.
#[test]
fn a_job_without_a_key_is_that_of_its_content() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let server = place.server_without_worker();
    let submit = |output: &str| place.submit(&server, &submission("", short_case(output)));
    let first = submit("a");
    assert_eq!(first.key.len(), 64);
    assert_eq!(submit("a").id, first.id);
    let client = place.client(&server);
    let id = first.id.clone();
    place
        .runtime
        .block_on(client.cancel_job(nephrite_proto::v1::CancelRequest { id }))
        .unwrap();
    assert_ne!(submit("b").id, first.id);
    // Another patient's scan under the same name is another job.
    fs::copy(
        place.patient.path("scans/delayed.nii.gz"),
        place.patient.path("scans/portal_venous.nii.gz"),
    )
    .unwrap();
    assert_ne!(submit("a").id, first.id);
}
