//! Masks of trained models on a real CT, beside those that nnU-Net made. The data lie beside the project; without them
//! the test says so and passes.

use nephrite_cpu::Level;
use nephrite_nnunet::{PredictOptions, predict};
use nephrite_tests::agreement::{LabelAgreement, SmallestDice, dice_per_label, label_agreement};
use nephrite_tests::case_run::{LoadedModel, read_labels, read_scan};
use nephrite_tests::runtime::Factory;
use nephrite_tests::workspace;
use nephrite_types::{CancelToken, Limits, NoProgress, SegmentationOptions};

/// Default numerics, trained weights.
const LABELS: LabelAgreement = LabelAgreement(0.9999);
/// Of every label.
const DICE: SmallestDice = SmallestDice(0.9995);

struct RealCase {
    mask: &'static str,
    model: &'static str,
    folds: &'static [&'static str],
    mirroring: bool,
}

const CASES: [RealCase; 4] = [
    RealCase {
        mask: "kidney_fold0",
        model: "Dataset701_Kidney/nnUNetTrainer__nnUNetPlans__3d_fullres",
        folds: &["0"],
        mirroring: false,
    },
    RealCase {
        mask: "kidney_fold01_mirroring",
        model: "Dataset701_Kidney/nnUNetTrainer__nnUNetPlans__3d_fullres",
        folds: &["0", "1"],
        mirroring: true,
    },
    RealCase {
        mask: "vessel_fold0",
        model: "Dataset702_Vessel/nnUNetTrainer__nnUNetPlans__3d_fullres",
        folds: &["0"],
        mirroring: false,
    },
    RealCase {
        mask: "vessel_resenc_fold0",
        model: "Dataset702_Vessel/nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres",
        folds: &["0"],
        mirroring: false,
    },
];

#[test]
fn masks_of_trained_models_equal_those_of_nnunet() {
    let Some(data) = workspace::shared_data() else {
        return;
    };
    let factory = Factory::own(Level::best()).unwrap();
    let mut failures = Vec::new();
    for case in CASES {
        let folds: Vec<String> = case.folds.iter().map(|&fold| fold.to_owned()).collect();
        let model =
            LoadedModel::load(&data.join("models").join(case.model), &folds, "final", &factory).unwrap();
        let reader = model.reader().unwrap();
        let scan = read_scan(&data.join("ct/ct_abdomen_0000.nii.gz"), reader).unwrap();
        let expected = read_labels(&data.join(format!("reference/{}.nii.gz", case.mask)), reader).unwrap();
        let options = PredictOptions::from(SegmentationOptions {
            mirroring: case.mirroring,
            ..Default::default()
        });
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        let found = predict(
            &model.model,
            &[&scan.volume],
            None,
            &options,
            &limits,
            &NoProgress,
            &cancel,
        )
        .unwrap();
        let agreement = label_agreement(&expected, &found.labels);
        let dice = dice_per_label(&expected, &found.labels);
        assert!(!dice.is_empty(), "{} has no labels", case.mask);
        let smallest = dice.iter().map(|(_, dice)| *dice).fold(1.0, f64::min);
        println!(
            "{:24} {:.4} % of the voxels, smallest Dice {smallest:.6}",
            case.mask,
            100.0 * agreement
        );
        if agreement < LABELS.0 || smallest < DICE.0 {
            failures.push(format!("{}: {agreement} {dice:?}", case.mask));
        }
    }
    assert!(
        failures.is_empty(),
        "{failures:#?}, wanted {LABELS:?} and {DICE:?}"
    );
}
