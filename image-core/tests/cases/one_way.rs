//! A model by itself and a model of a case run one way: through the same gate, and the same meter learns from both.

use std::path::Path;
use std::sync::{Barrier, Mutex};

use nephrite_image_core::case::{
    CaseEvent, CaseEvents, CaseServices, ServiceSettings, estimate_case, run_case,
};
use nephrite_image_core::{
    Core, ModelChoice, PostprocessingChoice, SegmentRequest, SegmentationOptions, StepBudget, segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{CancelToken, NoProgress, Progress, Stage};

use crate::patient::{KIDNEYS, Patient};

fn request(output: &str, tile_step_size: f64) -> SegmentRequest {
    SegmentRequest {
        model: ModelChoice {
            folder: KIDNEYS.into(),
            folds: FoldSelection::Available,
            checkpoint: CheckpointKind::Final,
            precision: None,
        },
        inputs: vec!["scans/portal_venous.nii.gz".into()],
        previous_stage: None,
        output: Path::new("results").join(output),
        objects: nephrite_image_core::WantedObjects::default(),
        save_probabilities: None,
        options: SegmentationOptions {
            mirroring: false,
            tile_step_size,
            ..SegmentationOptions::default()
        },
        postprocessing: PostprocessingChoice::None,
        strict_geometry: false,
    }
}

/// Who finished a tile, in order.
#[derive(Default)]
struct Order(Mutex<Vec<&'static str>>);

impl Progress for Order {
    fn stage(&self, _: Stage) {}

    fn advance(&self, _: u64, _: u64) {
        self.0.lock().unwrap().push("run");
    }
}

impl CaseEvents for Order {
    fn event(&self, event: CaseEvent) {
        if matches!(event, CaseEvent::Tiles { .. }) {
            self.0.lock().unwrap().push("case");
        }
    }
}

/// Everything is warm when both begin, so that both come to their network at once.
#[test]
fn networks_of_a_run_and_of_a_case_never_overlap_where_one_may_run() {
    let patient = Patient::new();
    let core = patient.core_with(StepBudget {
        max_networks: 1,
        ..StepBudget::default()
    });
    let text = format!(
        "[[models]]\nid = 'a'\nmodel = '{KIDNEYS}'\nphases = ['portal_venous']\nno_mirroring = true\n\
         tile_step_size = 0.25\n[[save]]\nstep = 'a'\nfile = 'a.nii.gz'\n"
    );
    let mut case = patient.request("warm");
    case.pipeline = patient.pipeline("one.toml", &text);
    patient.run_here(&core, &case).unwrap();
    case.output = "results/case".into();

    let (order, together) = (Order::default(), Barrier::new(2));
    let (core, order) = (&core, &order);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            together.wait();
            let services = CaseServices::new(&ServiceSettings::default(), core.root());
            run_case(core, &services, &case, order, &CancelToken::new()).unwrap();
        });
        scope.spawn(|| {
            together.wait();
            segment(core, &request("run.nii.gz", 0.25), order, &CancelToken::new()).unwrap();
        });
    });
    let order = order.0.lock().unwrap();
    let n_of = |who| order.iter().filter(|of| **of == who).count();
    assert!(n_of("run") > 10 && n_of("case") > 10, "{order:?}");
    let changes = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 1, "{order:?}");
}

/// How the speed is known that an estimate rests on.
fn speed_of(core: &Core, patient: &Patient) -> String {
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    let estimate = estimate_case(core, &services, &patient.request("none"), &CancelToken::new());
    estimate.unwrap().speed.to_string()
}

#[test]
fn a_single_run_teaches_the_meter_of_speed() {
    let patient = Patient::new();
    let core = patient.core();
    assert_eq!(speed_of(&core, &patient), "calibrated");
    segment(
        &core,
        &request("run.nii.gz", 1.0),
        &NoProgress,
        &CancelToken::new(),
    )
    .unwrap();
    assert_eq!(speed_of(&core, &patient), "measured");
}
