//! Resizes volumes and label maps with the numerics of nnU-Net.
