//! Several nodes that want the same at once: the slow seeder sends it about once, and the nodes pass it on among
//! themselves while they still fetch.

use crate::common::{
    Home, Running,
    files::{self, MIB},
    number, text, until,
};

#[test]
fn three_that_fetch_the_same_take_little_more_than_one_copy_from_a_slow_seeder() {
    let size = 96 * MIB;
    let seeder = Home::new();
    let model = seeder.beside("model");
    files::model(&model, 131, size);
    let daemon = seeder.daemon(&["--max-up", "12MiB"]);
    let seeded = seeder.seed(&model, &["--unsigned"]);
    let root = text(&seeded, "root");
    let homes: Vec<Home> = (0..3).map(|_| Home::new()).collect();
    let told = ["--bootstrap", daemon.addr()];
    let _daemons: Vec<_> = homes.iter().map(|home| home.daemon(&told)).collect();
    let connected = || number(&seeder.ask(&["status"]), "peers") >= homes.len() as u64;
    until("their connections to the seeder", || connected().then_some(()));

    let sent = |home: &Home| number(&home.ask(&["status"]), "bytes_out");
    let fetches: Vec<Running> = homes.iter().map(|home| home.start(&["get", root])).collect();
    for home in &homes {
        until("a block that a fetching node passes on", || (sent(home) > 0).then_some(()));
    }
    // Before it has sent one copy, nobody can have a whole one.
    assert!(sent(&seeder) < size as u64, "they passed nothing on until they had all of it");
    for fetch in fetches {
        let got = fetch.wait().ok();
        assert_eq!(files::tree(text(&got, "path").as_ref()), files::tree(&model));
    }
    let copies = sent(&seeder) as f64 / size as f64;
    assert!(copies <= 1.25, "the seeder sent {copies:.2} copies");
}
