//! Reads the golden networks; shared by the tests and the example.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use nephrite_nnunet_network::{Architecture, NetworkError, WeightSource};
use serde_json::{Map, Value};

type Failure = Box<dyn Error + Send + Sync>;

/// Tensors by name, and the description of the network they belong to.
pub(crate) struct Golden {
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// `class_name`, `n_channels`, `n_classes`, `patch`, `arch_kwargs`.
    pub(crate) network: Value,
    /// Every name of the state dict, aliases included.
    #[allow(dead_code)] // the example has no use for it
    pub(crate) state_dict: Vec<String>,
}

impl Golden {
    /// The format: length of the header (u64), header (JSON), tensors (little-endian f32).
    pub(crate) fn read(path: &Path) -> Result<Golden, Failure> {
        let bytes = std::fs::read(path)?;
        let (len, rest) = bytes.split_first_chunk::<8>().ok_or("no header")?;
        let (header, data) = rest
            .split_at_checked(u64::from_le_bytes(*len) as usize)
            .ok_or("header is cut off")?;
        let header: Map<String, Value> = serde_json::from_slice(header)?;
        let metadata =
            |key: &str| serde_json::from_str(header["__metadata__"][key].as_str().unwrap_or("null"));
        let mut tensors = BTreeMap::new();
        for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
            let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone())?;
            let [start, end]: [usize; 2] = serde_json::from_value(entry["data_offsets"].clone())?;
            let raw = data.get(start..end).ok_or("tensor is cut off")?;
            let values = raw
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            tensors.insert(name.clone(), (shape, values));
        }
        Ok(Golden {
            tensors,
            network: metadata("network")?,
            state_dict: serde_json::from_value(metadata("state_dict")?)?,
        })
    }

    pub(crate) fn architecture(&self) -> Result<Architecture, NetworkError> {
        parse(&self.network)
    }
}

/// From the description that `make_golden.py` writes.
pub(crate) fn parse(network: &Value) -> Result<Architecture, NetworkError> {
    let size = |value: &Value| value.as_u64().expect("make_golden.py writes integers") as usize;
    let patch: Vec<usize> = network["patch"]
        .as_array()
        .expect("and lists")
        .iter()
        .map(size)
        .collect();
    let kwargs = network["arch_kwargs"].as_object().expect("and objects");
    let class_name = network["class_name"].as_str().expect("and strings");
    Architecture::parse(
        class_name,
        kwargs,
        size(&network["n_channels"]),
        size(&network["n_classes"]),
        &patch,
    )
}

impl WeightSource for Golden {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(shape, _)| shape.clone())
    }

    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Failure> {
        Ok(self.tensors.get(name).ok_or("no such tensor")?.1.clone())
    }

    fn names(&self) -> Vec<String> {
        self.tensors
            .keys()
            .filter(|name| !name.starts_with("golden."))
            .cloned()
            .collect()
    }
}
