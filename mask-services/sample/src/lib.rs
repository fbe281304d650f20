//! Mask operation: crop, preview, statistics and meshes of a mask.
