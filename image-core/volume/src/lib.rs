//! Reads scans from NIfTI as nnU-Net's readers do; writes label maps and volumes.
