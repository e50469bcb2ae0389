//! The default preset as people run it: no setting at all, on machines of a LAN.
//!
//! It looks around by mDNS, so it runs nowhere but in network namespaces made for the test: every command of these
//! tests goes through [`Host`]. Addresses of 203.0.113.0/24 lie outside the LAN, behind a router.

use std::{ffi::OsStr, path::Path, rc::Rc, thread, time::Duration};

use modelswarm::limits;
use serde_json::Value;

use crate::common::{
    Daemon, Home, Output, Running,
    files::{self, MIB, MODEL_FILES},
    has_record,
    netns::{self, Machine},
    number, text, until,
};

/// A machine, and somebody's home on it.
struct Host {
    machine: Rc<Machine>,
    home: Home,
}

impl Host {
    fn new(machine: Machine) -> Self {
        Self { machine: Rc::new(machine), home: Home::new() }
    }

    /// Somebody else on the same machine.
    fn another(&self) -> Self {
        Self { machine: Rc::clone(&self.machine), home: Home::new() }
    }

    /// Starts a command whose answer is to be JSON.
    fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Running {
        let mut command = self.home.bare();
        command.arg("--home").arg(self.home.path()).args(args).arg("--json");
        Running::spawn(self.machine.enter(&command))
    }

    fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.start(args).wait()
    }

    fn ask<S: AsRef<OsStr>>(&self, args: &[S]) -> Value {
        self.run(args).ok()
    }

    fn get(&self, reference: &str, more: &[&str]) -> Output {
        self.run(&[&["get", reference], more].concat())
    }

    fn daemon(&self, more: &[&str]) -> Daemon {
        let mut command = self.home.bare();
        command.arg("--home").arg(self.home.path()).arg("daemon").args(more);
        Daemon::start(self.machine.enter(&command))
    }

    /// Seeds a small model; its folder and the answer.
    fn seed(&self, name: &str, seed: u64, more: &[&str]) -> (std::path::PathBuf, Value) {
        let model = self.home.model(name, seed);
        let mut args = vec![OsStr::new("seed"), model.as_os_str()];
        args.extend(more.iter().map(OsStr::new));
        let seeded = self.ask(&args);
        (model, seeded)
    }

    /// Waits until its daemon has told peers of this many CIDs.
    fn announced(&self, at_least: u64) {
        until("the announcement", || {
            let status = self.ask(&["status"]);
            let told = status["last_announced"].is_string();
            (told && status["announced"].as_u64() >= Some(at_least)).then_some(())
        });
    }

    /// The peers its daemon is connected to.
    fn peers(&self) -> Vec<String> {
        let answer = self.ask(&["peers"]);
        let peers = answer["peers"].as_array().expect("peers");
        peers.iter().map(|peer| text(peer, "peer_id").to_owned()).collect()
    }

    /// Waits until its daemon is connected to these.
    fn meets(&self, others: &[&Daemon]) {
        until("peers on the LAN", || {
            let peers = self.peers();
            others.iter().all(|one| peers.iter().any(|id| id == one.peer_id())).then_some(())
        });
    }
}

/// A daemon that has nothing to complain about.
fn assert_calm(daemon: &Daemon) {
    let log = daemon.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn daemons_find_each_other_and_what_they_hold_by_themselves() {
    let ips = [[10, 77, 0, 1], [10, 77, 0, 2], [10, 77, 0, 3]];
    let Some(machines) = netns::machines(ips) else { return };
    let [a, b, c] = machines.map(Host::new);
    let (first, second) = (a.daemon(&[]), b.daemon(&[]));
    let told: Vec<_> = first.ready["addrs"].as_array().expect("addresses").iter().collect();
    let own = |what: &str| format!("/ip4/10.77.0.1/{what}/p2p/{}", first.peer_id());
    assert_eq!(told[0], &own("tcp/8643"), "what others can reach comes first");
    assert_eq!(told[1], &own("udp/8643/quic-v1"));
    assert!(!told.iter().any(|addr| addr.to_string().contains("fe80")), "{told:?}");
    a.meets(&[&second]);
    b.meets(&[&first]);

    let (model, seeded) = a.seed("tiny-bert", 41, &[]);
    a.announced(2);
    // What the other holds of it before anybody asks.
    assert_eq!(second.terminate(), 0);
    for field in ["release", "root"] {
        assert!(has_record(&b.home, text(&seeded, field), first.peer_id()), "no {field}");
    }
    let second = b.daemon(&[]);
    let third = c.daemon(&[]);
    a.meets(&[&second, &third]);
    b.meets(&[&first, &third]);
    c.meets(&[&first, &second]);
    let got = c.get(text(&seeded, "release"), &[]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&model));
    assert_eq!(got["provenance"]["status"], "verified");
    c.announced(2);
    for daemon in [&first, &second, &third] {
        assert_calm(daemon);
    }
}

#[test]
fn a_lone_get_finds_a_daemon_on_its_lan() {
    let Some(machines) = netns::machines([[10, 77, 0, 1], [10, 77, 0, 2]]) else { return };
    let [a, b] = machines.map(Host::new);
    let _daemon = a.daemon(&[]);
    let (model, seeded) = a.seed("tiny-bert", 42, &[]);
    let got = b.get(text(&seeded, "release"), &[]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&model));
    assert_eq!(number(&got, "files"), MODEL_FILES);
    let nothing = b.get("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", &[]);
    nothing.fails(3).says("1 peer on this LAN was asked");
}

