//! What is refused, and by which words; and runs that are stopped.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nephrite_cpu::{CpuError, CpuOptions, Level, Network, Precision, cpu_memory};
use nephrite_layers::{LayerGraph, ValueId};

use crate::check::{levels, load, options, run, runner, threads};
use nephrite_layers::test_util::case::{Builder, Case};

fn network() -> Case {
    let mut network = Builder::new(2, &[9, 11, 13]);
    let value = network.conv3(network.tile(), 9);
    let value = network.norm_and_activation(value);
    let value = network.conv3(value, 9);
    let value = network.norm_and_activation(value);
    let output = network.conv1(value, 3);
    network.finish(output)
}

#[test]
fn instructions_of_another_processor_are_refused() {
    let case = network();
    let threads = threads(1);
    for level in Level::ALL.into_iter().filter(|level| !level.is_available()) {
        let expected = CpuError::LevelMissing { level: level.name() };
        assert_eq!(load(&case, options(level), &threads).unwrap_err(), expected);
        assert!(
            cpu_memory(&case.graph, options(level), 1).is_ok(),
            "{level} can be planned for elsewhere"
        );
    }
    #[cfg(target_arch = "x86_64")]
    assert!(!Level::Neon.is_available());
    #[cfg(target_arch = "aarch64")]
    assert!(!Level::Avx2.is_available());
    assert!(Level::Portable.is_available() && Level::best().is_available());
}

#[test]
fn bf16_is_refused_at_other_levels_than_avx512() {
    let case = network();
    for level in levels().into_iter().filter(|level| *level != Level::Avx512) {
        let options = CpuOptions {
            level,
            precision: Precision::Bf16,
        };
        let expected = CpuError::PrecisionMissing { precision: "bf16" };
        assert_eq!(load(&case, options, &threads(1)).unwrap_err(), expected);
        assert_eq!(nephrite_cpu::check(options), Err(expected));
    }
}

#[test]
fn names_of_levels_and_precisions_are_read_back() {
    for level in Level::ALL {
        assert_eq!(level.name().parse(), Ok(level));
    }
    for precision in Precision::ALL {
        assert_eq!(precision.name().parse(), Ok(precision));
    }
    let unknown = CpuError::UnknownLevel { name: "sse".into() };
    assert_eq!("sse".parse::<Level>(), Err(unknown));
    let unknown = CpuError::UnknownPrecision { name: "f16".into() };
    assert_eq!("f16".parse::<Precision>(), Err(unknown));
}

#[test]
fn a_tensor_of_the_wrong_length_is_named() {
    let case = network();
    let threads = threads(1);
    for (wrong, param) in case.graph.params.iter().enumerate() {
        for found in [0, case.params[wrong].len() - 1, case.params[wrong].len() + 1] {
            let error = Network::load(&case.graph, options(Level::Portable), &threads, |id| {
                let mut values = case.params[id.0].clone();
                if id.0 == wrong {
                    values.resize(found, 0.0);
                }
                Ok::<_, CpuError>(values)
            });
            let expected = CpuError::Length {
                what: format!("tensor {:?}", param.name),
                expected: case.params[wrong].len(),
                found,
            };
            assert_eq!(error.unwrap_err(), expected);
        }
    }
}

#[test]
fn what_reading_a_tensor_says_is_said() {
    #[derive(Debug, PartialEq)]
    enum Error {
        Cpu(CpuError),
        Disk,
    }
    impl From<CpuError> for Error {
        fn from(error: CpuError) -> Self {
            Error::Cpu(error)
        }
    }
    let case = network();
    let threads = threads(1);
    let load = |level, last: usize| {
        Network::load(&case.graph, options(level), &threads, |id| {
            if id.0 == last {
                return Err(Error::Disk);
            }
            Ok(case.params[id.0].clone())
        })
    };
    assert_eq!(load(Level::Portable, 3).unwrap_err(), Error::Disk);
    if !Level::Neon.is_available() {
        let missing = CpuError::LevelMissing { level: "neon" };
        assert_eq!(
            load(Level::Neon, 0).unwrap_err(),
            Error::Cpu(missing),
            "before anything is read"
        );
    }
}

