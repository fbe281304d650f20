//! Each kernel of a real card against its twin. Tests of whole networks tell that something is wrong, these which kernel.

use std::sync::Arc;

use half::f16;
use nephrite_layers::test_util::random::Random;

use crate::card::Card;
use crate::card_options::CardOptions;
use crate::convolution_shape::ConvolutionShape;
use crate::memory::At;
use crate::precision::{Element, Precision};
use crate::work::{Ends, Interpolation, PARTIAL_MOMENTS, Ring, Tap, Work};

/// What is read after the work is done.
enum Outcome {
    Elements(At, usize),
    Singles(At, usize),
    Bytes(At, usize),
    Shorts(At, usize),
    Counter(At),
}

struct Bench<'c> {
    card: &'c Arc<Card>,
    precision: Precision,
    random: Random,
}

impl Bench<'_> {
    fn element(&self) -> Element {
        self.precision.element()
    }

    fn elements(&mut self, n: usize, std: f32) -> At {
        let values = self.random.values(n, std);
        match self.element() {
            Element::Single => self.card.upload("a test", &values).unwrap(),
            Element::Half => {
                let halves: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
                self.card.upload("a test", &halves).unwrap()
            }
        }
    }

    fn singles(&mut self, low: f32, high: f32, n: usize) -> At {
        let values = self.random.between(low, high, n);
        self.card.upload("a test", &values).unwrap()
    }

    /// With a zero behind an odd number of them, as the kernel reads two at a time.
    fn biases(&mut self, n: usize) -> At {
        let mut values = self.random.between(-1.0, 1.0, n);
        values.resize(n.next_multiple_of(2), 0.0);
        self.card.upload("a test", &values).unwrap()
    }

    fn zeros(&self, bytes: usize) -> At {
        At::new(&self.card.allocate("a test", bytes).unwrap(), 0)
    }

    fn output(&self, n: usize) -> At {
        self.zeros(n * self.element().bytes())
    }

    fn ends(&mut self, n_voxels: usize, n_channels: usize, is_full: bool) -> (Ends, Vec<Outcome>) {
        let vector = self.element().vector();
        let (pitch, other_pitch) = (n_channels, n_channels + 3 * vector);
        let first = self.output(n_voxels * pitch);
        let second = self.output(n_voxels * other_pitch);
        let mut outcomes = vec![Outcome::Elements(first.clone(), n_voxels * pitch)];
        let other = is_full.then(|| {
            (
                self.elements(n_voxels * n_channels, 1.0),
                Some(self.singles(-1.0, 1.0, 2 * n_channels)),
            )
        });
        if is_full {
            outcomes.push(Outcome::Elements(second.clone(), n_voxels * other_pitch));
        }
        let second = is_full.then(|| (second.plus(vector * self.element().bytes()), other_pitch));
        (
            Ends {
                other,
                slope: 0.01,
                first: (first, pitch),
                second,
            },
            outcomes,
        )
    }

    /// Three axes of taps, the first of which goes around a ring.
    fn taps(&mut self, size: [usize; 3], voxels: [usize; 3]) -> [At; 3] {
        [0, 1, 2].map(|axis| {
            let taps: Vec<Tap> = (0..voxels[axis])
                .map(|i| {
                    let lo = (i * size[axis] / voxels[axis] + 3) % size[axis];
                    let w_hi = if i % 3 == 0 { 0.0 } else { 0.25 };
                    Tap {
                        lo: lo as i32,
                        hi: ((lo + 1) % size[axis]) as i32,
                        w_lo: 1.0 - w_hi,
                        w_hi,
                    }
                })
                .collect();
            self.card.upload("a test", &taps).unwrap()
        })
    }

    fn interpolation(&mut self, n_classes: usize) -> Interpolation {
        let (size, voxels, pitch) = ([7, 6, 10], [9, 13, 37], n_classes.next_multiple_of(2));
        let n: usize = size.iter().product();
        Interpolation {
            sums: self.singles(-2.0, 2.0, n * pitch),
            weights: self.singles(0.5, 2.0, n),
            size,
            pitch,
            n_classes,
            taps: self.taps(size, voxels),
            voxels,
        }
    }

    fn all(&mut self) -> Vec<(String, Work, Vec<Outcome>)> {
        let mut all = Vec::new();
        for (n_in, n_out, kernel, stride) in [
            (8, 16, [3, 3, 3], [1, 1, 1]),
            (1, 32, [3, 3, 3], [1, 1, 1]),
            (32, 32, [3, 3, 3], [2, 2, 2]),
            (24, 8, [1, 3, 3], [1, 2, 2]),
            (16, 40, [1, 1, 1], [1, 1, 1]),
        ] {
            let input = [8, 12, 10];
            let output = [0, 1, 2].map(|a| input[a] / stride[a]);
            let shape = ConvolutionShape {
                n_in,
                n_out,
                input,
                output,
                kernel,
                stride,
            };
            let n_taps: usize = kernel.iter().product();
            let n_y = output.iter().product::<usize>() * n_out;
            let prepared = self.card.prepare(&shape, self.precision, 64 << 20).unwrap();
            let workspace = self.zeros(prepared.workspace().max(16));
            let x = self.elements(input.iter().product::<usize>() * n_in, 1.0);
            let weight = self.elements(n_out * n_taps * n_in, 1.0 / ((n_taps * n_in) as f32).sqrt());
            let y = self.output(n_y);
            let outcome = vec![Outcome::Elements(y.clone(), n_y)];
            all.push((
                format!("{shape:?}"),
                Work::Convolution {
                    prepared,
                    shape,
                    x,
                    weight,
                    y,
                    workspace,
                },
                outcome,
            ));
        }
        for (n_voxels, n_channels) in [(9000, 8), (30_011, 40), (700, 320), (5, 64)] {
            let x = self.elements(n_voxels * n_channels, 2.0);
            let gamma = self.singles(-1.5, 1.5, n_channels);
            let beta = self.singles(-1.0, 1.0, n_channels);
            let partial = self.zeros(PARTIAL_MOMENTS * n_channels * 8);
            let scale = self.zeros(2 * n_channels * 4);
            let outcome = vec![Outcome::Singles(scale.clone(), 2 * n_channels)];
            let eps = 1e-5;
            let moments = Work::Moments {
                x: x.clone(),
                n_voxels,
                n_channels,
                gamma: gamma.clone(),
                beta: beta.clone(),
                eps,
                partial,
                scale,
            };
            all.push((format!("moments of {n_voxels} x {n_channels}"), moments, outcome));
            for is_full in [false, true] {
                let (ends, outcome) = self.ends(n_voxels, n_channels, is_full);
                let (x, gamma, beta) = (x.clone(), gamma.clone(), beta.clone());
                let norm = Work::Norm {
                    x: x.clone(),
                    n_voxels,
                    n_channels,
                    gamma,
                    beta,
                    eps,
                    ends,
                };
                all.push((
                    format!("norm of {n_voxels} x {n_channels}, {is_full}"),
                    norm,
                    outcome,
                ));
                let (ends, outcome) = self.ends(n_voxels, n_channels, is_full);
                let scale = is_full.then(|| self.singles(-1.0, 1.0, 2 * n_channels));
                let activate = Work::Activate {
                    x,
                    scale,
                    n_voxels,
                    n_channels,
                    ends,
                };
                all.push((
                    format!("activation of {n_voxels} x {n_channels}, {is_full}"),
                    activate,
                    outcome,
                ));
            }
        }
        for (n_in, n_out, stride, is_biased) in [
            (16, 8, [2, 2, 2], true),
            (40, 24, [1, 2, 2], false),
            (320, 256, [2, 2, 2], true),
        ] {
            let size = [3, 5, 7];
            let vector = self.element().vector();
            let pitch = n_out + 2 * vector;
            let n_y = size.iter().product::<usize>() * stride.iter().product::<usize>() * pitch;
            let x = self.elements(105 * n_in, 1.0);
            let weight = self.elements(
                stride.iter().product::<usize>() * n_out * n_in,
                1.0 / (n_in as f32).sqrt(),
            );
            let bias = is_biased.then(|| self.singles(-1.0, 1.0, n_out));
            let whole = self.output(n_y);
            let y = whole.plus(vector * self.element().bytes());
            let work = Work::Upsample {
                x,
                weight,
                bias,
                n_in,
                n_out,
                size,
                stride,
                y,
                pitch,
            };
            all.push((
                format!("upsampling {n_in} to {n_out}"),
                work,
                vec![Outcome::Elements(whole, n_y)],
            ));
        }
        let pool = Work::Pool {
            x: self.elements(6 * 8 * 10 * 24, 1.0),
            y: self.output(3 * 8 * 5 * 24),
            n_channels: 24,
            size: [6, 8, 10],
            stride: [2, 1, 2],
        };
        let Work::Pool { y, .. } = &pool else {
            unreachable!()
        };
        let outcome = vec![Outcome::Elements(y.clone(), 3 * 8 * 5 * 24)];
        all.push(("means".to_owned(), pool, outcome));
        for flip in [[false; 3], [true, false, true], [false, true, false]] {
            let tile = self.output(3 * 6 * 9 * 11);
            let outcome = vec![Outcome::Elements(tile.clone(), 3 * 6 * 9 * 11)];
            let scan = self.elements(3 * 7 * 8 * 9, 1.0);
            let work = Work::Tile {
                scan,
                n_channels: 3,
                size: [7, 8, 9],
                start: [-2, 3, -1],
                flip,
                tile,
                patch: [6, 9, 11],
            };
            all.push((format!("a tile, {flip:?}"), work, outcome));
        }
        for n_classes in [1usize, 2, 5, 8, 9, 37, 118, 300] {
            for flip in [[false; 3], [true, true, false], [false, false, true]] {
                let (patch, size, n_in) = ([4, 5, 13], [6, 8, 13], 40);
                let pitch = if n_classes <= 8 {
                    n_classes
                } else {
                    n_classes.next_multiple_of(2)
                };
                let n_sums = size.iter().product::<usize>() * pitch;
                let sums = self.singles(-1.0, 1.0, n_sums);
                let not_finite = self.zeros(4);
                let outcome = vec![
                    Outcome::Singles(sums.clone(), n_sums),
                    Outcome::Counter(not_finite.clone()),
                ];
                let work = Work::Head {
                    x: self.elements(260 * n_in, 1.0),
                    weight: self.elements(n_classes * n_in, 1.0 / (n_in as f32).sqrt()),
                    bias: self.biases(n_classes),
                    n_in,
                    n_classes,
                    patch,
                    flip,
                    importance: self.singles(0.1, 1.0, 260),
                    factor: 0.25,
                    sums,
                    ring: Ring {
                        start: [4, 2, 0],
                        size,
                        pitch,
                    },
                    not_finite,
                };
                all.push((format!("a head of {n_classes}, {flip:?}"), work, outcome));
            }
        }
        let weights = self.singles(0.0, 1.0, 6 * 8 * 13);
        let outcome = vec![Outcome::Singles(weights.clone(), 6 * 8 * 13)];
        let ring = Ring {
            start: [4, 2, 0],
            size: [6, 8, 13],
            pitch: 1,
        };
        let work = Work::AddWeights {
            importance: self.singles(0.1, 1.0, 260),
            patch: [4, 5, 13],
            weights,
            ring,
        };
        all.push(("weights".to_owned(), work, outcome));
        for (n_classes, is_region, is_wide) in [
            (5, false, false),
            (118, false, true),
            (118, false, false),
            (3, true, false),
            (4, true, true),
            (40, true, false),
            (33, false, false),
        ] {
            let from = self.interpolation(n_classes);
            let n: usize = from.voxels.iter().product();
            let order: Vec<u16> = (0..n_classes)
                .map(|class| {
                    if is_wide {
                        299 + class as u16
                    } else {
                        7 - class as u16 % 5
                    }
                })
                .collect();
            let class_order = is_region.then(|| self.card.upload("a test", &order).unwrap());
            let labels = self.zeros(2 * n);
            let outcome = if is_wide {
                Outcome::Shorts(labels.clone(), n)
            } else {
                Outcome::Bytes(labels.clone(), n)
            };
            let work = Work::Labels {
                from: from.clone(),
                class_order,
                is_wide,
                labels,
            };
            all.push((
                format!("labels of {n_classes}, regions {is_region}"),
                work,
                vec![outcome],
            ));
            let logits = self.zeros(n * n_classes * 4);
            let outcome = vec![Outcome::Singles(logits.clone(), n * n_classes)];
            all.push((
                format!("logits of {n_classes}"),
                Work::Logits { from, logits },
                outcome,
            ));
        }
        all
    }
}

