//! Times a sample of a raw label map: `time_sample FILE NZ NY NX FOLDER`, one byte per voxel, x fastest.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program to look at figures with

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ndarray::Array3;
use nephrite_kernel::{
    Artefacts, CancelToken, Context, Inputs, LabelTable, Limits, Mask, ParameterValue, RunMask, run_checked,
};
use nephrite_sample::Sample;
use nephrite_types::{Affine, Geometry, Labels, Shape3, Spacing};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let shape: [usize; 3] = std::array::from_fn(|axis| arguments[2 + axis].parse().unwrap());
    let array = Array3::from_shape_vec(shape, std::fs::read(&arguments[1]).unwrap()).unwrap();
    let spacing = Spacing::new([1.0, 0.75, 0.75]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let limits = Limits::default();
    let cancel = CancelToken::new();
    let runs = RunMask::from_labels(&Labels::U8(array), &geometry, &limits).unwrap();
    let ids: Vec<u16> = runs.summaries().into_keys().collect();
    let mask = Arc::new(Mask::new(runs, LabelTable::numbered(ids)).unwrap());
    println!(
        "{} runs, {} labels",
        mask.runs().runs().len(),
        mask.labels().entries().len()
    );
    let folder = Path::new(&arguments[5]);
    std::fs::create_dir_all(folder).unwrap();
    let names = ["mask_file", "preview", "statistics", "meshes"];
    let time = |what: &str, on: &[&str], parameters: &[(&str, ParameterValue)]| {
        let flags = names
            .iter()
            .map(|name| ((*name).to_owned(), ParameterValue::Flag(on.contains(name))));
        let mut given: BTreeMap<_, _> = flags.collect();
        given.extend(
            parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let dir = cap_std::fs::Dir::open_ambient_dir(folder, cap_std::ambient_authority()).unwrap();
            let artefacts = Artefacts::new(dir, folder);
            let context = Context {
                limits: &limits,
                cancel: &cancel,
                artefacts: Some(&artefacts),
            };
            let inputs = Inputs::new().with("mask", mask.clone());
            let start = Instant::now();
            run_checked(&Sample::new(), &inputs, &given, &context).unwrap();
            best = best.min(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("{what}: {best:.1} ms");
    };
    let small = [("max_voxels", ParameterValue::Integer(1_000_000))];
    time("measurements only", &[], &[]);
    time("to 1 M voxels, without files", &[], &small);
    time("to 1 M voxels, mask file", &["mask_file"], &small);
    time("preview", &["preview"], &[]);
    time("statistics", &["statistics"], &[]);
    time("meshes of all labels", &["meshes"], &[]);
    time(
        "all but meshes, 1 M voxels",
        &["mask_file", "preview", "statistics"],
        &small,
    );
}
