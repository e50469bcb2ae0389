use super::*;
use proptest::prelude::*;

const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

fn read(text: &str) -> Result<Value, Error> {
    decode(text.as_bytes(), limits::CARD_PAYLOAD_MAX)
}

fn syntax(text: &str) -> String {
    match read(text) {
        Err(Error::Syntax(message)) => message,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_example_payload_is_canonical_and_its_root_a_link() {
    let bytes = include_str!("../testdata/example_payload.json");
    let Value::Map(map) = read(bytes).unwrap() else { panic!() };
    let Value::Map(predicate) = &map["predicate"] else { panic!() };
    assert_eq!(predicate["root"], Value::Link(CID.parse().unwrap()));
    assert_eq!(predicate["seq"], Value::Int(1));
    assert_eq!(predicate["prev"], Value::Null);
}

#[test]
fn duplicate_keys_are_refused_at_every_level() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":{"b":[{"c":1,"c":1}]}}"#, r#"{"a":1,"\u0061":2}"#] {
        assert!(syntax(text).contains("duplicate key"), "{text}");
    }
}

#[test]
fn floats_in_any_dress_are_refused() {
    for text in ["1.0", "1e3", "-0", "1E-2", "0.0", "18446744073709551616", "-9223372036854775809"]
    {
        assert!(syntax(text).contains("float"), "{text}: {}", syntax(text));
    }
    assert_eq!(read("18446744073709551615"), Ok(Value::Int(u64::MAX.into())));
    assert_eq!(read("-9223372036854775808"), Ok(Value::Int(i64::MIN.into())));
}

#[test]
fn sixty_four_levels_are_read_and_one_more_refused() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(read(&nested(64)).is_ok());
    assert!(syntax(&nested(65)).contains("nested deeper"));
    assert!(read(&"[".repeat(1_000_000)).is_err());
    assert!(read(&"{\"a\":".repeat(500_000)).is_err());
    let deep = (0..65).fold(Value::Null, |value, _| Value::List(vec![value]));
    assert_eq!(encode(&deep), Err(Error::Depth));
}

#[test]
fn every_other_byte_form_of_the_same_value_is_refused() {
    for (text, at) in [
        (r#"{"b":1,"a":2}"#, 2),
        (r#"{"a": 1}"#, 5),
        (r#" {"a":1}"#, 0),
        ("{\"a\":1}\n", 7),
        (r#""\u0041""#, 1),
        (r#""\/""#, 1),
        (r#""\u00e9""#, 1),
        (r#""\u001F""#, 6),
    ] {
        assert_eq!(read(text), Err(Error::NotCanonical { at }), "{text}");
    }
    assert!(read(r#""\u001f\n\"\\é""#).is_ok());
}

#[test]
fn links_are_links_or_refused() {
    assert_eq!(read(&format!(r#"{{"/":"{CID}"}}"#)), Ok(Value::Link(CID.parse().unwrap())));
    let other_base = "z".to_owned() + &multibase_of(CID);
    for text in [
        r#"{"/":"nothing"}"#.to_owned(),
        r#"{"/":1}"#.to_owned(),
        r#"{"/":{"bytes":"AA"}}"#.to_owned(),
        format!(r#"{{"/":"{CID}","a":1}}"#),
        format!(r#"{{"/":"{}"}}"#, CID.to_uppercase()),
        format!(r#"{{"/":"{other_base}"}}"#),
        format!(r#"{{"/":"/ipfs/{CID}"}}"#),
    ] {
        assert!(syntax(&text).contains("link"), "{text}");
    }
    let map = Map::from([("/".to_owned(), Value::Null)]);
    assert!(matches!(encode(&Value::Map(map)), Err(Error::Syntax(_))));
}

fn multibase_of(cid: &str) -> String {
    let cid: Cid = cid.parse().unwrap();
    multibase::encode(multibase::Base::Base58Btc, cid.to_bytes())[1..].to_owned()
}

#[test]
fn too_many_bytes_are_refused_unread() {
    assert_eq!(decode(b"[1]", 2), Err(Error::TooLarge { len: 3, max: 2 }));
}

#[test]
fn tiny_values_are_counted_before_they_are_made() {
    let many = |value: &str, times: usize| format!("[{}]", vec![value; times].join(","));
    let decode = |text: String| decode(text.as_bytes(), text.len());
    let objects = many("{}", limits::JSON_OBJECTS_MAX);
    assert!(decode(objects).is_ok());
    let refused = decode(many("{}", limits::JSON_OBJECTS_MAX + 1));
    assert_eq!(refused, Err(Error::TooMany { what: "objects", max: limits::JSON_OBJECTS_MAX }));
    let refused = decode(many("0", limits::JSON_VALUES_MAX));
    assert_eq!(refused, Err(Error::TooMany { what: "values", max: limits::JSON_VALUES_MAX }));
    // What stands in a text is no value, whatever it looks like.
    let text = format!("[\"\\\"{}\"]", "{,[".repeat(limits::JSON_VALUES_MAX));
    assert!(decode(text).is_ok());
}

#[test]
fn hex_has_one_form() {
    assert_eq!(hex(&[0x00, 0xaf]), "00af");
    assert_eq!(parse_hex("00af"), Some([0x00, 0xaf]));
    for text in ["00AF", "00a", "00afa", "00g0", "0é0"] {
        assert_eq!(parse_hex::<2>(text), None, "{text}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|int| Value::Int(int.into())),
        any::<u64>().prop_map(|int| Value::Int(int.into())),
        ".*".prop_map(Value::Text),
        any::<[u8; 32]>().prop_map(|digest| Value::Link(crate::dag::block::cid_v1(0x70, digest))),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map(".*", inner, 0..5).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in values()) {
        if let Ok(bytes) = encode(&value) {
            prop_assert_eq!(decode(&bytes, usize::MAX), Ok(value));
        }
    }

    #[test]
    fn any_bytes_never_panic_and_have_one_form(bytes: Vec<u8>) {
        if let Ok(value) = decode(&bytes, 1 << 16) {
            prop_assert_eq!(encode(&value), Ok(bytes));
        }
    }
}
