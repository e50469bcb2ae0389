//! The threats to provenance and the tests that fail without their controls. The list is kept true by a test: what it
//! names must exist.
//!
//! | threat | control |
//! |---|---|
//! | swap | a release's `model` is the signed root; every file has a signed digest |
//! | rename | names are in the subjects and in dirHash1 |
//! | re-sign | the signing key must be the statement's publisher |
//! | lying digests | compared in the background and by `verify`, said as the publisher's until then |
//! | rollback, fast-forward, equivocation | `seq` and `prev`, the mark, proof kept of both cards |
//! | freeze | records of names end; cards that ended are said to have |
//! | weak keys, malleable signatures, cross-protocol replay | strict verification, one encoding, DSSE's payload type |
//! | other byte forms, duplicate keys, bombs | strict DAG-JSON, one form of a bundle, bounded YAML |
//! | path traversal, links, reserved names, twins | names are checked before anything is written |
//! | terminal | what controls or reverses text is escaped |
//! | code in models | judged by content before the bulk |
//! | lineage | only cards that are here and verified are called so |
//! | name squatting | a name belongs to its key; the same name by another key is said loudly and takes no place |
//! | stolen key | what a lab's newest root drops signs nothing that is taken |
//! | keyid tricks | the one form of a bundle has the signer's own id |
//! | endorsement spam | of strangers few are kept and none passed on |
//! | malicious README | served as no page; what it would do to a terminal is escaped |
//! | others' signatures | refused unless they hold for every file; they change nothing of whose it is |

use std::{fs, path::Path};