#[test]
fn every_tensor_is_read_once_and_in_the_order_of_the_layers() {
    let case = network();
    let threads = threads(1);
    let mut read = Vec::new();
    Network::load(&case.graph, options(Level::Portable), &threads, |id| {
        read.push(id.0);
        Ok::<_, CpuError>(case.params[id.0].clone())
    })
    .unwrap();
    assert_eq!(read, (0..case.params.len()).collect::<Vec<usize>>());
}

#[test]
fn a_tile_or_logits_of_the_wrong_length_are_refused() {
    let case = network();
    let (n_in, n_out) = (2 * 9 * 11 * 13, 3 * 9 * 11 * 13);
    let mut runner = runner(&case, options(Level::Portable), &threads(1));
    for found in [0, n_in - 1, n_in + 1] {
        let error = runner.run(&vec![0.0; found], &mut vec![0.0; n_out]).unwrap_err();
        let what = "input tile".to_owned();
        let expected = n_in;
        assert_eq!(
            error,
            CpuError::Length {
                what,
                expected,
                found
            }
        );
    }
    for found in [0, n_out - 1, n_out + 1] {
        let error = runner.run(&vec![0.0; n_in], &mut vec![0.0; found]).unwrap_err();
        let what = "logits".to_owned();
        let expected = n_out;
        assert_eq!(
            error,
            CpuError::Length {
                what,
                expected,
                found
            }
        );
    }
    assert_eq!(
        runner.profile(&[], &mut []).unwrap_err().to_string(),
        "input tile: 0 values, expected 2574"
    );
}

/// At every level, be it there or not.
fn assert_unsupported(graph: &LayerGraph, layer: usize, reason: &str) {
    for level in Level::ALL {
        let error = cpu_memory(graph, options(level), 1).unwrap_err();
        let expected = format!("layer {:?}: {reason}", format!("layer {layer}"));
        assert_eq!(error.to_string(), expected, "{level}");
        assert!(matches!(error, CpuError::Unsupported { .. }));
    }
}

#[test]
fn a_slope_above_one_is_refused() {
    for slope in [1.0 + f32::EPSILON, 2.0, f32::INFINITY, f32::NAN] {
        let mut network = Builder::new(2, &[4, 4, 4]);
        let value = network.conv3(network.tile(), 3);
        let output = network.leaky_relu(value, slope);
        assert_unsupported(&network.finish(output).graph, 1, "a slope above 1");
    }
}

#[test]
fn a_norm_of_the_tile_is_refused() {
    let mut network = Builder::new(2, &[4, 4, 4]);
    let value = network.instance_norm(network.tile());
    let output = network.conv3(value, 3);
    assert_unsupported(
        &network.finish(output).graph,
        0,
        "only a convolution can read the network's input",
    );

    let mut network = Builder::new(2, &[4, 4, 4]);
    let value = network.batch_norm(network.tile(), true);
    let output = network.conv3(value, 3);
    assert_unsupported(
        &network.finish(output).graph,
        0,
        "only a convolution can read the network's input",
    );
}

#[test]
fn a_sum_or_an_average_of_the_tile_is_refused() {
    let reason = "only a convolution can read the network's input";
    let mut network = Builder::new(3, &[4, 4, 4]);
    let value = network.conv3(network.tile(), 3);
    let output = network.add(value, network.tile());
    assert_unsupported(&network.finish(output).graph, 1, reason);

    let mut network = Builder::new(3, &[4, 4, 4]);
    let value = network.average_pool(network.tile(), &[2; 3]);
    let output = network.conv3(value, 3);
    assert_unsupported(&network.finish(output).graph, 0, reason);
}

/// A pass of its own would have to read the tile, and 3 channels are no whole vectors.
#[test]
fn two_activations_of_the_tile_are_refused() {
    let mut network = Builder::new(3, &[4, 4, 4]);
    let value = network.leaky_relu(network.tile(), 0.5);
    let value = network.leaky_relu(value, 0.5);
    let output = network.conv1(value, 3);
    let graph = network.finish(output).graph;
    for level in Level::ALL {
        let error = cpu_memory(&graph, options(level), 1).unwrap_err();
        assert!(matches!(error, CpuError::Unsupported { .. }), "{level}: {error}");
    }
}

