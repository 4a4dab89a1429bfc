//! lvmae
