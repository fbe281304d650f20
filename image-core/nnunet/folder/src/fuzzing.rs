//! What the fuzz targets call: each takes any bytes and must return, soon, without a panic.

use std::io::Cursor;

use nephrite_types::Limits;

use crate::{Checkpoint, Dataset, Plans, Postprocessing};

/// Small enough that a fuzzer notices when a size is believed.
fn limits() -> Limits {
    Limits {
        max_checkpoint_bytes: 16 << 20,
        max_json_bytes: 1 << 20,
        max_pickle_bytes: 1 << 20,
        ..Limits::default()
    }
}

/// Opens a checkpoint and reads every tensor. True if it is one.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(mut checkpoint) = Checkpoint::from_reader(Cursor::new(bytes), "checkpoint", &limits()) else {
        return false;
    };
    let names: Vec<String> = checkpoint.tensor_names().map(str::to_owned).collect();
    for name in names {
        if let Ok((shape, values)) = checkpoint.read_tensor_f32(&name) {
            assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        }
    }
    true
}

/// Reads plans and resolves every configuration, and reads the same bytes as a dataset. True if it is either.
pub fn plans(bytes: &[u8]) -> bool {
    let plans = Plans::from_json("plans.json", bytes, &limits());
    if let Ok(plans) = &plans {
        for name in plans.configuration_names() {
            let _ = plans.configuration(name); // any error will do
        }
    }
    plans.is_ok() || Dataset::from_json("dataset.json", bytes, &limits()).is_ok()
}

/// Reads a pickled postprocessing. True if it is one.
pub fn postprocessing_pickle(bytes: &[u8]) -> bool {
    Postprocessing::from_pickle("postprocessing.pkl", bytes.to_vec()).is_ok()
}
