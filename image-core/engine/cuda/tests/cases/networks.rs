//! Networks of every form against the definition of their layers.

use nephrite_cuda::{Card, Network, Precision, agreement};
use nephrite_layers::test_util::case::{Builder, Case};
use nephrite_layers::test_util::difference::{Difference, difference};
use nephrite_layers::test_util::reference;
use nephrite_layers::test_util::u_net::u_net;
use proptest::prelude::*;

use crate::cards::cards;
use crate::one_tile::{load, logits};

/// Largest error of a layer, in standard deviations of the logits. Half and tf32 hold 11 bits of a factor; errors of layers add up as
/// random ones do.
fn tolerance(precision: Precision, case: &Case) -> f64 {
    let of_layer = match precision {
        Precision::Single => 2e-5,
        Precision::Tf32 | Precision::Half => 8e-3,
    };
    of_layer * (case.graph.layers.len() as f64).sqrt()
}

fn check(name: &str, case: &Case) {
    let expected = reference::run::<f64>(case);
    for card in cards() {
        for precision in Precision::ALL {
            let network = load(&card, case, precision).unwrap();
            let found = logits(&network, case);
            let again = logits(&network, case);
            assert!(
                found
                    .iter()
                    .map(|v| v.to_bits())
                    .eq(again.iter().map(|v| v.to_bits())),
                "{name}: twice"
            );
            let Difference { rms, max } = difference(&expected, &found);
            let tolerance = tolerance(precision, case);
            eprintln!(
                "{name}, {}, {precision:?}: rms {rms:.1e}, max {max:.1e} of {tolerance:.1e}",
                card.info().name
            );
            assert!(
                max <= tolerance,
                "{name}, {}, {precision:?}: {max:.2e} > {tolerance:.1e}",
                card.info().name
            );
            let said = Network::bytes_of(&case.graph, precision).unwrap();
            let taken = network.bytes();
            assert!(taken.arena <= said.arena && taken.weights == said.weights.next_multiple_of(16));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_are_computed_as_their_layers_say(net in u_net()) {
        check("random", &net.build());
    }
}

#[test]
fn many_classes_and_odd_channels() {
    let mut network = Builder::new(2, &[8, 12, 10]);
    let value = network.conv3(network.tile(), 20);
    let value = network.norm_and_activation(value);
    let output = network.conv1(value, 37);
    check("37 classes", &network.finish(output));
}

#[test]
fn values_of_many_voxels_are_normed_in_parts() {
    let mut network = Builder::new(1, &[24, 24, 20]);
    let value = network.conv3(network.tile(), 12);
    let first = network.norm_and_activation(value);
    let value = network.conv3(first, 12);
    let value = network.instance_norm(value);
    let sum = network.add(value, first);
    let value = network.leaky_relu(sum, 0.01);
    let output = network.conv1(value, 3);
    check("11520 voxels", &network.finish(output));
}

#[test]
fn a_value_that_is_read_in_several_ways_is_written_once_for_all() {
    let mut network = Builder::new(1, &[8, 8, 8]);
    let value = network.conv3(network.tile(), 8);
    let value = network.norm_and_activation(value);
    let pooled = network.average_pool(value, &[2, 2, 2]);
    let low = network.conv3(pooled, 16);
    let low = network.norm_and_activation(low);
    let up = network.transposed(low, 8, &[2, 2, 2]);
    let both = network.concat(&[up, value]);
    let mixed = network.conv3(both, 8);
    let normed = network.batch_norm(mixed, true);
    let sum = network.add(normed, value);
    let value = network.relu(sum);
    let output = network.conv1(value, 2);
    check("shared", &network.finish(output));
}

#[test]
fn what_cannot_be_run_says_which_layer() {
    let mut network = Builder::new(1, &[8, 8, 8]);
    let value = network.conv3(network.tile(), 8);
    let output = network.norm_and_activation(value);
    let case = network.finish(output);
    let error = load(&Card::twin(0, 1 << 20), &case, Precision::Half).unwrap_err();
    assert_eq!(error.to_string(), "layer 2: is last and no convolution");
}

#[test]
fn half_precision_agrees_with_f32_where_numbers_fit_and_not_where_they_overflow() {
    let mut network = Builder::new(1, &[16, 16, 16]);
    let value = network.conv3(network.tile(), 16);
    let value = network.norm_and_activation(value);
    let value = network.conv3(value, 16);
    let value = network.norm_and_activation(value);
    let output = network.conv1(value, 4);
    let mut case = network.finish(output);
    for card in cards() {
        let share = |case: &Case| {
            let [half, single] =
                [Precision::Half, Precision::Single].map(|precision| load(&card, case, precision).unwrap());
            agreement(&half, &single, None).unwrap()
        };
        let found = share(&case);
        assert!((0.99..1.0).contains(&found), "{found}");
    }
    case.params[0].iter_mut().for_each(|weight| *weight *= 1e6);
    for card in cards() {
        let [half, single] =
            [Precision::Half, Precision::Single].map(|precision| load(&card, &case, precision).unwrap());
        assert_eq!(agreement(&half, &single, None).unwrap(), 0.0);
    }
}
