//! Steps of a case share scans and network inputs, and give the same bytes when they cannot.

use nephrite_image_core::StepBudget;
use nephrite_image_core::WantedObjects;
use nephrite_image_core::case::CasePipeline;

use crate::patient::{KIDNEYS, Patient};

/// Five models of one recipe on one scan, by names that differ: read once, normalized and resampled once.
#[test]
fn models_of_one_recipe_share_scan_and_network_input() {
    let patient = Patient::new();
    let mut text = String::new();
    for n in 0..5 {
        // a copy is another model with the same plans
        let from = patient.path(KIDNEYS);
        let to = format!("models/Dataset91{n}_Copy/nnUNetTrainer__nnUNetPlans__3d_fullres");
        copy(&from, &patient.path(&to));
        text += &format!(
            "[[models]]\nid = 'm{n}'\nmodel = '{to}'\nphases = ['portal_venous']\nno_mirroring = true\n\
             tile_step_size = 1.0\n\
             [[save]]\nstep = 'm{n}'\nfile = 'm{n}.nii.gz'\n"
        );
    }
    let core = patient.core();
    let mut request = patient.request("five");
    request.pipeline = patient.pipeline("five.toml", &text);
    let record = patient.run_here(&core, &request).unwrap().record;
    let counters = record.counters;
    assert_eq!((counters.scan_reads, counters.scan_cache_hits), (1, 4));
    assert_eq!(
        (counters.preprocessings, counters.preprocessing_cache_hits),
        (1, 4)
    );
    assert_eq!((counters.model_loads, counters.model_cache_hits), (5, 0));
    let files = patient.files("five");
    assert!(files.values().all(|bytes| *bytes == files["m0.nii.gz"]));

    // the next case finds everything in memory
    request.output = "results/again".into();
    let again = patient.run_here(&core, &request).unwrap().record.counters;
    assert_eq!((again.scan_reads, again.scan_cache_hits), (0, 5));
    assert_eq!((again.preprocessings, again.preprocessing_cache_hits), (0, 5));
    assert_eq!((again.model_loads, again.weight_bytes_read), (0, 0));
    assert_eq!(patient.files("again"), files);
}

/// Enough for the process and each of the steps, not for two of them.
const ONE_STEP: u64 = 140_000_000;

/// With no room for volumes none stays, and with memory for one step at a time the others wait; the bytes are the same.
#[test]
fn without_a_budget_steps_still_run_and_nothing_stays() {
    let patient = Patient::new();
    let core = patient.core_with(StepBudget {
        max_volume_bytes: 0,
        max_networks: 1,
        max_memory_bytes: Some(ONE_STEP),
    });
    let first = patient.run_here(&core, &patient.request("tight")).unwrap().record;
    let again = patient.run_here(&core, &patient.request("again")).unwrap().record;
    assert!(first.counters.scan_reads >= 3 && again.counters.scan_reads >= 3);
    let roomy = patient.core();
    patient.run_here(&roomy, &patient.request("roomy")).unwrap();
    assert_eq!(patient.files("tight"), patient.files("roomy"));
    assert_eq!(patient.files("again"), patient.files("roomy"));
}

/// A list of models without a pipeline file.
#[test]
fn bare_models_save_their_masks() {
    let patient = Patient::new();
    let mut request = patient.request("bare");
    let bare = |model: &str, phase| nephrite_image_core::case::BareModel {
        model: model.into(),
        phase,
    };
    request.pipeline = CasePipeline::Models {
        models: vec![
            bare(KIDNEYS, Some(nephrite_types::Phase::PortalVenous)),
            bare(KIDNEYS, Some(nephrite_types::Phase::Delayed)),
        ],
        objects: WantedObjects::default(),
    };
    request.profile = nephrite_image_core::case::Profile::Quick;
    let record = patient.run_here(&patient.core(), &request).unwrap().record;
    for step in &record.steps {
        let model = step.model().unwrap();
        assert_eq!(
            (
                model.options.mirroring,
                model.options.tile_step_size,
                model.folds.len()
            ),
            (false, 0.75, 1)
        );
    }
    let files = patient.files("bare");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["demokidney-2.nii.gz", "demokidney.nii.gz"]);
    assert_ne!(
        files["demokidney-2.nii.gz"], files["demokidney.nii.gz"],
        "two scans"
    );
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
