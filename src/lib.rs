#![doc = include_str!("../README.md")]

pub mod limits;

pub mod config;

pub mod dag;

pub mod card;

pub mod exchange;

pub mod rpc;

pub mod store;

pub mod network;

pub mod library;

pub mod node;

pub mod gateway;

pub mod client;

pub mod cli;
