//! The local HTTP endpoint.

use serde::{Deserialize, Serialize};

use crate::limits;

/// The local HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on, or `off`. Beyond loopback every request needs the token.
    pub http: String,
    /// Names besides `localhost` and the loopback addresses that requests may be sent to: what stands in `Host`.
    pub hosts: Vec<String>,
    /// Whose repos are fetched because a client reads them.
    pub fetch: OnDemand,
    /// Whether the daemon signs with the home's key what is uploaded through the endpoint.
    pub publish_key: bool,
    /// Bytes of the largest repo that is fetched so.
    pub repo_max: u64,
    /// Bytes that stay free on the disk when something is fetched so.
    pub reserve: u64,
    /// Folder of the Hugging Face clients' cache, such as `~/.cache/huggingface/hub`, in which what `get` brings is laid out
    /// for them, without a second copy; empty: it is not.
    pub hf_cache: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: "127.0.0.1:8642".into(),
            hosts: Vec::new(),
            fetch: OnDemand::default(),
            publish_key: false,
            repo_max: limits::HUB_REPO_MAX,
            reserve: limits::HUB_RESERVE,
            hf_cache: String::new(),
        }
    }
}

/// Whose repos are fetched because a client reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDemand {
    /// Those of publishers on the trust list.
    #[default]
    Trusted,
    /// Anybody's whose key stands in the request; what carries code is refused.
    Any,
    /// Nobody's: what the library does not hold is not there.
    Off,
}
