//! What a network takes, said before it is loaded.

use nephrite_cpu::{Level, cpu_memory};
use nephrite_layers::LayerGraph;

use crate::check::{levels, load, options, threads};
use nephrite_layers::test_util::case::{Builder, Case};

fn network() -> Case {
    let mut network = Builder::new(3, &[8, 12, 14]);
    let value = network.conv3(network.tile(), 9);
    let skip = network.norm_and_activation(value);
    let value = network.conv(skip, 40, &[3; 3], &[2; 3]);
    let value = network.norm_and_activation(value);
    let value = network.transposed(value, 9, &[2; 3]);
    let value = network.concat(&[value, skip]);
    let value = network.conv3(value, 9);
    let value = network.norm_and_activation(value);
    let output = network.conv1(value, 4);
    network.finish(output)
}

#[test]
fn what_is_said_from_the_layers_is_what_the_network_says() {
    let case = network();
    let threads = threads(1);
    for level in levels() {
        let network = load(&case, options(level), &threads).unwrap();
        assert_eq!(network.input_len(), case.tile.len());
        assert_eq!(network.output_len(), 4 * 8 * 12 * 14);
        assert_eq!(network.options(), options(level));
        for n_threads in [1, 2, 64] {
            let said = cpu_memory(&case.graph, options(level), n_threads).unwrap();
            assert_eq!(said, network.memory(n_threads), "{level}, {n_threads} threads");
            let parts = said.weights + said.activations + said.scratch;
            assert_eq!(said.total(), parts);
        }
        let [one, three] = [1, 3].map(|n| network.memory(n));
        assert_eq!(three.scratch, 3 * one.scratch, "{level}");
        assert_eq!((three.weights, three.activations), (one.weights, one.activations));
    }
}

#[test]
fn no_less_is_said_than_weights_and_values_need() {
    let case = network();
    for level in Level::ALL {
        let memory = cpu_memory(&case.graph, options(level), 1).unwrap();
        let weights: u64 = case
            .graph
            .params
            .iter()
            .filter(|p| p.name.ends_with("weight"))
            .map(|p| p.n_values())
            .sum();
        assert!(memory.weights >= 4 * weights, "{level}: {memory:?}");
        // Padded to 16 at most, and transformed by 144 components for 27 taps.
        assert!(memory.weights <= 4 * weights * 16, "{level}: {memory:?}");
        // The skip, what is upsampled, and what the last convolution writes live together.
        let voxels = 8 * 12 * 14;
        assert!(memory.activations >= 4 * 3 * 9 * voxels, "{level}: {memory:?}");
        assert!(memory.activations <= 4 * 4 * 16 * voxels, "{level}: {memory:?}");
    }
}

#[test]
fn one_thread_is_the_fewest() {
    let case = network();
    let [none, one] = [0, 1].map(|n| cpu_memory(&case.graph, options(Level::Portable), n).unwrap());
    assert_eq!(none, one);
}

/// Layers alone, of a size that nothing holds.
fn absurd(channels: usize, spatial: &[usize]) -> LayerGraph {
    use nephrite_layers::{Layer, Op, Param, ParamId, ValueId, ValueShape};

    let n_axes = spatial.len();
    let shape = |channels| ValueShape {
        channels,
        spatial: spatial.to_vec(),
    };
    let conv = |i: usize, n_taps: usize| Layer {
        name: format!("{i}"),
        op: Op::Conv {
            weight: ParamId(i),
            bias: None,
            kernel: vec![n_taps; n_axes],
            stride: vec![1; n_axes],
        },
        inputs: vec![ValueId(i)],
        output: ValueId(i + 1),
    };
    let param = |n_out, n_in, n_taps| Param {
        name: String::new(),
        shape: [&[n_out, n_in][..], &vec![n_taps; n_axes]].concat(),
    };
    LayerGraph {
        input: ValueId(0),
        output: ValueId(4),
        values: [1, channels, channels, channels, 2].map(shape).to_vec(),
        params: vec![
            param(channels, 1, 3),
            param(channels, channels, 3),
            param(channels, channels, 7),
            param(2, channels, 1),
        ],
        layers: vec![conv(0, 3), conv(1, 3), conv(2, 7), conv(3, 1)],
    }
}

#[test]
fn an_absurd_size_is_said_without_overflow() {
    for spatial in [
        &[1 << 10; 3][..],
        &[1, 1, 1 << 30],
        &[1 << 30, 1, 1],
        &[1 << 15; 2],
    ] {
        let graph = absurd(4096, spatial);
        for level in Level::ALL {
            for n_threads in [1, usize::MAX] {
                let memory = cpu_memory(&graph, options(level), n_threads).unwrap();
                let value = 4 * 4096 * (1u64 << 30);
                assert!(
                    memory.activations >= 2 * value,
                    "{spatial:?}, {level}: {memory:?}"
                );
                assert!(
                    memory.activations <= 3 * value,
                    "{spatial:?}, {level}: {memory:?}"
                );
                assert!(
                    memory.weights >= 4 * 4096 * 4096 * 9,
                    "{spatial:?}, {level}: {memory:?}"
                );
                assert!(
                    memory.total() >= memory.activations,
                    "{spatial:?}, {level}: {memory:?}"
                );
                assert_eq!(
                    memory.scratch == u64::MAX,
                    n_threads == usize::MAX,
                    "{spatial:?}, {level}"
                );
            }
        }
    }
}
