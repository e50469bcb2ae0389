//! Figures for Prometheus, in the OpenMetrics text form. They are read when they are asked for; nothing is counted
//! twice.

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::{
    node::Node,
    rpc::{Code, Failure},
};

/// Media type of the OpenMetrics text form.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All figures as text.
pub(super) async fn export(node: &Node) -> Result<String, Failure> {
    let status = node.status().await?;
    let mut registry = Registry::with_prefix("modelswarm");
    let mut gauge = |name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)));
    };
    gauge("peers", "Connected peers", status.peers);
    gauge("repos", "Versions in the library", status.repos);
    gauge("blocks", "Blocks in the index", status.store.blocks);
    gauge("index_size_bytes", "Bytes of the index on the disk", status.store.index_bytes);
    gauge("free_space_bytes", "Free bytes where the library lies", status.store.free_bytes);
    gauge("transfers", "Fetches under way", status.transfers.len() as u64);
    gauge(
        "changed_files",
        "Files changed or missing since they were indexed",
        status.changed.len() as u64,
    );
    gauge("announced_cids", "CIDs that peers can find this node by", status.announced);
    gauge("uptime_seconds", "Seconds since the daemon started", status.health.uptime_seconds);
    let mut counter = |name: &str, help: &str, value: u64| {
        registry.register_with_unit(name, help, Unit::Bytes, ConstCounter::new(value));
    };
    counter("received", "Payload from peers", status.bytes_in);
    counter("sent", "Payload to peers", status.bytes_out);
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|why| Failure::new(Code::Failure, format!("cannot write metrics: {why}")))?;
    Ok(text)
}
