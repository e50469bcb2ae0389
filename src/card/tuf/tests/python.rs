//! A document whose three roots python-tuf 7.0.1 made and signed: compact, indented, compact; 2-of-2 root keys of seeds
//! 1 and 2, then 2 and 3; card key 11, then 12, then 12 and 13 with a P-256 key beside them.
//!
//! The other direction, python-tuf verifying what we make, is `tests/thirdparty/tuf.py`'s.

use super::*;

const MADE_BY_PYTHON_TUF: &[u8] = include_bytes!("python-tuf.json");

#[test]
fn a_chain_made_by_python_tuf_is_taken() {
    let lab = Publisher::from_document(MADE_BY_PYTHON_TUF).unwrap();
    // As tests/thirdparty/tuf.py prints it.
    assert_eq!(
        lab.id().to_string(),
        "tuf:bafkreibuqfl6ayezzymuzfapbxzaq6cniyfrobicj47qa2jopn5knpyfuq"
    );
    assert_eq!(lab.head().version(), 3);
    assert_eq!(lab.root(1).unwrap().content().signers, role(2, &[1, 2]));
    let head = lab.head().content();
    assert_eq!((&head.signers, &head.cards), (&role(2, &[2, 3]), &role(1, &[12, 13])));
    assert_eq!((head.name.as_str(), head.announce), ("Acmé Labs 😀", id(99)));
    assert_eq!(lab.head().companions().len(), 1);
    assert!(lab.head().companions()[0].starts_with("-----BEGIN PUBLIC KEY-----"));
    assert_eq!(lab.to_document(), MADE_BY_PYTHON_TUF);
}

#[test]
fn we_go_on_where_python_tuf_ended_and_keep_the_companion() {
    let lab = Publisher::from_document(MADE_BY_PYTHON_TUF).unwrap();
    let next = content(role(1, &[2]), role(1, &[12]));
    let next = signed_by(Draft::after(&lab, next).unwrap(), &[2, 3]);
    assert_eq!(next.relation_to(&lab), Relation::Newer);
    assert_eq!(next.head().companions(), lab.head().companions());
    assert_eq!(next.head().content().cards, role(1, &[12]));
}

#[test]
fn no_bit_of_its_head_can_flip() {
    let lab = Publisher::from_document(MADE_BY_PYTHON_TUF).unwrap();
    // The indented one, as the head.
    let texts: Vec<&str> = lab.roots[..2].iter().map(Root::text).collect();
    let document = to_document(texts.iter().copied());
    let first = to_document(texts[..1].iter().copied()).len();
    for at in first..document.len() {
        for bit in [at % 8, 5] {
            let mut flipped = document.clone();
            flipped[at] ^= 1 << bit;
            assert!(Publisher::expect(lab.id(), &flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
}
