//! `status`, `peers` and `connect`.

use super::{
    card::loud,
    keep::count_of_indexes,
    output::{Screen, count, print_text, size},
    resolve::Context,
};
use crate::{
    config::rates::{Rate, Rates},
    rpc::{NameLine, Peers, Status},
};

pub(super) fn print(answer: &Status, context: &Context, screen: &Screen) {
    let mut text = match (answer.health.daemon, answer.health.pid) {
        (true, Some(pid)) => format!(
            "  daemon   pid {pid}, up {} s, network {}\n",
            answer.health.uptime_seconds, answer.network
        ),
        _ => format!("  no daemon runs on {}\n", context.home.dir().display()),
    };
    for address in &answer.addrs {
        text += &format!("  address  {address}\n");
    }
    text += &format!(
        "  library  {}, {}, index {}, {} free\n",
        count(answer.repos, "version"),
        count(answer.store.blocks, "block"),
        size(answer.store.index_bytes),
        size(answer.store.free_bytes)
    );
    if answer.store.damaged_indexes > 0 {
        text += &format!(
            "  aside    {}, {}: what repair replaced; `modelswarm gc` deletes it\n",
            count_of_indexes(answer.store.damaged_indexes),
            size(answer.store.damaged_index_bytes)
        );
    }
    if answer.health.daemon {
        text += &format!(
            "  peers    {}, received {}, sent {}\n",
            answer.peers,
            size(answer.bytes_in),
            size(answer.bytes_out)
        );
        let when = match &answer.last_announced {
            Some(when) => format!(", last announced {when}"),
            None if answer.announced > 0 => ", announced never: no peer to tell".to_owned(),
            None => String::new(),
        };
        text += &format!("  findable {}{when}\n", count(answer.announced, "CID"));
    }
    for transfer in &answer.transfers {
        let total = transfer.total.map(|total| format!(" / {}", size(total))).unwrap_or_default();
        text += &format!(
            "  {} {}  {}{total}  to {}\n",
            if transfer.resumed { "going on" } else { "fetching" },
            transfer.root,
            size(transfer.bytes),
            transfer.path.display()
        );
    }
    for line in &answer.refuted {
        let version =
            line.version.as_deref().map(|version| format!("@{version}")).unwrap_or_default();
        text += &format!(
            "  REFUTED  {}{version}: its publisher's statements of the files {}\n           card {}\n",
            line.name, line.statements, line.card
        );
    }
    for line in &answer.unpublished {
        text += &format!("  NOT PUBLISHED  {}: {}\n", line.name, line.why);
    }
    text += &names(&answer.names);
    for line in &answer.trust {
        text += &format!("  WARNING  {line}\n");
    }
    for line in &answer.withdrawn {
        let version =
            line.version.as_deref().map(|version| format!("@{version}")).unwrap_or_default();
        text += &format!(
            "  {}  {}{version}: its publisher says so; root {}\n",
            loud(line.stated),
            line.name,
            line.root
        );
    }
    if answer.unchecked > 0 {
        text += &format!(
            "  compared with their cards: all but {}\n",
            count(answer.unchecked, "version")
        );
    }
    for file in &answer.changed {
        text += &format!("  {:8} {}\n", file.state, file.path.display());
    }
    print_text(&text);
    if !answer.changed.is_empty() {
        screen.hint(
            "seed the folder again to share what it holds now, or `modelswarm get` to restore",
        );
    }
}

/// The home's own names, where something is to be done about them.
fn names(lines: &[NameLine]) -> String {
    let ends = lines.iter().filter(|line| line.ends_soon).map(|line| {
        format!(
            "  WARNING  your names end at {} ({}), {} unfindable by name from then on: modelswarm name publish\n",
            line.valid_until,
            line.scope,
            count(line.repos, "repo")
        )
    });
    ends.collect()
}

pub(super) fn print_peers(answer: &Peers, screen: &Screen) {
    if answer.peers.is_empty() {
        print_text("  no peers connected\n");
        screen.hint(
            "connections that nobody uses end, and a fetch looks for peers by itself; by hand: `modelswarm connect MULTIADDR`",
        );
        return;
    }
    let lines: String = answer
        .peers
        .iter()
        .map(|peer| {
            let rtt = peer.rtt_ms.map(|rtt| format!("  {rtt:.1} ms")).unwrap_or_default();
            format!(
                "  {}{rtt}  in {}  out {}  {}\n    {}\n",
                peer.peer_id,
                size(peer.bytes_in),
                size(peer.bytes_out),
                peer.agent.as_deref().unwrap_or("unknown software"),
                peer.address
            )
        })
        .collect();
    print_text(&lines);
}

pub(super) fn print_limits(answer: &Rates) {
    let shown = |rate: Rate| match rate.bytes() {
        Some(bytes) => format!("{}/s", size(bytes)),
        None => "no limit".to_owned(),
    };
    print_text(&format!(
        "  all peers  up {}, down {}\n  each peer  up {}, down {}\n",
        shown(answer.max_up),
        shown(answer.max_down),
        shown(answer.peer_max_up),
        shown(answer.peer_max_down)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_of_a_line_each_where_they_end_soon_and_not_otherwise() {
        let line = |scope: &str, ends_soon| NameLine {
            scope: scope.to_owned(),
            index: "baguqeera".to_owned(),
            sequence: 3,
            valid_until: "2026-12-01T00:00:00Z".to_owned(),
            ends_soon,
            repos: 2,
            peers: None,
            contradicted: Vec::new(),
        };
        assert_eq!(names(&[]), "");
        assert_eq!(names(&[line("lan", false), line("public", false)]), "");
        let told = names(&[line("lan", true), line("public", false)]);
        assert_eq!(told.lines().count(), 1);
        for said in ["WARNING", "lan", "2026-12-01T00:00:00Z", "2 repos", "modelswarm name publish"]
        {
            assert!(told.contains(said), "{said} in {told}");
        }
    }
}