/// Values of an outcome, each with how much of the largest one may be lost.
fn values(outcome: &Outcome, precision: Precision) -> (Vec<f32>, f32) {
    let of_precision = match precision {
        Precision::Single => 3e-5,
        Precision::Tf32 | Precision::Half => 3e-3,
    };
    match outcome {
        Outcome::Elements(at, n) if precision.element() == Element::Half => (
            at.read::<f16>(*n).unwrap().into_iter().map(f16::to_f32).collect(),
            of_precision,
        ),
        Outcome::Elements(at, n) => (at.read(*n).unwrap(), of_precision),
        Outcome::Singles(at, n) => (at.read(*n).unwrap(), 3e-5),
        Outcome::Bytes(at, n) => (
            at.read::<u8>(*n).unwrap().into_iter().map(f32::from).collect(),
            0.0,
        ),
        Outcome::Shorts(at, n) => (
            at.read::<u16>(*n).unwrap().into_iter().map(f32::from).collect(),
            0.0,
        ),
        Outcome::Counter(at) => (vec![at.read::<u32>(1).unwrap()[0].min(1) as f32], 0.0),
    }
}

/// Runs everything on both; `other` is a second twin where there is no card, so that the list itself is tested.
fn compare(card: &Arc<Card>, precision: Precision) {
    let twin = Card::twin(0, 1 << 30);
    let bench = |card| Bench {
        card,
        precision,
        random: Random::new(11),
    };
    let (expected, found) = (bench(&twin).all(), bench(card).all());
    assert_eq!(expected.len(), found.len());
    for ((name, expected, expected_outcomes), (_, found, found_outcomes)) in expected.iter().zip(&found) {
        if matches!(found, Work::Convolution { .. })
            && std::env::var_os("NEPHRITE_TEST_OWN_KERNELS").is_some()
        {
            continue; // those are cuDNN's
        }
        twin.run(precision, expected).unwrap();
        card.run(precision, found).unwrap();
        for (expected, found) in expected_outcomes.iter().zip(found_outcomes) {
            let (expected, share) = values(expected, precision);
            let (found, _) = values(found, precision);
            let largest = expected
                .iter()
                .fold(0f32, |largest, value| largest.max(value.abs()));
            let worst = expected.iter().zip(&found).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0f32, |worst, d| if d <= worst { worst } else { d });
            assert!(
                worst <= share * largest,
                "{name}, {precision:?}: {worst} of {largest}"
            );
            assert!(
                largest > 0.0 || matches!(expected.len(), 1),
                "{name}: something is there to compare"
            );
        }
    }
}

#[test]
fn every_kernel_does_what_its_twin_does() {
    let folders = std::env::var_os("NEPHRITE_CUDA_LIBRARIES");
    let libraries = folders.iter().flat_map(std::env::split_paths).collect();
    let card = match std::env::var_os("NEPHRITE_TEST_GPU") {
        Some(_) => Card::open(
            0,
            &CardOptions {
                cache: None,
                libraries,
            },
        )
        .unwrap(),
        None => {
            eprintln!("no card: the list of kernels alone is tested");
            Card::twin(1, 1 << 30)
        }
    };
    for precision in Precision::ALL {
        compare(&card, precision);
    }
}
