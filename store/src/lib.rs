//! The content engine of Seawall.

pub mod image;
