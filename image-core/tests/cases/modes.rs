//! One case in the three placements gives the same bytes.

use nephrite_image_core::case::{CaseServices, ServiceSettings, StepPlace, run_case};
use nephrite_types::CancelToken;

use crate::patient::{ARTERIES, Around, KIDNEYS, Patient, RecordedEvents, URETERS, operations_at, owner};

/// The same request in every placement: every file of the result folder is equal, byte by byte, and only what the
/// placement is about differs.
#[test]
fn the_three_modes_give_the_same_bytes() {
    let patient = Patient::new();
    let mut around = Around::new();
    let root = patient.root.path();
    let operations = operations_at(around.mask_services(root));
    let owners = [("kidney", KIDNEYS), ("vessel", ARTERIES), ("ureter", URETERS)];
    let cores = owners.map(|(name, model)| owner(name, around.core(root, |_| {}), model));

    let monolith = ServiceSettings::default();
    let hybrid = ServiceSettings {
        operations: operations.clone(),
        ..monolith.clone()
    };
    let microservices = ServiceSettings {
        cores: cores.to_vec(),
        ..hybrid.clone()
    };
    let run = |name: &str, settings: &ServiceSettings| {
        let core = patient.core();
        let services = CaseServices::new(settings, core.root());
        let request = patient.request(name);
        let report = run_case(
            &core,
            &services,
            &request,
            &RecordedEvents::default(),
            &CancelToken::new(),
        )
        .unwrap();
        (report.record, patient.files(name))
    };
    let (monolith, files) = run("monolith", &monolith);
    let expected = [
        "abdomen.nii.gz",
        "kidneys.nii.gz",
        "look/image.nii.gz",
        "look/mask.nii.gz",
        "look/overlay.png",
        "numbers/preview.png",
        "numbers/sample.nii.gz",
        "numbers/statistics.csv",
        "numbers/statistics.json",
    ];
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    let voxels: u64 = monolith.masks[0].labels.iter().map(|label| label.voxels).sum();
    assert!(voxels > 1000, "{:?}", monolith.masks);
    assert_eq!(
        (monolith.counters.scan_reads, monolith.counters.wire_bytes_sent),
        (3, 0)
    );
    assert_eq!(monolith.processes.len(), 1);

    for (name, settings, n_reads, n_processes) in
        [("hybrid", &hybrid, 3, 1), ("microservices", &microservices, 3, 4)]
    {
        let (record, others) = run(name, settings);
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            others.keys().collect::<Vec<_>>()
        );
        for (file, bytes) in &files {
            assert!(*bytes == others[file], "{name}: {file} differs");
        }
        assert_eq!(record.masks, monolith.masks);
        let counters = record.counters;
        assert_eq!(counters.scan_reads, n_reads, "{name}");
        assert_eq!(counters.scan_bytes_read, monolith.counters.scan_bytes_read);
        assert_eq!(counters.preprocessings, 3);
        assert_eq!(counters.exchange_files, 0, "nothing intermediate is written");
        assert!(counters.wire_bytes_sent > 0 && counters.wire_bytes_received > 0);
        assert!(counters.largest_message_bytes <= 1 << 20, "{counters:?}");
        assert_eq!(record.processes.len(), n_processes);
        let place = |id: &str| {
            let step = record.steps.iter().find(|step| step.id == id).unwrap();
            match step.place.clone().unwrap() {
                StepPlace::InProcess => "here".to_owned(),
                StepPlace::Service { name, .. } => format!("service {name}"),
                StepPlace::Core { name, .. } => format!("core {name}"),
            }
        };
        assert!(place("all").starts_with("service "), "{}", place("all"));
        let owner = |core: &str| match name {
            "hybrid" => "here".to_owned(),
            _ => format!("core {core}"),
        };
        assert_eq!(place("arteries"), owner("vessel"));
        // the reference's scan is in the core that segments it
        assert_eq!(place("look"), owner("kidney"));
    }
    let left: Vec<_> = std::fs::read_dir(patient.path("exchange")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
