//! Cards of labs: who may sign them, by which root.

use super::*;
use crate::card::envelope::{self, Error as Refused, Unsigned};
use crate::card::statement::tests::sample;
use crate::card::statement::{Error as BadStatement, RootVersion};
use crate::card::{Statement, Unverified, Verified};

/// A statement of this lab, under this version of its root.
fn statement(lab: &Publisher, version: u64) -> Statement {
    let cid = *lab.root(version).unwrap().cid();
    Statement {
        publisher: (*lab.id()).into(),
        publisher_root: Some(RootVersion { version, cid }),
        ..sample()
    }
}

fn sign(statement: Statement, seed: u8, lab: &Publisher) -> Result<Verified, Refused> {
    envelope::sign(statement, &key(seed), Some(lab))
}

#[test]
fn a_key_of_the_root_that_the_card_names_signs_for_the_lab() {
    let lab = rotated();
    let card = sign(statement(&lab, 2), 12, &lab).unwrap();
    assert_eq!((card.publisher(), card.signer()), (&(*lab.id()).into(), &id(12)));
    assert_eq!(card.signed().unwrap().root_version, 2);
    let read = Unverified::from_bundle(card.bundle().clone()).unwrap();
    assert_eq!(read.verify_with(|_| Some(rotated())), Ok(card));
}

#[test]
fn nobody_else_does() {
    let lab = rotated();
    for (version, seed) in [(2, 11), (1, 12), (1, 1), (2, 3), (2, 99)] {
        let refused = sign(statement(&lab, version), seed, &lab).unwrap_err();
        let enough = Objection::NotEnough { have: 0, need: 1, version };
        assert_eq!(refused, Refused::Lab(enough), "{version}, {seed}");
    }
}

#[test]
fn without_the_labs_roots_nothing_is_verified() {
    let lab = rotated();
    let card = sign(statement(&lab, 2), 12, &lab).unwrap();
    let read = || Unverified::from_bundle(card.bundle().clone()).unwrap();
    let needs = Err(Refused::NeedsPublisher { lab: *lab.id() });
    assert_eq!(read().verify(), needs);
    let stranger = signed_by(Draft::first(content(role(1, &[7]), role(1, &[12]))).unwrap(), &[7]);
    assert_eq!(read().verify_with(|_| Some(stranger)), needs, "another lab with the same key");
    let older = Err(Refused::Lab(Objection::UnknownRoot { version: 2, head: 1 }));
    assert_eq!(read().verify_with(|_| Some(first())), older);
}

#[test]
fn a_root_of_the_same_number_and_other_bytes_is_not_the_one_that_the_card_names() {
    let lab = rotated();
    let card = sign(statement(&lab, 2), 12, &lab).unwrap();
    let next = Content { links: Vec::new(), ..content(role(2, &[2, 3]), role(1, &[12])) };
    let twin = signed_by(Draft::after(&first(), next).unwrap(), &[1, 2, 3]);
    assert_eq!(twin.id(), lab.id());
    let read = Unverified::from_bundle(card.bundle().clone()).unwrap();
    assert_eq!(read.verify_with(|_| Some(twin)), Err(Refused::OtherRoot { version: 2 }));
}

#[test]
fn a_card_names_a_root_exactly_if_it_is_a_labs() {
    let lab = rotated();
    let refused = |statement| match Unsigned::new(statement).unwrap_err() {
        Refused::Statement(BadStatement::Field { field, .. }) => field,
        other => panic!("{other}"),
    };
    let without = Statement { publisher_root: None, ..statement(&lab, 2) };
    assert_eq!(refused(without), "predicate.publisherRoot");
    let root = statement(&lab, 2).publisher_root;
    assert_eq!(refused(Statement { publisher_root: root, ..sample() }), "predicate.publisherRoot");
}

#[test]
fn the_document_of_a_version_is_the_one_of_its_time() {
    let lab = rotated();
    assert_eq!(lab.document_at(1), Some(first().to_document()));
    assert_eq!(lab.document_at(2), Some(lab.to_document()));
    assert_eq!((lab.document_at(0), lab.document_at(3)), (None, None));
    assert_eq!(*lab.first_block().cid(), lab.id().cid());
}
