//! Factors of 8 bits of mantissa, on a processor that multiplies them; elsewhere these tests say nothing.

use nephrite_cpu::{CpuOptions, Precision};

use crate::check::run_on_all_threads;
use nephrite_layers::test_util::case::{Builder, Case};
use nephrite_layers::test_util::difference::{Difference, difference};
use nephrite_layers::test_util::reference;

/// Rounded factors are up to 2⁻⁹ off, each; of many products of random sign the error is less than that beside their sum, and
/// transforms make it more. Per layer, rms, in standard deviations.
const RMS: f64 = 4e-3;

fn check(name: &str, case: &Case, n_layers: usize) {
    let options = CpuOptions {
        precision: Precision::Bf16,
        ..CpuOptions::best()
    };
    if nephrite_cpu::check(options).is_err() {
        return;
    }
    let expected = reference::run::<f64>(case);
    let (logits, kinds) = run_on_all_threads(case, options);
    let Difference { rms, max } = difference(&expected, &logits);
    eprintln!("bf16, {name}: rms {rms:.1e}, max {max:.1e}, {kinds:?}");
    assert!(
        rms <= RMS * (n_layers as f64).sqrt(),
        "{name}, {kinds:?}: rms {rms:.1e}"
    );
    assert!(
        max <= 8.0 * RMS * (n_layers as f64).sqrt(),
        "{name}, {kinds:?}: max {max:.1e}"
    );
    assert!(rms >= 1e-4, "{name}, {kinds:?}: rms {rms:.1e} is that of f32");
}

#[test]
fn a_convolution_multiplies_pairs_of_channels() {
    for spatial in [[13, 15, 17], [9, 11, 13], [5, 6, 7]] {
        for n_in in [16, 17, 32, 40, 64] {
            for n_out in [5, 16, 24, 40] {
                let mut network = Builder::new(n_in, &spatial);
                let value = network.conv1(network.tile(), n_in);
                let output = network.conv3(value, n_out);
                if n_out > 8 {
                    check(
                        &format!("{n_in} to {n_out} on {spatial:?}"),
                        &network.finish(output),
                        2,
                    );
                }
            }
        }
    }
}

#[test]
fn a_concatenation_keeps_the_pairs_of_its_parts() {
    for channels in [[16, 16], [32, 16], [16, 48], [9, 40], [48, 17]] {
        for spatial in [&[9, 11, 13][..], &[5, 6, 7], &[21, 17]] {
            let mut network = Builder::new(16, spatial);
            let values = channels.map(|n| {
                let value = network.conv1(network.tile(), n);
                network.norm_and_activation(value)
            });
            let both = network.concat(&values);
            let output = network.conv3(both, 24);
            check(
                &format!("{channels:?} on {spatial:?}"),
                &network.finish(output),
                2,
            );
        }
    }
}

#[test]
fn a_transposed_convolution_multiplies_pairs_of_channels() {
    for (n_in, n_out) in [(16, 16), (32, 24), (48, 9), (40, 40)] {
        let mut network = Builder::new(n_in, &[5, 6, 7]);
        let value = network.conv1(network.tile(), n_in);
        let output = network.transposed(value, n_out, &[2, 2, 1]);
        check(
            &format!("transposed, {n_in} to {n_out}"),
            &network.finish(output),
            2,
        );
    }
}