#[test]
fn only_a_convolution_can_read_a_concatenation() {
    type Read = fn(&mut Builder, ValueId) -> ValueId;
    let readers: [Read; 6] = [
        |network, value| network.leaky_relu(value, 0.1),
        |network, value| network.instance_norm(value),
        |network, value| network.batch_norm(value, false),
        |network, value| network.average_pool(value, &[2; 3]),
        |network, value| network.transposed(value, 3, &[2; 3]),
        |network, value| network.add(value, value),
    ];
    for read in readers {
        let mut network = Builder::new(2, &[4, 4, 4]);
        let value = network.conv3(network.tile(), 3);
        let both = network.concat(&[value, value]);
        let value = read(&mut network, both);
        let output = network.conv1(value, 3);
        let graph = network.finish(output).graph;
        assert_unsupported(&graph, 2, "only a convolution can read a concatenation");
    }
}

#[test]
fn logits_must_be_computed_by_a_layer() {
    let mut network = Builder::new(2, &[4, 4, 4]);
    let value = network.conv3(network.tile(), 3);
    let both = network.concat(&[value, value]);
    assert_unsupported(&network.finish(both).graph, 1, "logits that no layer computes");

    let mut network = Builder::new(2, &[4, 4, 4]);
    network.conv3(network.tile(), 3);
    let tile = network.tile();
    assert_unsupported(&network.finish(tile).graph, 0, "logits that no layer computes");

    let network = Builder::new(2, &[4, 4, 4]);
    let tile = network.tile();
    let error = cpu_memory(&network.finish(tile).graph, options(Level::Portable), 1).unwrap_err();
    assert_eq!(error.to_string(), "layer \"\": a network without layers");
}

#[test]
fn a_run_fails_while_the_flag_is_set_and_the_next_one_is_right() {
    let case = network();
    for level in levels() {
        let expected = run(&case, level);
        for n_threads in [1, 2] {
            let mut runner = runner(&case, options(level), &threads(n_threads));
            let stop = runner.stop_flag();
            let mut logits = vec![0.0; expected.len()];
            for _ in 0..2 {
                stop.store(true, Ordering::Relaxed);
                assert_eq!(runner.run(&case.tile, &mut logits), Err(CpuError::Stopped));
                assert_eq!(
                    runner.run(&case.tile, &mut logits),
                    Err(CpuError::Stopped),
                    "it stays set"
                );
                stop.store(false, Ordering::Relaxed);
                runner.run(&case.tile, &mut logits).unwrap();
                assert!(logits == expected, "{level}, {n_threads} threads");
            }
        }
    }
}

#[test]
fn a_run_that_is_stopped_in_its_midst_ends_or_is_right() {
    let case = network();
    let level = Level::best();
    let expected = run(&case, level);
    let mut runner = runner(&case, options(level), &threads(2));
    let stop = runner.stop_flag();
    let mut logits = vec![0.0; expected.len()];
    for microseconds in (0..1000).step_by(50) {
        let stopped = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(microseconds));
                stop.store(true, Ordering::Relaxed);
            });
            runner.run(&case.tile, &mut logits)
        });
        match stopped {
            Ok(()) => assert!(logits == expected),
            Err(error) => assert_eq!(error, CpuError::Stopped),
        }
        stop.store(false, Ordering::Relaxed);
        runner.run(&case.tile, &mut logits).unwrap();
        assert!(logits == expected, "after {microseconds} µs");
    }
}

#[test]
fn runners_of_one_network_do_not_disturb_each_other() {
    let case = network();
    let level = Level::best();
    let expected = run(&case, level);
    let threads = threads(2);
    let network = load(&case, options(level), &threads).unwrap();
    let run_five = || {
        let mut runner = network.runner(&threads).unwrap();
        for _ in 0..5 {
            let mut logits = vec![0.0; expected.len()];
            runner.run(&case.tile, &mut logits).unwrap();
            assert!(logits == expected);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(run_five);
        }
    });
}

#[test]
fn the_best_options_are_f32_at_the_best_level() {
    let expected = CpuOptions {
        level: Level::best(),
        precision: Precision::F32,
    };
    assert_eq!(CpuOptions::best(), expected);
}
