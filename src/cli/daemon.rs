//! `daemon`: a node in the foreground, its gateway above it, until Ctrl-C or SIGTERM.

use serde_json::json;

use super::{
    converse::{interruption, runtime},
    output::print_line,
    resolve::Context,
};
use crate::{
    config::{Config, Layer},
    gateway::Gateway,
    node::{Node, Role},
    rpc::{Code, Failure},
};

/// Takes the command's own flag into the settings.
pub(super) fn apply(context: &mut Context, http: Option<String>) -> Result<(), Failure> {
    if let Some(http) = http {
        context.config = context
            .config
            .with([Layer::from_setting("--http", "gateway.http", &http)])
            .map_err(|why| Failure::new(Code::Usage, why.to_string()))?;
    }
    Ok(())
}

pub(super) fn run(context: Context) -> Result<(), Failure> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        if let Some(client) = crate::client::connect(&context.home).await? {
            return Err(Failure::new(
                Code::Failure,
                format!(
                    "a daemon already runs on {} (pid {})",
                    context.home.dir().display(),
                    client.hello().pid
                ),
            )
            .hint("stop it first, or use another --home"));
        }
        serve(&context.config, &context).await
    });
    // A hash or a read that is still under way must not hold up the exit.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: &Config, context: &Context) -> Result<(), Failure> {
    let node = Node::open(context.home.clone(), config.clone(), Role::Daemon).await?;
    if node.made_home() {
        tracing::info!(home = %context.home.dir().display(), "made a new home");
    }
    let gateway = match Gateway::start(node.clone()).await {
        Ok(gateway) => gateway,
        Err(failure) => {
            node.shutdown().await;
            return Err(failure);
        }
    };
    let mut ready = json!({
        "event": "ready",
        "peer_id": node.peer_id(),
        "addrs": node.addresses().await,
    });
    if let Some(address) = gateway.http() {
        ready["http"] = json!(format!("http://{address}"));
    }
    print_line(&ready);
    let outcome = tokio::select! {
        () = interruption() => Ok(()),
        failure = node.failed() => Err(failure),
    };
    tracing::info!("stopping");
    // Before its callers are hung up on: what they asked for goes on at the next start.
    node.stopping();
    gateway.stop().await;
    node.shutdown().await;
    outcome
}
