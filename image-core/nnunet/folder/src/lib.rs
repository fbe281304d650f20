//! Reads what a researcher delivers: plans, dataset, checkpoint and postprocessing of a trained nnU-Net.
