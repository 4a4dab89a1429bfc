//! Synthetic video.
