//! Writes the ONNX model of a network that `golden/make_golden.py` (or `golden/dump_checkpoint.py`) wrote.
//!
//! `cargo run --example onnx_from_safetensors -- IN.safetensors OUT.onnx`
#![allow(clippy::print_stdout)] // a program for people

#[allow(missing_docs)]
#[path = "../golden/safetensors.rs"]
mod safetensors;

use nephrite_nnunet_network::build_onnx;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: onnx_from_safetensors IN.safetensors OUT.onnx".into());
    };
    let mut golden = safetensors::Golden::read(from.as_ref())?;
    let architecture = golden.architecture()?;
    let network = build_onnx(&architecture, &mut golden)?;
    std::fs::write(&to, &network.bytes)?;
    println!(
        "{to}: {} parameters, {} bytes, {} bytes of memory",
        network.n_parameters,
        network.bytes.len(),
        network.memory.total()
    );
    Ok(())
}
