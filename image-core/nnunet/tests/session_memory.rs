//! What an engine holds, what of it when it rests, and what at its peak until a first tile has run, counted from the
//! architecture, beside what a process grows by when it builds one and runs a tile. Every network runs in a process of its own, since memory
//! that one gave back would hide what the next one takes.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests fail by it; the table is the result

use std::path::Path;
use std::process::{Command, ExitCode};

use nephrite_cpu::{CpuOptions, Threads};
use nephrite_engine::{
    CpuEngine, EngineOptions, InferenceEngine, LibrarySearch, OnnxRuntime, OrtEngine, Provider, TileShape,
};
use nephrite_nnunet_network::{
    Architecture, WeightSource, build_cpu, build_onnx, cpu_building_bytes, cpu_memory, expected_tensors,
    session_building_bytes, session_memory,
};
use nephrite_types::CancelToken;
use serde_json::{Value, json};

/// Counted over measured.
const WITHIN: std::ops::RangeInclusive<f64> = 0.9..=1.1;

struct Network {
    name: &'static str,
    class: &'static str,
    n_channels: usize,
    n_classes: usize,
    features: &'static [usize],
    patch: &'static [usize],
    norm: &'static str,
    /// Convolutions or blocks of every stage of the encoder; two where there are none.
    depth: &'static [usize],
    /// Convolutions of every stage of the decoder.
    n_conv_decoder: usize,
}

const fn plain(
    name: &'static str,
    features: &'static [usize],
    patch: &'static [usize],
    n_classes: usize,
) -> Network {
    Network {
        name,
        class: "PlainConvUNet",
        n_channels: 1,
        n_classes,
        features,
        patch,
        norm: "InstanceNorm",
        depth: &[],
        n_conv_decoder: 2,
    }
}

const NETWORKS: &[Network] = &[
    plain("small features", &[8, 16, 32], &[64, 64, 64], 3),
    plain(
        "as the comment in the engine",
        &[16, 32, 64, 128],
        &[64, 64, 64],
        3,
    ),
    plain("many weights", &[32, 64, 128, 256, 320, 320], &[64, 64, 64], 3),
    plain("flat patch", &[32, 64, 128, 256, 320], &[32, 128, 96], 5),
    plain("many classes", &[16, 32, 64, 128], &[64, 64, 64], 60),
    plain("large patch", &[16, 32, 64, 128, 256], &[96, 128, 128], 3),
    plain("slices", &[32, 64, 128, 256, 512, 512], &[256, 256], 4),
    Network {
        class: "ResidualEncoderUNet",
        ..plain("residual", &[32, 64, 128, 256, 320], &[64, 96, 64], 3)
    },
    Network {
        class: "ResidualEncoderUNet",
        depth: &[1, 3, 4, 4],
        n_conv_decoder: 1,
        ..plain(
            "residual, as planned, few features",
            &[12, 24, 48, 96],
            &[64, 64, 64],
            2,
        )
    },
    // The count was fitted to none of the following.
    Network {
        class: "ResidualEncoderUNet",
        depth: &[1, 3, 4, 6, 6],
        n_conv_decoder: 1,
        ..plain(
            "residual, deep, other patch",
            &[16, 32, 64, 128, 160],
            &[48, 96, 80],
            4,
        )
    },
    Network {
        class: "ResidualEncoderUNet",
        depth: &[1, 2],
        n_conv_decoder: 1,
        ..plain("residual, two stages", &[24, 48], &[64, 64, 64], 2)
    },
    Network {
        class: "ResidualEncoderUNet",
        depth: &[1, 3, 4, 6, 6, 6],
        n_conv_decoder: 1,
        ..plain("residual, slices", &[32, 64, 128, 256, 512, 512], &[320, 256], 3)
    },
    Network {
        class: "ResidualEncoderUNet",
        n_channels: 3,
        depth: &[2, 1, 1],
        ..plain("residual, three channels", &[20, 40, 80], &[80, 80, 48], 6)
    },
    plain("plain, odd widths", &[12, 28, 44], &[56, 72, 88], 2),
    Network {
        norm: "BatchNorm",
        n_channels: 3,
        ..plain("batch norm", &[16, 32, 64, 128], &[64, 64, 64], 3)
    },
    // Making them takes more than running them.
    plain("one large tensor", &[8, 640], &[8, 8, 8], 2),
    plain(
        "weights of many sizes",
        &[32, 64, 128, 256, 320],
        &[32, 32, 32],
        3,
    ),
];

