//! Postprocessing beside nnU-Net's own.

use nephrite_nnunet::postprocess::keep_largest_component;
use nephrite_tests::agreement::label_agreement;
use nephrite_tests::case_run::read_labels;
use nephrite_tests::golden_case::{GoldenCase, Kind};
use nephrite_tests::loaded_case::postprocessing_of;
use nephrite_types::{CancelToken, Labels};
use nephrite_volume::Reader;

#[test]
fn postprocessing_equals_that_of_nnunet() {
    let mut n_cases = 0;
    for case in GoldenCase::all()
        .unwrap()
        .iter()
        .filter(|case| case.kind == Kind::Postprocess)
    {
        n_cases += 1;
        let expected = read_labels(&case.path(&case.expected.labels), Reader::SimpleItk).unwrap();
        for extension in ["json", "pkl"] {
            let Labels::U8(mut labels) = read_labels(&case.path(&case.inputs[0]), Reader::SimpleItk).unwrap()
            else {
                panic!("{}: fewer than 255 labels", case.name);
            };
            for step in postprocessing_of(case, extension).unwrap() {
                let background = step.background.try_into().unwrap();
                keep_largest_component(&mut labels, &step.labels, background, &CancelToken::new()).unwrap();
            }
            assert_eq!(
                label_agreement(&Labels::U8(labels), &expected),
                1.0,
                "{} {extension}",
                case.name
            );
        }
    }
    assert!(n_cases > 0);
}
