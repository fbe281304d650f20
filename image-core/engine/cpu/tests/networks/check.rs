//! Runs a network at every level and on several threads, and compares with the reference.

use nephrite_cpu::{CpuError, CpuOptions, LayerTime, Level, Network, Precision, Runner, Threads};

use nephrite_layers::test_util::case::Case;
use nephrite_layers::test_util::difference::{Difference, difference};
use nephrite_layers::test_util::reference;

/// Largest error per layer, in standard deviations of the reference's output; `accuracy.rs` measures what they really are.
///
/// A matrix product of copied windows errs as a plain sum does. Minimal filtering adds the rounding of its transforms.
pub(crate) mod tolerance {
    pub(crate) const DIRECT: f64 = 1e-5;
    pub(crate) const WINOGRAD_2: f64 = 4e-6;
    pub(crate) const WINOGRAD_4: f64 = 2e-5;
}

/// Those of this processor.
pub(crate) fn levels() -> Vec<Level> {
    Level::ALL
        .into_iter()
        .filter(|level| level.is_available())
        .collect()
}

pub(crate) fn options(level: Level) -> CpuOptions {
    CpuOptions {
        level,
        precision: Precision::F32,
    }
}

/// Not tied to processors.
pub(crate) fn threads(n: usize) -> Threads {
    Threads::new(n, false).unwrap()
}

pub(crate) fn load(case: &Case, options: CpuOptions, threads: &Threads) -> Result<Network, CpuError> {
    Network::load(&case.graph, options, threads, |param| {
        Ok::<_, CpuError>(case.params[param.0].clone())
    })
}

pub(crate) fn runner(case: &Case, options: CpuOptions, threads: &Threads) -> Runner {
    load(case, options, threads).unwrap().runner(threads).unwrap()
}

pub(crate) fn n_logits(case: &Case) -> usize {
    case.graph.shape(case.graph.output).n_values() as usize
}

/// The logits and what every step took.
pub(crate) fn profile(case: &Case, options: CpuOptions, threads: &Threads) -> (Vec<f32>, Vec<LayerTime>) {
    let mut logits = vec![f32::NAN; n_logits(case)];
    let times = runner(case, options, threads)
        .profile(&case.tile, &mut logits)
        .unwrap();
    (logits, times)
}

pub(crate) fn run(case: &Case, level: Level) -> Vec<f32> {
    profile(case, options(level), &threads(1)).0
}

/// The logits of 1, 2 and 3 threads, which must be the same bytes; before the last run another one fills all memory with
/// NaN. Also what ran.
pub(crate) fn run_on_all_threads(case: &Case, options: CpuOptions) -> (Vec<f32>, Vec<String>) {
    let level = options.level;
    let (one, times) = profile(case, options, &threads(1));
    let (two, _) = profile(case, options, &threads(2));
    let mut runner = runner(case, options, &threads(3));
    let mut three = vec![f32::NAN; one.len()];
    runner.run(&vec![f32::NAN; case.tile.len()], &mut three).unwrap();
    runner.run(&case.tile, &mut three).unwrap();
    let bits = |logits: &[f32]| logits.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
    assert!(bits(&one) == bits(&two), "{level}: 1 and 2 threads differ");
    assert!(bits(&one) == bits(&three), "{level}: 1 and 3 threads differ");
    (one, times.into_iter().map(|time| time.kind).collect())
}

/// Compares with the reference at every level, and asserts what ran; a copy to the logits need not be named.
pub(crate) fn check(name: &str, case: &Case, kinds: &[&str], tolerance: f64) {
    check_at(&levels(), name, case, kinds, tolerance);
}

pub(crate) fn check_at(levels: &[Level], name: &str, case: &Case, kinds: &[&str], tolerance: f64) {
    let expected = reference::run::<f64>(case);
    for &level in levels {
        let (logits, found) = run_on_all_threads(case, options(level));
        // Logits that the last step does not write itself are copied.
        let copied = [kinds, &["sum"]].concat();
        assert!(
            are(&found, kinds) || are(&found, &copied),
            "{name}, {level}: {found:?} ran"
        );
        let Difference { rms, max } = difference(&expected, &logits);
        eprintln!("{name}, {level}: rms {rms:.1e}, max {max:.1e} of {tolerance:.1e}");
        assert!(max <= tolerance, "{name}, {level}: {max:.2e} > {tolerance:.1e}");
    }
}

/// Whether these kinds ran. Whether a direct convolution goes through windows or lines matters to those that name it alone.
fn are(found: &[String], kinds: &[&str]) -> bool {
    let is =
        |(found, kind): (&String, &&str)| found == kind || (*kind == "direct" && found == "direct lines");
    found.len() == kinds.len() && found.iter().zip(kinds).all(is)
}

/// Compares with the reference, whatever runs. Errors of layers add up as random ones do.
pub(crate) fn check_kindless(case: &Case, levels: &[Level]) {
    let expected = reference::run::<f64>(case);
    for &level in levels {
        let (logits, kinds) = run_on_all_threads(case, options(level));
        let n_convs = kinds
            .iter()
            .filter(|kind| *kind != "sum" && *kind != "pool")
            .count();
        let tolerance = tolerance::WINOGRAD_4 * (n_convs as f64).sqrt();
        let Difference { rms, max } = difference(&expected, &logits);
        eprintln!("{n_convs} convolutions, {level}: rms {rms:.1e}, max {max:.1e} of {tolerance:.1e}");
        assert!(
            max <= tolerance,
            "{level}, {kinds:?}: {max:.2e} > {tolerance:.1e}"
        );
    }
}
