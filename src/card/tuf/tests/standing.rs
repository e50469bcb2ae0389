//! Cards of keys that were dropped.

use super::*;

fn card(n: u8) -> crate::dag::Cid {
    cid_v1(crate::dag::block::DAG_JSON, [n; 32])
}

/// Card `n` after card `n - 1`.
fn signed(n: u8, root_version: u64, seeds: &[u8]) -> Signed {
    let signers = seeds.iter().map(|seed| id(*seed)).collect();
    Signed { card: card(n), prev: Some(card(n - 1)), root_version, signers }
}

#[test]
fn a_card_holds_while_every_later_root_takes_its_key() {
    let lab = first();
    assert_eq!(lab.standing(&signed(1, 1, &[11]), &[]), Ok(Standing::Direct));
    let same_keys = Draft::after(&lab, lab.head().content().clone()).unwrap();
    let lab = signed_by(same_keys, &[1, 2]);
    assert_eq!(lab.standing(&signed(1, 1, &[11]), &[]), Ok(Standing::Direct));
}

#[test]
fn a_dropped_keys_card_holds_only_behind_one_of_the_present_keys() {
    let lab = rotated();
    let old = signed(1, 1, &[11]);
    let dropped = Err(Objection::Dropped { since: 2 });
    assert_eq!(lab.standing(&old, &[]), dropped);
    let vouched = Ok(Standing::Ancestor { since: 2, of: card(2) });
    assert_eq!(lab.standing(&old, &[signed(2, 2, &[12])]), vouched);
    // Through another card of the dropped key.
    let between = [signed(2, 1, &[11]), signed(3, 2, &[12])];
    assert_eq!(lab.standing(&old, &between), Ok(Standing::Ancestor { since: 2, of: card(3) }));
    // The thief's own successors are no help, whatever root they name.
    assert_eq!(lab.standing(&old, &[signed(2, 1, &[11])]), dropped);
    assert_eq!(lab.standing(&old, &[signed(2, 2, &[11])]), dropped);
    // Nor is a card that does not follow from this one.
    assert_eq!(lab.standing(&old, &[signed(3, 2, &[12])]), dropped);
    assert_eq!(lab.standing(&old, &[signed(2, 1, &[11]), signed(4, 2, &[12])]), dropped);
}

#[test]
fn a_voucher_that_was_itself_dropped_needs_a_voucher() {
    let lab = rotated();
    let third = Draft::after(&lab, content(role(2, &[2, 3]), role(1, &[13]))).unwrap();
    let lab = signed_by(third, &[2, 3]);
    let old = signed(1, 1, &[11]);
    let dropped = Err(Objection::Dropped { since: 2 });
    assert_eq!(lab.standing(&old, &[signed(2, 2, &[12])]), dropped);
    let chain = [signed(2, 2, &[12]), signed(3, 3, &[13])];
    assert_eq!(lab.standing(&old, &chain), Ok(Standing::Ancestor { since: 2, of: card(3) }));
}

#[test]
fn a_key_that_comes_back_does_not_bring_back_what_it_signed_before() {
    let back = Draft::after(&rotated(), content(role(2, &[2, 3]), role(1, &[11]))).unwrap();
    let lab = signed_by(back, &[2, 3]);
    assert_eq!(lab.standing(&signed(1, 1, &[11]), &[]), Err(Objection::Dropped { since: 2 }));
    assert_eq!(lab.standing(&signed(1, 3, &[11]), &[]), Ok(Standing::Direct));
}

#[test]
fn a_raised_threshold_cannot_be_dodged_by_naming_the_root_before_it() {
    let raised = Draft::after(&first(), content(role(2, &[1, 2]), role(2, &[11, 12]))).unwrap();
    let lab = signed_by(raised, &[1, 2]);
    assert_eq!(lab.standing(&signed(2, 1, &[11]), &[]), Err(Objection::Dropped { since: 2 }));
    assert_eq!(lab.standing(&signed(2, 1, &[11, 12]), &[]), Ok(Standing::Direct));
    assert_eq!(
        lab.standing(&signed(2, 2, &[11]), &[]),
        Err(Objection::NotEnough { have: 1, need: 2, version: 2 })
    );
}

#[test]
fn a_card_that_never_held_is_not_helped_by_descendants() {
    let lab = rotated();
    let voucher = [signed(2, 2, &[12])];
    assert_eq!(
        lab.standing(&signed(1, 1, &[66]), &voucher),
        Err(Objection::NotEnough { have: 0, need: 1, version: 1 })
    );
    for version in [0, 3, u64::MAX] {
        assert_eq!(
            lab.standing(&signed(1, version, &[12]), &voucher),
            Err(Objection::UnknownRoot { version, head: 2 })
        );
    }
}
