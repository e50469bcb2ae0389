//! Every bound and protocol constant of the node, in one place.
//!
//! Each says its unit and why it is that number; where a specification sets it, which one. Nothing here reads a
//! setting: what a user may change stands in `config` and is checked against these.

/// Kibibyte, mebibyte: what sizes below are written in.
pub const KIB: usize = 1024;
/// See [`KIB`].
pub const MIB: usize = 1024 * KIB;

// ---- dag: content ----------------------------------------------------------------------------------------------

/// Bytes of a leaf in profile `unixfs-v1-2025` (IPIP-0499).
pub const CHUNK: usize = MIB;

/// Bytes of the largest block accepted or served: what every Bitswap peer must handle (Bitswap spec, "block sizes").
pub const BLOCK_MAX: usize = 2 * MIB;

// ---- card: signed statements -----------------------------------------------------------------------------------

// ---- exchange: Bitswap as a state machine ----------------------------------------------------------------------

/// Bytes of the largest Bitswap message, its length prefix not counted (Bitswap 1.2.0).
pub const MESSAGE_MAX: usize = 4 * MIB;

// ---- store: the disk -------------------------------------------------------------------------------------------

// ---- network: libp2p -------------------------------------------------------------------------------------------

// ---- library, node, gateway, client, cli -----------------------------------------------------------------------
