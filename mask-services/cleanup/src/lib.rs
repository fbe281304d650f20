//! Mask operation: drops small parts, fills holes, smooths, keeps what lies near.