#[test]
fn neighbours_stay_connected_though_nothing_moves() {
    let Some(machines) = netns::machines([[10, 77, 0, 1], [10, 77, 0, 2]]) else { return };
    let [a, b] = machines.map(Host::new);
    let (first, second) = (a.daemon(&[]), b.daemon(&[]));
    a.meets(&[&second]);
    thread::sleep(limits::IDLE_CONNECTION + Duration::from_secs(5));
    assert_eq!(
        (a.peers(), b.peers()),
        (vec![second.peer_id().to_owned()], vec![first.peer_id().to_owned()])
    );
}

#[test]
fn a_neighbour_that_was_away_is_asked_again() {
    let Some(machines) = netns::machines([[10, 77, 0, 1], [10, 77, 0, 2]]) else { return };
    let [a, b] = machines.map(Host::new);
    let (first, second) = (a.daemon(&[]), b.daemon(&[]));
    a.meets(&[&second]);
    let (_, seeded) = a.seed("tiny-bert", 43, &[]);
    a.announced(2);
    // It comes back without a word: no connection, as after a minute in which nobody wanted anything. Both listen on
    // the same port everywhere, on loopback too.
    first.kill();
    until("the end of the connection", || b.peers().is_empty().then_some(()));
    let _first = a.daemon(&["--set", "network.mdns=false"]);
    let shown = a.ask(&["show", "tiny-bert"]);
    let entries = shown["entries"].as_array().expect("entries");
    let file = entries.iter().find(|entry| entry["path"] == "tokenizer.json").expect("the file");
    // No DHT lists such a part.
    let part = b.home.beside("part");
    let to = ["-o", part.to_str().expect("temporary paths are UTF-8")];
    b.get(text(file, "cid"), &to).ok();
    b.get(text(&seeded, "release"), &[]).ok();
}

#[test]
fn nobody_outside_is_dialled_or_answered_unless_given_by_hand() {
    let ips = [[10, 77, 0, 1], [10, 77, 0, 2], [203, 0, 113, 7]];
    let Some(machines) = netns::machines(ips) else { return };
    let [a, b, far] = machines.map(Host::new);
    let (first, second, outside) = (a.daemon(&[]), b.daemon(&[]), far.daemon(&[]));
    a.meets(&[&second]);
    let (model, open) = a.seed("open", 44, &[]);
    let (_, secret) = a.seed("secret", 45, &["--visibility", "private"]);
    let (far_model, theirs) = far.seed("theirs", 46, &[]);
    let (open, secret) = (text(&open, "release"), text(&secret, "release"));
    let theirs = text(&theirs, "release");

    // Not answered: the way is there, as is seen below.
    far.run(&["connect", first.addr()]).fails(6);
    let stranger = far.another();
    let refused = stranger.get(open, &["--peer", first.addr()]);
    refused.fails(3).says("1 peer on this LAN was asked");
    assert!(refused.stderr.contains("was not reached"), "only its own neighbour: {refused:#?}");
    // Not dialled, though a neighbour that was told of it by hand passes its address on.
    b.ask(&["connect", outside.addr()]);
    far.announced(3);
    assert_eq!(
        number(&b.ask(&["status"]), "records_held"),
        6,
        "release, root and index from either side"
    );
    a.get(theirs, &[]).fails(3).says("1 peer on this LAN was asked");
    assert_eq!(a.peers(), [second.peer_id()]);
    assert_eq!(far.peers(), [second.peer_id()]);

    // Given by hand it is a peer like those of the LAN, in both directions; its neighbour is not.
    let got = a.get(theirs, &["--peer", outside.addr()]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&far_model));
    let got = far.get(open, &[]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&model));
    let (_, later) = a.seed("later", 48, &[]);
    stranger.get(text(&later, "release"), &["--peer", first.addr()]).fails(3);
    // What is private goes to nobody.
    for host in [&b, &far] {
        host.get(secret, &[]).fails(3);
    }
    assert_calm(&first);
}

/// What happens to a seeder in the middle of a transfer.
fn a_second_seeder_takes_over(lost: impl FnOnce(&Host, Daemon)) {
    let ips = [[10, 77, 0, 1], [10, 77, 0, 2], [10, 77, 0, 3]];
    let Some(machines) = netns::machines(ips) else { return };
    let [a, b, c] = machines.map(Host::new);
    let size = 128 * MIB;
    let models = [&a, &b].map(|host| {
        let model = host.home.beside("large");
        files::model(&model, 47, size);
        model
    });
    let first = a.daemon(&[]);
    let seed = |host: &Host, model: &Path| {
        host.ask(&[OsStr::new("seed"), model.as_os_str(), OsStr::new("--unsigned")])
    };
    let seeded = seed(&a, &models[0]);
    assert_eq!(seed(&b, &models[1])["root"], seeded["root"]);
    let out = c.home.beside("out");
    let to = ["-o", out.to_str().expect("temporary paths are UTF-8")];
    let get = c.start(&[&["get", text(&seeded, "root")], &to[..]].concat());
    until("a part", || files::partial_bytes(&out).filter(|bytes| *bytes > 8 * MIB as u64));
    first.pause();
    let there = files::partial_bytes(&out).expect("not whole yet");
    assert!(there < size as u64, "the test must stop it in the middle");
    lost(&a, first);
    let _second = b.daemon(&[]);
    get.wait().ok();
    assert_eq!(files::tree(&out), files::tree(&models[0]));
}

#[test]
fn a_daemon_killed_in_the_middle_is_replaced_by_one_that_comes() {
    a_second_seeder_takes_over(|_, daemon| daemon.kill());
}

#[test]
fn a_machine_that_loses_its_cable_in_the_middle_is_replaced_by_one_that_comes() {
    a_second_seeder_takes_over(|host, daemon| {
        host.machine.unplug();
        daemon.kill();
    });
}