impl Network {
    fn architecture(&self) -> Architecture {
        let (n, n_axes) = (self.features.len(), self.patch.len());
        let blocks = match self.class {
            "PlainConvUNet" => "n_conv_per_stage",
            _ => "n_blocks_per_stage",
        };
        let strides: Vec<Value> = (0..n)
            .map(|stage| json!(if stage == 0 { 1 } else { 2 }))
            .collect();
        let depth = match self.depth {
            [] => json!(2),
            depth => json!(depth),
        };
        let kwargs = json!({
            "n_stages": n, "features_per_stage": self.features, "conv_op": format!("torch.nn.modules.conv.Conv{n_axes}d"),
            "kernel_sizes": 3, "strides": strides, blocks: depth,
            "n_conv_per_stage_decoder": self.n_conv_decoder, "conv_bias": true,
            "norm_op": format!("torch.nn.{}{n_axes}d", self.norm), "norm_op_kwargs": { "eps": 1e-5, "affine": true },
            "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": { "inplace": true },
        });
        let kwargs = kwargs.as_object().unwrap();
        Architecture::parse(self.class, kwargs, self.n_channels, self.n_classes, self.patch).unwrap()
    }
}

/// Weights of any network, all alike.
struct Alike(std::collections::HashMap<String, Vec<usize>>);

impl WeightSource for Alike {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.get(name).cloned()
    }

    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(vec![0.01; self.0[name].iter().product()])
    }
}

/// What runs a network.
enum Kernels {
    Own(Threads),
    OnnxRuntime(OnnxRuntime),
}

/// Threads of our own kernels: each has working memory.
const N_THREADS: usize = 2;

impl Kernels {
    fn new(name: &str) -> Self {
        if name == "own" {
            return Kernels::Own(Threads::new(N_THREADS, false).unwrap());
        }
        let search = LibrarySearch {
            explicit: None,
            env: None,
            executable_folder: None,
            build_folder: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/onnxruntime")),
            provider: Provider::Cpu,
        };
        let runtime = OnnxRuntime::load(&search);
        Kernels::OnnxRuntime(runtime.expect("this test needs ONNX Runtime: run `make onnxruntime`"))
    }

    fn engine(&self, architecture: &Architecture) -> Box<dyn InferenceEngine> {
        let mut weights = Alike(expected_tensors(architecture, false).into_iter().collect());
        let shape = TileShape {
            n_channels: architecture.n_channels(),
            n_classes: architecture.n_classes(),
            patch: architecture.patch().to_vec(),
        };
        let cancel = CancelToken::new();
        match self {
            Kernels::Own(threads) => {
                let options = CpuOptions::best();
                let built = build_cpu(architecture, &mut weights, options, threads, &cancel).unwrap();
                Box::new(CpuEngine::build(&built.network, threads, shape).unwrap())
            }
            Kernels::OnnxRuntime(runtime) => {
                let network = build_onnx(architecture, &mut weights).unwrap();
                let options = EngineOptions::new(Provider::Cpu);
                Box::new(OrtEngine::build(runtime, network.bytes, shape, &options, &cancel).unwrap())
            }
        }
    }
}

