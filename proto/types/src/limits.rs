//! What one request may cost, compared before anything is allocated.

/// What a single request may cost. Checked before anything is allocated; strict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Voxels of one volume, on the scan's grid and on the network's grid.
    pub max_voxels: u64,
    /// Bytes of one decoded voxel payload.
    pub max_payload_bytes: u64,
    /// Bytes of one weight file, and of all tensors read from it.
    pub max_checkpoint_bytes: u64,
    /// Bytes of one JSON file (plans, dataset, postprocessing, record) and of one pipeline file.
    pub max_json_bytes: u64,
    /// Bytes of the pickle inside a checkpoint.
    pub max_pickle_bytes: u64,
    /// Output channels of one network.
    pub max_classes: usize,
    /// Places where a patch lies in one volume.
    pub max_tiles: u64,
    /// Bytes that the rolling accumulator and one tile's output may take.
    pub max_accumulator_bytes: u64,
    /// Bytes that the network of one fold may keep in memory while it runs a tile: weights and activations.
    pub max_network_bytes: u64,
    /// Rows (z times y) of one mask in run form; 4 bytes each.
    pub max_mask_rows: u64,
    /// Runs of one mask; 12 bytes each.
    pub max_mask_runs: u64,
}

impl Limits {
    /// Generous for clinical scans: 2 G voxels, 8 GiB payload, 8 GiB weights, 4 MiB JSON, 64 MiB pickle, 1024
    /// classes, 1 M tiles, 16 GiB of class sums, 12 GiB for one network, 16 M rows and 32 M runs of a mask.
    pub const DEFAULT: Limits = Limits {
        max_voxels: 2 << 30,
        max_payload_bytes: 8 << 30,
        max_checkpoint_bytes: 8 << 30,
        max_json_bytes: 4 << 20,
        max_pickle_bytes: 64 << 20,
        max_classes: 1024,
        max_tiles: 1 << 20,
        max_accumulator_bytes: 16 << 30,
        max_network_bytes: 12 << 30,
        max_mask_rows: 16 << 20,
        max_mask_runs: 32 << 20,
    };
}

impl Default for Limits {
    /// [`Limits::DEFAULT`]
    fn default() -> Self {
        Limits::DEFAULT
    }
}
