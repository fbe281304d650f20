//! How far each algorithm is from the exact result, beside what a plain f32 sum loses; `--nocapture` prints a table.

use nephrite_cpu::{CpuOptions, Precision};

use crate::check::{levels, options, profile, threads};
use nephrite_layers::test_util::case::{Builder, Case};
use nephrite_layers::test_util::difference::{Difference, difference};
use nephrite_layers::test_util::reference;

/// A convolution of as many to as many channels that is computed so, and its largest errors: measured, and a third more.
struct Row {
    kind: &'static str,
    channels: usize,
    stride: usize,
    spatial: &'static [usize],
    limit: Difference,
}

const fn row(kind: &'static str, spatial: &'static [usize], rms: f64, max: f64) -> Row {
    Row {
        kind,
        channels: 64,
        stride: 1,
        spatial,
        limit: Difference { rms, max },
    }
}

/// The same of fewer channels.
const fn narrow_row(channels: usize, stride: usize, row: Row) -> Row {
    Row {
        channels,
        stride,
        ..row
    }
}

const F32: [Row; 8] = [
    narrow_row(16, 1, row("winograd columns", &[17, 24, 21], 1.3e-6, 1.4e-5)),
    narrow_row(32, 2, row("direct lines", &[33, 35, 37], 7e-7, 7.5e-6)),
    row("winograd 2x4x4", &[17, 19, 21], 1.8e-6, 1.5e-5),
    row("winograd 2x2x2", &[9, 11, 13], 4.2e-7, 2.4e-6),
    row("winograd 1x4x4", &[61, 67], 1.4e-6, 1.4e-5),
    row("winograd 1x2x2", &[21, 17], 3.4e-7, 2e-6),
    row("direct", &[5, 6, 7], 9e-7, 1e-5),
    row("direct", &[9, 7], 5.5e-7, 4e-6),
];

const BF16: [Row; 4] = [
    row("winograd 2x2x2", &[9, 11, 13], 6e-3, 3e-2),
    row("winograd 1x2x2", &[21, 17], 5e-3, 2.2e-2),
    row("direct", &[5, 6, 7], 3e-3, 1.4e-2),
    row("direct", &[9, 7], 3e-3, 1.4e-2),
];

fn case(row: &Row) -> Case {
    let mut network = Builder::new(row.channels, row.spatial);
    let [kernel, stride] = [3, row.stride].map(|n| vec![n; row.spatial.len()]);
    let output = network.conv(network.tile(), row.channels, &kernel, &stride);
    network.finish(output)
}

/// Prints all rows; gives those that are above their limit.
fn measure(rows: &[Row], options: &[CpuOptions]) -> Vec<String> {
    let mut above = Vec::new();
    for row in rows {
        let Row { kind, limit, .. } = row;
        let case = case(row);
        let exact = reference::run::<f64>(&case);
        let plain = difference(&exact, &reference::run::<f32>(&case));
        eprintln!(
            "{kind:15} plain sum      rms {:.2e}, max {:.2e}",
            plain.rms, plain.max
        );
        for &options in options {
            let (logits, times) = profile(&case, options, &threads(2));
            assert_eq!(times[0].kind, *kind);
            let Difference { rms, max } = difference(&exact, &logits);
            let CpuOptions { level, precision } = options;
            let line = format!("{kind:15} {level:9} {precision:4} rms {rms:.2e}, max {max:.2e}");
            eprintln!("{line}");
            if rms.is_nan() || rms > limit.rms || max > limit.max {
                above.push(line);
            }
        }
    }
    above
}

#[test]
fn every_algorithm_is_as_accurate_as_it_was() {
    let options: Vec<CpuOptions> = levels().into_iter().map(options).collect();
    let above = measure(&F32, &options);
    assert!(above.is_empty(), "{above:#?}");
}

#[test]
fn bf16_is_as_accurate_as_it_was() {
    let options = CpuOptions {
        precision: Precision::Bf16,
        ..CpuOptions::best()
    };
    if nephrite_cpu::check(options).is_ok() {
        let above = measure(&BF16, &[options]);
        assert!(above.is_empty(), "{above:#?}");
    }
}