/// What the system says of this process: `VmRSS:`, what it holds, or `VmHWM:`, the most that it ever held.
fn bytes_held(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Bytes that are held while the largest tensor is read.
fn largest_read(architecture: &Architecture) -> u64 {
    let tensors = expected_tensors(architecture, false).into_iter();
    let values = tensors.map(|(_, shape)| shape.into_iter().product::<usize>() as u64);
    values.max().unwrap() * 4
}

/// Bytes of the tile and of the logits.
fn tile_bytes(architecture: &Architecture) -> u64 {
    let n_voxels = architecture.patch().iter().product::<usize>();
    (4 * n_voxels * (architecture.n_channels() + architecture.n_classes())) as u64
}

/// Prints what this process grows by: what stays, at the peak, and what stays when the engine rests.
fn measure(network: &Network, kernels: &str) {
    let kernels = Kernels::new(kernels);
    drop(kernels.engine(&plain("tiny", &[4, 4], &[16, 16, 16], 2).architecture()));
    let before = bytes_held("VmRSS:");
    let mut engine = kernels.engine(&network.architecture());
    let mut output = vec![0.0; engine.tile_shape().output_len()];
    let input = vec![1.0; engine.tile_shape().input_len()];
    engine.run(&input, &mut output).unwrap();
    drop((input, output));
    let [stays, peak] = ["VmRSS:", "VmHWM:"].map(|name| bytes_held(name).saturating_sub(before));
    engine.rest();
    let idle = bytes_held("VmRSS:").saturating_sub(before);
    println!("{stays} {peak} {idle}");
}

fn main() -> ExitCode {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: this system does not say what a process holds");
        return ExitCode::SUCCESS;
    }
    if let Ok(which) = std::env::var("NEPHRITE_SESSION") {
        let (kernels, index) = which.split_once(' ').unwrap();
        measure(&NETWORKS[index.parse::<usize>().unwrap()], kernels);
        return ExitCode::SUCCESS;
    }
    let mut is_right = true;
    let both = ["own", "onnxruntime"].map(|kernels| NETWORKS.iter().enumerate().map(move |n| (kernels, n)));
    for (kernels, (index, network)) in both.into_iter().flatten() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.env("NEPHRITE_SESSION", format!("{kernels} {index}"));
        // What was given back goes back to the system at once, so that only what the session holds is seen.
        child.env("MALLOC_MMAP_THRESHOLD_", "131072");
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let numbers: Vec<u64> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [measured, measured_peak, measured_idle] = numbers[..] else {
            panic!(
                "{}: {text}{}",
                network.name,
                String::from_utf8_lossy(&output.stderr)
            )
        };
        let architecture = network.architecture();
        let read = largest_read(&architecture);
        let (memory, idle, building) = if kernels == "own" {
            let memory = cpu_memory(&architecture, CpuOptions::best(), N_THREADS).unwrap();
            (memory, memory.weights, cpu_building_bytes(&memory, read))
        } else {
            let memory = session_memory(&architecture);
            let building = session_building_bytes(&architecture, &memory, read);
            (memory, memory.total(), building)
        };
        let ratio = memory.total() as f64 / measured as f64;
        let peak = building.max(memory.total() + tile_bytes(&architecture));
        let peak_ratio = peak as f64 / measured_peak as f64;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        println!(
            "{kernels:12} {:30} counted {:7.1} MB (weights {:6.1}, activations {:6.1}, working {:6.1}), measured {:7.1} MB, ratio {ratio:.3}; at the peak {:7.1} MB, measured {:7.1} MB, ratio {peak_ratio:.3}; at rest {:7.1} MB, measured {:7.1} MB",
            network.name,
            mb(memory.total()),
            mb(memory.weights),
            mb(memory.activations),
            mb(memory.working),
            mb(measured),
            mb(peak),
            mb(measured_peak),
            mb(idle),
            mb(measured_idle),
        );
        is_right &= WITHIN.contains(&ratio) && WITHIN.contains(&peak_ratio);
        is_right &= idle.abs_diff(measured_idle) <= (memory.total() / 20).max(2 << 20);
    }
    println!(
        "counted over measured must be from {} to {}, and at rest within 5 % of what a run takes, or 2 MiB",
        WITHIN.start(),
        WITHIN.end()
    );
    if is_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
