//! Settings as plain values: parsing and checks, no files and no environment (those are read in `cli`).

pub mod network;
mod visibility;

pub use visibility::{Audience, Visibility, allows};
