//! What nnU-Net does at inference: preprocess, tiles, streaming export, postprocessing.
