//! Random small U-Nets, as nnU-Net makes them and beyond.

use crate::ValueId;
use proptest::prelude::*;

use super::case::{Builder, Case};

/// One stage of the encoder; the first one's stride is not used.
#[derive(Debug, Clone)]
struct Stage {
    channels: usize,
    kernel: Vec<usize>,
    stride: Vec<usize>,
    n_convs: usize,
}

#[derive(Debug, Clone, Copy)]
enum Norm {
    Instance,
    PlainInstance,
    Batch,
}

#[derive(Debug, Clone)]
pub struct UNet {
    n_channels: usize,
    n_classes: usize,
    /// Of the last stage.
    smallest: Vec<usize>,
    stages: Vec<Stage>,
    is_residual: bool,
    norm: Norm,
    slope: f32,
    activation_first: bool,
}

fn stage(n_axes: usize) -> impl Strategy<Value = Stage> {
    let channels = prop::sample::select(vec![1, 3, 5, 8, 9, 12, 16, 17, 24]);
    let kernel = prop_oneof![
        4 => Just(vec![3; n_axes]),
        2 => Just([&vec![1; n_axes - 2][..], &[3, 3]].concat()),
        1 => prop::collection::vec(prop::sample::select(vec![1, 3, 5]), n_axes),
    ];
    let stride = prop_oneof![
        3 => Just(vec![2; n_axes]),
        1 => prop::collection::vec(1usize..=3, n_axes),
    ];
    (channels, kernel, stride, 1usize..=2).prop_map(|(channels, kernel, stride, n_convs)| Stage {
        channels,
        kernel,
        stride,
        n_convs,
    })
}

/// Small enough that the reference is done soon.
pub fn u_net() -> impl Strategy<Value = UNet> {
    let of_axes = |n_axes: usize| {
        let stages = prop::collection::vec(stage(n_axes), 2..=3);
        let smallest = prop::collection::vec(2usize..=5, n_axes);
        (stages, smallest)
    };
    let norm = prop::sample::select(vec![Norm::Instance, Norm::PlainInstance, Norm::Batch]);
    let slope = prop::sample::select(vec![0.0, 0.01, 0.2, -0.1]);
    let axes = prop_oneof![3 => Just(3usize), 1 => Just(2usize)].prop_flat_map(of_axes);
    let rest = (
        1usize..=4,
        1usize..=5,
        any::<bool>(),
        norm,
        slope,
        prop::bool::weighted(0.2),
    );
    let nets = (axes, rest).prop_map(|((stages, smallest), rest)| UNet {
        n_channels: rest.0,
        n_classes: rest.1,
        smallest,
        stages,
        is_residual: rest.2,
        norm: rest.3,
        slope: rest.4,
        activation_first: rest.5,
    });
    nets.prop_filter("small", UNet::is_small)
}

impl UNet {
    fn patch(&self) -> Vec<usize> {
        let mut patch = self.smallest.clone();
        for stage in &self.stages[1..] {
            patch
                .iter_mut()
                .zip(&stage.stride)
                .for_each(|(n, stride)| *n *= stride);
        }
        patch
    }

    fn is_small(&self) -> bool {
        self.patch().iter().product::<usize>() <= 6000
    }

    fn norm(&self, network: &mut Builder, value: ValueId) -> ValueId {
        match self.norm {
            Norm::Instance => network.instance_norm(value),
            Norm::PlainInstance => network.plain_instance_norm(value),
            Norm::Batch => network.batch_norm(value, true),
        }
    }

    fn block(&self, network: &mut Builder, value: ValueId, stage: &Stage, stride: &[usize]) -> ValueId {
        let value = network.conv(value, stage.channels, &stage.kernel, stride);
        if self.activation_first {
            let value = network.leaky_relu(value, self.slope);
            return self.norm(network, value);
        }
        let value = self.norm(network, value);
        network.leaky_relu(value, self.slope)
    }

    fn residual(&self, network: &mut Builder, input: ValueId, stage: &Stage, stride: &[usize]) -> ValueId {
        let once = vec![1; stride.len()];
        let value = self.block(network, input, stage, stride);
        let value = network.conv(value, stage.channels, &stage.kernel, &once);
        let value = self.norm(network, value);
        let mut skip = input;
        if stride != once {
            skip = network.average_pool(skip, stride);
        }
        if network.channels(skip) != stage.channels {
            skip = network.conv1(skip, stage.channels);
            skip = self.norm(network, skip);
        }
        let sum = network.add(value, skip);
        network.leaky_relu(sum, self.slope)
    }

    pub fn build(&self) -> Case {
        let mut network = Builder::new(self.n_channels, &self.patch());
        let once = vec![1; self.smallest.len()];
        let mut value = network.tile();
        let mut skips = Vec::new();
        for (i, stage) in self.stages.iter().enumerate() {
            for n in 0..stage.n_convs {
                let stride = if n == 0 && i > 0 { &stage.stride } else { &once };
                // The tile itself has no whole vectors to be added or averaged.
                value = match self.is_residual && (i, n) != (0, 0) {
                    true => self.residual(&mut network, value, stage, stride),
                    false => self.block(&mut network, value, stage, stride),
                };
            }
            skips.push(value);
        }
        for i in (0..self.stages.len() - 1).rev() {
            let stage = &self.stages[i];
            let up = network.transposed(value, stage.channels, &self.stages[i + 1].stride);
            let both = network.concat(&[up, skips[i]]);
            value = self.block(&mut network, both, stage, &once);
        }
        let output = network.conv1(value, self.n_classes);
        network.finish(output)
    }
}
