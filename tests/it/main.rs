//! The integration tests, one binary: the architecture (`layers`) and the real program between real processes.
//!
//! Every test has homes of its own in a temporary folder, talks over loopback alone, never looks around by mDNS (but
//! `lan`, which does both in network namespaces of its own), and kills only what it started. Waits are polls with a
//! generous end, so a slow machine makes a test slow, not red.

mod adopt;
mod bad_input;
mod cat;
mod claims;
mod cli;
mod common;
mod companion;
mod content;
mod crash;
mod hf_cache;
mod hostile_peer;
mod inline;
mod keys;
mod labs;
mod lan;
mod layers;
mod licence;
mod names;
mod origins;
mod policy;
mod private;
mod rates;
mod real_model;
mod room;
mod round_trips;
mod share;
mod shared_bytes;
mod signatures;
mod single_flight;
mod statements;
mod threats;
mod versions;
