//! modelswarm

pub mod limits;

pub mod config;

pub mod dag;

pub mod exchange;

pub mod store;

pub mod network;
