//! What goes wrong is said, and leaves the card as it was.

use std::sync::Arc;

use nephrite_cuda::{Card, ClassSums, CudaError, Precision, Scan, SumsShape, TileRun};
use nephrite_layers::test_util::case::{Builder, Case};

use crate::cards::{cards, cards_alone};
use crate::one_tile::{load, logits};

fn small(scale: f32) -> Case {
    let mut network = Builder::new(1, &[8, 8, 8]);
    let value = network.conv3(network.tile(), 8);
    let value = network.leaky_relu(value, 0.01);
    let output = network.conv1(value, 2);
    let mut case = network.finish(output);
    case.params[0].iter_mut().for_each(|weight| *weight *= scale);
    case
}

fn upload(card: &Arc<Card>, case: &Case, precision: Precision) -> Scan {
    let row =
        |_: usize, z: usize, y: usize, to: &mut [f32]| to.copy_from_slice(&case.tile[(z * 8 + y) * 8..][..8]);
    Scan::upload(card, precision, 1, [8; 3], [0; 3], row).unwrap()
}

#[test]
fn a_network_that_overflows_in_half_names_its_tile_and_runs_in_f32() {
    let case = small(1e6);
    for card in cards() {
        let odd_tile = |precision| {
            let network = load(&card, &case, precision).unwrap();
            let patch = network.patch();
            let scan = upload(&card, &case, precision);
            let shape = SumsShape {
                grid: patch,
                patch,
                n_classes: 2,
            };
            let mut sums = ClassSums::new(&card, shape, &[1.0; 512], 3).unwrap();
            let run = TileRun {
                tile: 2,
                start: [0; 3],
                from: [0; 3],
                flip: [false; 3],
                factor: 1.0,
            };
            sums.add_run(&network, &scan, &run).unwrap();
            sums.not_finite().unwrap()
        };
        assert_eq!(odd_tile(Precision::Half), Some(2), "{}", card.info().name);
        assert_eq!(odd_tile(Precision::Single), None, "{}", card.info().name);
    }
}

#[test]
fn memory_that_is_not_there_is_an_error_and_the_next_network_runs() {
    let case = small(1.0);
    for card in cards_alone() {
        let used = card.used_bytes();
        let shape = SumsShape {
            grid: [1 << 14; 3],
            patch: [1; 3],
            n_classes: 300,
        };
        let error = ClassSums::new(&card, shape, &[1.0], 1).unwrap_err();
        assert!(
            matches!(
                error,
                CudaError::Memory {
                    what: "class sums",
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(card.used_bytes(), used, "nothing is kept");
        assert!(card.failure().is_none());
        let network = load(&card, &case, Precision::Half).unwrap();
        logits(&network, &case);
        assert!(card.used_bytes() > used);
        drop(network);
        card.rest();
        assert_eq!(
            card.used_bytes(),
            0,
            "weights and values between layers are given back"
        );
    }
}

#[test]
fn a_card_that_is_not_there_is_named() {
    let error = Card::open(4096, &Default::default()).unwrap_err();
    let is_named = match &error {
        CudaError::Library { library, .. } => library.starts_with("lib"),
        CudaError::NoCard { ordinal, .. } => *ordinal == 4096,
        _ => false,
    };
    assert!(is_named, "{error}");
}