/// Threat, and for each test the file and the function.
const TESTS: &[(&str, &[(&str, &str)])] = &[
    (
        "swap",
        &[
            ("src/card/release.rs", "the_model_link_must_be_the_signed_root"),
            ("src/card/statement/tests.rs", "subjects_that_differ_from_the_predicate_are_refused"),
            (
                "tests/it/bad_input/hostile.rs",
                "a_release_that_was_tampered_with_is_refused_and_says_which_part",
            ),
        ],
    ),
    (
        "rename",
        &[
            ("src/card/manifest.rs", "a_renamed_file_changes_dir_hash1_though_not_the_oms_root"),
            ("src/card/manifest.rs", "differences_name_every_file_that_is_not_as_signed"),
            ("tests/it/bad_input/hostile.rs", "verify_names_what_is_wrong_in_a_release_folder"),
        ],
    ),
    (
        "re-sign",
        &[
            ("src/card/envelope/tests.rs", "only_the_statements_publisher_can_sign_it"),
            (
                "src/card/tuf/tests.rs",
                "a_stranger_cannot_take_over_and_cannot_even_add_a_signature",
            ),
        ],
    ),
    (
        "lying digests",
        &[
            (
                "tests/it/statements.rs",
                "a_card_that_lies_about_a_digest_is_found_out_in_the_background_and_stays_so",
            ),
            ("tests/it/statements.rs", "a_card_that_gives_a_file_another_cid_is_found_out_too"),
            (
                "tests/it/statements.rs",
                "a_file_that_its_owner_changed_is_not_blamed_on_the_publisher",
            ),
        ],
    ),
    (
        "rollback",
        &[
            ("src/card/policy/chain.rs", "the_mark_rises_along_the_chain_and_never_falls"),
            ("src/card/trust/tests/decide.rs", "a_rollback_is_refused_unless_its_cid_was_given"),
            (
                "tests/it/versions.rs",
                "a_name_stands_for_the_newest_accepted_version_whatever_was_fetched_by_its_cid",
            ),
        ],
    ),
    (
        "fast-forward",
        &[("src/card/policy/chain.rs", "a_card_beyond_a_gap_does_not_fast_forward_the_mark")],
    ),
    (
        "equivocation",
        &[
            ("src/card/policy/chain.rs", "two_cards_of_one_place_are_a_fork"),
            (
                "tests/it/versions.rs",
                "two_cards_of_one_place_are_kept_as_proof_and_one_card_settles_between_them",
            ),
            ("tests/it/names.rs", "a_publisher_that_says_two_things_is_not_followed"),
        ],
    ),
    (
        "freeze",
        &[
            ("src/card/ipns/tests.rs", "it_ends_at_its_end_and_not_before"),
            (
                "src/network/names/held/tests.rs",
                "a_record_that_has_ended_is_neither_taken_nor_given_nor_put",
            ),
            ("tests/it/statements.rs", "a_card_that_has_ended_is_said_to_have"),
        ],
    ),
    (
        "weak keys and malleable signatures",
        &[
            ("src/card/did.rs", "every_point_of_small_order_is_refused"),
            ("src/card/did.rs", "a_second_encoding_of_a_point_is_refused"),
            ("src/card/envelope/tests.rs", "a_weak_key_cannot_sign_for_anything"),
            (
                "src/card/envelope/tests.rs",
                "a_signature_with_a_small_order_r_is_refused_though_the_plain_check_takes_it",
            ),
            ("src/card/envelope/tests.rs", "the_second_form_of_a_signature_is_refused"),
            ("src/card/ipns/tests.rs", "signatures_are_checked_strictly"),
            ("src/card/tuf/tests.rs", "malleable_signatures_and_weak_keys_make_no_signature"),
        ],
    ),
    (
        "cross-protocol replay",
        &[
            ("src/card/envelope/tests.rs", "a_signature_for_another_purpose_does_not_hold"),
            ("src/card/ipns/tests.rs", "a_signature_for_another_purpose_does_not_hold"),
        ],
    ),
    (
        "other byte forms and duplicate keys",
        &[
            ("src/card/json/tests.rs", "duplicate_keys_are_refused_at_every_level"),
            ("src/card/json/tests.rs", "every_other_byte_form_of_the_same_value_is_refused"),
            ("src/card/json/tests.rs", "sixty_four_levels_are_read_and_one_more_refused"),
            ("src/card/envelope/tests.rs", "a_bundle_in_any_other_form_is_refused"),
            ("src/card/envelope/tests.rs", "every_single_flipped_bit_is_refused"),
        ],
    ),
    (
        "front-matter bombs",
        &[
            ("src/card/frontmatter/tests.rs", "bombs_are_refused_soon"),
            (
                "src/card/frontmatter/tests.rs",
                "duplicate_keys_are_refused_at_every_level_and_in_every_dress",
            ),
            ("src/card/origins/tests.rs", "more_results_than_a_card_takes_are_left_out"),
        ],
    ),
    (
        "path traversal, symlinks, reserved names",
        &[
            ("src/dag/name.rs", "each_kind_of_hostile_name_is_refused_for_its_own_reason"),
            ("src/dag/tests/hostile.rs", "symlinks_are_refused_naming_place_and_target"),
            ("src/dag/tests/hostile.rs", "twins_are_refused_in_a_directory_and_across_shards"),
            (
                "tests/it/bad_input/hostile.rs",
                "names_that_lead_outside_or_deceive_are_refused_before_anything_is_written",
            ),
            ("tests/it/share.rs", "a_folder_or_link_in_the_way_is_never_written_through"),
        ],
    ),
    (
        "bidi in the terminal",
        &[
            ("src/dag/name.rs", "no_error_carries_a_character_that_acts_on_a_terminal"),
            ("tests/it/origins.rs", "a_readmes_bases_datasets_and_results_are_stated_in_its_card"),
        ],
    ),
    (
        "links and lineage",
        &[
            ("src/card/origins/tests.rs", "links_are_https_and_cannot_break_out_of_their_line"),
            (
                "src/card/origins/tests.rs",
                "a_strangers_bad_entries_are_passed_over_and_said_and_the_others_stay",
            ),
            (
                "tests/it/origins.rs",
                "a_card_of_another_publisher_than_is_stated_is_not_called_verified",
            ),
        ],
    ),
    (
        "code in models",
        &[
            ("src/card/content/tests.rs", "a_name_never_makes_code_safe"),
            ("src/card/content/safetensors/tests.rs", "each_flaw_is_refused_and_named"),
            (
                "tests/it/content.rs",
                "a_strangers_pickle_is_refused_before_the_bulk_and_both_ways_out_are_named",
            ),
        ],
    ),
    (
        "name squatting",
        &[
            ("tests/it/policy.rs", "a_name_that_another_key_used_before_is_said_loudly"),
            (
                "src/card/trust/tests.rs",
                "an_alias_means_one_publisher_and_a_publisher_has_one_alias",
            ),
        ],
    ),
    (
        "stolen key",
        &[
            ("tests/it/labs.rs", "a_thief_of_a_dropped_card_key_signs_nothing_that_is_taken"),
            (
                "tests/it/labs.rs",
                "a_lab_keeps_its_name_when_its_keys_change_and_a_thief_of_an_old_one_does_not_get_it",
            ),
        ],
    ),
    (
        "keyid tricks",
        &[
            ("src/card/envelope/tests.rs", "a_bundle_in_any_other_form_is_refused"),
            ("src/card/claim/tests.rs", "a_bundle_in_another_form_or_of_another_key_is_refused"),
        ],
    ),
    (
        "endorsement spam",
        &[
            (
                "tests/it/claims.rs",
                "of_endorsers_whom_nobody_knows_few_are_kept_and_none_passed_on",
            ),
            (
                "src/library/claims/kept.rs",
                "strangers_take_no_room_from_those_whom_the_user_knows_nor_these_from_the_user",
            ),
        ],
    ),
    (
        "malicious README",
        &[
            ("tests/hub/safety.py", "test_no_file_is_one_that_a_browser_runs"),
            ("src/dag/name.rs", "no_error_carries_a_character_that_acts_on_a_terminal"),
        ],
    ),
    (
        "others' signatures",
        &[
            (
                "src/card/oms/tests.rs",
                "a_flipped_bit_of_a_foreign_signature_never_changes_what_is_signed",
            ),
            ("tests/it/signatures.rs", "what_does_not_hold_for_every_file_is_refused_and_not_kept"),
            (
                "tests/it/signatures.rs",
                "a_foreign_signature_is_kept_shown_and_compared_and_changes_nothing_else",
            ),
        ],
    ),
    (
        "no licence",
        &[(
            "tests/it/licence.rs",
            "nothing_is_made_public_without_a_licence_and_elsewhere_it_is_missed",
        )],
    ),
];

#[test]
fn every_threat_has_its_tests() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (threat, tests) in TESTS {
        assert!(!tests.is_empty(), "{threat}");
        for (file, test) in *tests {
            let text = fs::read_to_string(top.join(file)).expect(file);
            if file.ends_with(".py") {
                assert!(text.contains(&format!("def {test}(")), "{threat}: {file} has no {test}");
                continue;
            }
            // Behind the attribute of a test, or inside of one with properties.
            let place = text.find(&format!("fn {test}("));
            let place = place.unwrap_or_else(|| panic!("{threat}: {file} has no {test}"));
            let before = text[..place].trim_end().trim_end_matches("async").trim_end();
            let is_test = before.ends_with(']')
                && before.rfind("#[").is_some_and(|at| {
                    before[at..].starts_with("#[test]") || before[at..].starts_with("#[tokio::test")
                });
            assert!(is_test, "{threat}: {test} of {file} is no test");
        }
    }
}
