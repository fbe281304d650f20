//! The operation `sample`: a small label map of what matters, a preview, statistics and meshes. `README.md` describes
//! the parameters and the files.

pub mod canvas;
mod crop;
mod error;
mod extent;
mod files;
mod mesh;
mod mesh_cases;
mod operation;
mod preview;
mod reduce;
mod spans;
mod statistics;
mod stl;
mod surface;

pub use crop::{choose, crop, crop_box};
pub use error::SampleError;
pub use operation::Sample;
pub use preview::{Plane, label_color, preview_over};
