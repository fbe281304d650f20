//! Network inputs on NVIDIA cards.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayView4, Axis, Slice};
use nephrite_cuda::{CudaError, Network, Scan};

/// What cards hold of a network input.
#[derive(Debug, Default)]
pub struct ScansOnCards(Mutex<Vec<Arc<Scan>>>);

impl Clone for ScansOnCards {
    /// Nothing: a copy of an input is uploaded again.
    fn clone(&self) -> Self {
        ScansOnCards::default()
    }
}

impl ScansOnCards {
    /// The whole input, `[channel, z, y, x]`, on the card of a network, uploaded now if it is not there.
    pub(crate) fn whole(&self, network: &Network, data: ArrayView4<'_, f32>) -> Result<Arc<Scan>, CudaError> {
        let mut scans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let suits = |scan: &&Arc<Scan>| scan.suits(network.card(), network.precision());
        if let Some(scan) = scans.iter().find(suits) {
            return Ok(scan.clone());
        }
        let n_planes = data.dim().1;
        let scan = Arc::new(upload(network, data, 0, 0..n_planes)?);
        scans.push(scan.clone());
        Ok(scan)
    }

    /// Gives back what cards hold.
    pub(crate) fn leave(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Copies planes across `axis` to the card of a network.
pub(crate) fn upload(
    network: &Network,
    data: ArrayView4<'_, f32>,
    axis: usize,
    planes: Range<usize>,
) -> Result<Scan, CudaError> {
    let part = data.slice_axis(Axis(axis + 1), Slice::from(planes.clone()));
    let (n_channels, n_z, n_y, n_x) = part.dim();
    let mut origin = [0; 3];
    origin[axis] = planes.start as i64;
    let size = [n_z, n_y, n_x];
    let row = |channel: usize, z: usize, y: usize, to: &mut [f32]| {
        let row = part.slice(ndarray::s![channel, z, y, ..]);
        to.iter_mut().zip(row).for_each(|(to, value)| *to = *value);
    };
    Scan::upload(network.card(), network.precision(), n_channels, size, origin, row)
}
