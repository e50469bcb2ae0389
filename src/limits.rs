//! Every bound and protocol constant of the node, in one place: `limits::NAME`, whichever layer it is for.
//!
//! Each says its unit and why it is that number; where a specification sets it, which one. Nothing here reads a
//! setting: what a user may change stands in `config` and is checked against these.

mod card;
mod dag;
mod exchange;
mod gateway;
mod library;
mod network;
mod store;

pub use self::{card::*, dag::*, exchange::*, gateway::*, library::*, network::*, store::*};

/// Kibibyte, mebibyte: what sizes are written in.
pub const KIB: usize = 1024;
/// See [`KIB`].
pub const MIB: usize = 1024 * KIB;
