//! Peers that are asked for blocks and answer with wrong bytes, half of them, or nothing: what a `get` makes of it.

use std::{
    fs, io,
    path::PathBuf,
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use modelswarm::{
    dag::{Block, Cid, block::RAW, unixfs},
    exchange::message::{Entry, WantKind},
};

use super::{
    bytes,
    peer::{Peer, Stream},
};
use crate::common::{
    Daemon, Home, PATIENCE, Running,
    files::{self, MIB},
    text, until,
};

/// A folder of eight files of one block each, and an honest daemon that serves it.
struct Content {
    folder: PathBuf,
    daemon: Daemon,
    home: Home,
    root: Block,
}

impl Content {
    fn new() -> Self {
        let home = Home::new();
        let folder = home.beside("folder");
        let entries: Vec<unixfs::Entry> = (0..8)
            .map(|n| {
                let (name, bytes) = (format!("part-{n}.bin"), files::noise(n, MIB));
                files::write(&folder.join(&name), &bytes);
                let leaf = Block::new(RAW, bytes);
                unixfs::Entry { name, cid: *leaf.cid(), tsize: MIB as u64 }
            })
            .collect();
        let root = unixfs::encode_directory(&entries);
        let daemon = home.daemon(&[]);
        let seeded = home.seed(&folder, &["--unsigned"]);
        assert_eq!(text(&seeded, "root"), root.cid().to_string(), "the same by hand");
        Self { folder, daemon, home, root }
    }

    fn root(&self) -> String {
        self.root.cid().to_string()
    }

    /// Asserts that an honest client gets it, and so that this daemon, the fetcher's or the seeder's, is well.
    #[track_caller]
    fn is_served_by(&self, daemon: &Daemon) {
        let client = Home::new();
        let got = client.get(&self.root(), &["--peer", daemon.addr()]).ok();
        let path = PathBuf::from(text(&got, "path"));
        assert!(files::tree(&path) == files::tree(&self.folder), "other bytes came");
    }
}

/// A peer that waits to be dialled and does with every want what its test says.
struct Responder {
    addr: String,
    id: String,
    asked: Receiver<Entry>,
}

impl Responder {
    /// `answer` is given each want, and the stream to write on.
    fn new(mut answer: impl FnMut(&Entry, &mut Stream) -> io::Result<()> + Send + 'static) -> Self {
        let peer = Peer::new();
        let id = peer.id();
        let (addr, connections) = peer.listen();
        let (sender, asked) = mpsc::channel();
        // It listens for as long as the test process lives, so that what is dialled late is answered too.
        thread::spawn(move || {
            let _peer = peer;
            for mut connection in connections {
                let heard = connection.heard();
                let Ok(mut stream) = connection.open() else { continue };
                for decoded in heard {
                    for want in bytes::wanted(&[decoded]) {
                        drop(answer(&want, &mut stream));
                        drop(sender.send(want));
                    }
                }
            }
        });
        Self { addr, id, asked }
    }

    /// Waits until a block of this kind was asked for, and answered.
    #[track_caller]
    fn was_asked(&self, is: impl Fn(&Cid) -> bool) {
        loop {
            let want = self.asked.recv_timeout(PATIENCE).expect("asked");
            if want.kind == WantKind::Block && is(&want.cid) {
                return;
            }
        }
    }
}

#[test]
fn wrong_bytes_under_a_wanted_prefix_are_not_accepted_and_an_honest_peer_still_gives_all() {
    let content = Content::new();
    let liar = Responder::new(|want, stream| match want.kind {
        WantKind::Have => stream.write(&bytes::have(&want.cid)),
        WantKind::Block => {
            let lie = files::noise(99, 3000);
            stream.write(&[&bytes::head(&want.cid, lie.len())[..], &lie].concat())
        }
    });
    let fetcher = Home::new();
    let daemon = fetcher.daemon(&[]);
    let out = fetcher.beside("out");
    let to = ["-o", out.to_str().expect("UTF-8")];
    let alone = [&to[..], &["--peer", &liar.addr, "--timeout", "4"]].concat();
    fetcher.get(&content.root(), &alone).fails(3);
    liar.was_asked(|cid| cid == content.root.cid());
    assert!(!out.exists() || files::tree(&out).is_empty(), "nothing is presented as fetched");

    let both = [&to[..], &["--peer", &liar.addr, "--peer", content.daemon.addr()]].concat();
    fetcher.get(&content.root(), &both).ok();
    assert!(files::tree(&out) == files::tree(&content.folder), "other bytes came");
    content.is_served_by(&daemon);
}

#[test]
fn a_peer_that_answers_with_many_wrong_blocks_is_dropped_and_refused() {
    let content = Content::new();
    let liar = Responder::new(|want, stream| {
        (0..20).try_for_each(|seed| {
            let lie = files::noise(seed, 3000);
            stream.write(&[&bytes::head(&want.cid, lie.len())[..], &lie].concat())
        })
    });
    let fetcher = Home::new();
    let daemon = fetcher.daemon(&[]);
    let by = ["--peer", &liar.addr, "--timeout", "4"];
    let alone = fetcher.get(&content.root(), &by);
    assert!([3, 6].contains(&alone.code), "{alone:#?}");
    until("the penalty in the log", || {
        let log = daemon.log();
        let mut lines = log.lines();
        lines
            .any(|line| line.contains("broke the protocol") && line.contains(&liar.id))
            .then_some(())
    });
    let peers = fetcher.ask(&["peers"]);
    assert_eq!(peers["peers"], serde_json::json!([]), "it is gone");
    assert_ne!(fetcher.run(&["connect", &liar.addr]).code, 0, "and not taken back");

    let honest = ["--peer", &liar.addr, "--peer", content.daemon.addr()];
    fetcher.get(&content.root(), &honest).ok();
    content.is_served_by(&daemon);
}

/// A fetch of which a peer gave the root and then sticks in the middle of a file, when an honest peer appears.
fn goes_on_without(mut stuck: impl FnMut(&mut Stream) -> io::Result<()> + Send + 'static) {
    let content = Content::new();
    let root = content.root.clone();
    let leaves: Vec<Block> = (0..8)
        .map(|n| fs::read(content.folder.join(format!("part-{n}.bin"))).expect("made"))
        .map(|bytes| Block::new(RAW, bytes))
        .collect();
    let mut begun = false;
    let staller = Responder::new(move |want, stream| {
        if begun {
            Ok(())
        } else if want.kind == WantKind::Have {
            stream.write(&bytes::have(&want.cid))
        } else if want.cid == *root.cid() {
            stream.write(&bytes::block(&root))
        } else {
            let leaf = leaves.iter().find(|leaf| *leaf.cid() == want.cid).expect("a leaf");
            begun = true;
            stream.write(&bytes::block(leaf)[..MIB / 2])?;
            stuck(stream)
        }
    });
    let fetcher = Home::new();
    let daemon = fetcher.daemon(&[]);
    let out = fetcher.beside("out");
    let to = out.to_str().expect("UTF-8");
    let args = ["get", &content.root(), "-o", to, "--peer", &staller.addr];
    let get = fetcher.start(&[&args[..], &["--timeout", "40"]].concat());
    staller.was_asked(|cid| cid == content.root.cid());
    until("half a file", || {
        let peers = fetcher.ask(&["peers"]);
        let bytes = peers["peers"][0]["bytes_in"].as_u64();
        (bytes >= Some(MIB as u64 / 4)).then_some(())
    });
    fetcher.ask(&["connect", content.daemon.addr()]);
    get.wait().ok();
    assert!(files::tree(&out) == files::tree(&content.folder), "other bytes came");
    content.is_served_by(&daemon);
    assert_eq!(content.home.ask(&["status"])["health"]["daemon"], true);
}

#[test]
fn a_payload_that_stops_half_way_does_not_hold_up_a_fetch_with_another_provider() {
    goes_on_without(|_| Ok(()));
}

#[test]
fn a_payload_that_drips_does_not_hold_up_a_fetch_with_another_provider() {
    goes_on_without(|stream| {
        loop {
            stream.write(&[0])?;
            thread::sleep(Duration::from_millis(300));
        }
    });
}

#[test]
fn a_reader_prints_no_byte_of_a_lie_and_all_of_the_truth_once_somebody_tells_it() {
    let content = Content::new();
    let liar = Responder::new(|want, stream| match want.kind {
        WantKind::Have => stream.write(&bytes::have(&want.cid)),
        WantKind::Block => {
            let lie = files::noise(98, 3000);
            stream.write(&[&bytes::head(&want.cid, lie.len())[..], &lie].concat())
        }
    });
    let reference = format!("{}:part-3.bin", content.root());
    let home = Home::new();
    let args = ["cat", &reference, "--timeout", "3", "--peer", &liar.addr];
    let (printed, output) = Running::spawn(home.command(&args)).wait_bytes();
    assert!(printed.is_empty(), "{} bytes of a lie", printed.len());
    assert!([3, 6].contains(&output.code), "{output:#?}");
    let both = ["cat", &reference, "--peer", &liar.addr, "--peer", content.daemon.addr()];
    let (printed, output) = Running::spawn(home.command(&both)).wait_bytes();
    assert_eq!(output.code, 0, "{output:#?}");
    assert!(printed == files::noise(3, MIB), "other bytes");
}
