//! The query of a URL and the body of a form: names and values in order.
//!
//! Bounded: what is beyond the bounds is left out whole, and [`Query::overflows`] tells, so that no caller takes part of
//! a list for all of it. Not: what any name means.

use percent_encoding::percent_decode;

/// Most pairs of a query.
const PAIRS_MAX: usize = 64;

/// Most bytes of a query that are read.
const BYTES_MAX: usize = 8 * 1024;

/// Names with values, decoded, in the order sent; a name may occur several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Query {
    pairs: Vec<(String, String)>,
    overflows: bool,
}

/// Reads the query of a URL, without its `?`: at most 64 pairs and 8 KiB.
pub(in crate::gateway) fn query(raw: &str) -> Query {
    read(raw, PAIRS_MAX, BYTES_MAX)
}

/// Reads a body of the type `application/x-www-form-urlencoded`: at most `pairs` pairs. The caller bounds its bytes.
pub(in crate::gateway) fn form(raw: &str, pairs: usize) -> Query {
    read(raw, pairs, raw.len())
}

fn read(raw: &str, pairs: usize, bytes: usize) -> Query {
    let mut query = Query::default();
    let mut end = 0;
    for pair in raw.split('&') {
        end += pair.len();
        if end > bytes || (query.pairs.len() == pairs && !pair.is_empty()) {
            query.overflows = true;
            break;
        }
        // The separator.
        end += 1;
        if !pair.is_empty() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            query.pairs.push((decode(name), decode(value)));
        }
    }
    query
}

/// Forms write a space as `+`. What is not UTF-8 becomes U+FFFD, as browsers read it.
fn decode(raw: &str) -> String {
    let spaced: Vec<u8> = raw.bytes().map(|b| if b == b'+' { b' ' } else { b }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

impl Query {
    /// The first value of a name; `""` if it has none.
    pub(in crate::gateway) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of a name, in order.
    pub(in crate::gateway) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Whether a name is set to true, as clients write it.
    pub(in crate::gateway) fn flag(&self, name: &str) -> bool {
        matches!(self.first(name), Some("true" | "True" | "1"))
    }

    /// All pairs, in order: links to a next page repeat them.
    pub(in crate::gateway) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether more was sent than is read.
    pub(in crate::gateway) fn overflows(&self) -> bool {
        self.overflows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(query: &Query) -> Vec<(&str, &str)> {
        query.pairs().collect()
    }

    #[test]
    fn pairs_are_decoded_once_and_in_order() {
        let read = query(
            "search=a+b&expand=true&filter=license%3Amit&filter=x%2By&&q=%2541&é=%C3%A9&b&=v&c=1=2",
        );
        assert_eq!(
            pairs(&read),
            [
                ("search", "a b"),
                ("expand", "true"),
                ("filter", "license:mit"),
                ("filter", "x+y"),
                ("q", "%41"),
                ("é", "é"),
                ("b", ""),
                ("", "v"),
                ("c", "1=2"),
            ]
        );
        assert!(!read.overflows());
        assert_eq!(read.all("filter").collect::<Vec<_>>(), ["license:mit", "x+y"]);
        assert_eq!(read.first("filter"), Some("license:mit"));
        assert_eq!(read.first("b"), Some(""));
        assert_eq!(read.first("B"), None);
        assert_eq!(
            pairs(&query("expand[]=a&%65xpand%5B%5D=b")),
            [("expand[]", "a"), ("expand[]", "b")]
        );
        assert_eq!(pairs(&query("a=%ff&b=%zz&c=%")), [("a", "\u{fffd}"), ("b", "%zz"), ("c", "%")]);
        assert_eq!(query(""), Query::default());
    }

    #[test]
    fn flags_are_true_as_clients_write_it() {
        for (text, set) in [
            ("true", true),
            ("True", true),
            ("1", true),
            ("false", false),
            ("0", false),
            ("", false),
            ("yes", false),
        ] {
            assert_eq!(query(&format!("recursive={text}")).flag("recursive"), set, "{text}");
        }
        assert!(!query("").flag("recursive"));
        assert!(!query("recursive").flag("recursive"));
    }

    #[test]
    fn what_is_beyond_the_bounds_is_left_out_whole_and_told() {
        let many = |count: usize| vec!["a=1"; count].join("&");
        assert_eq!((query(&many(64)).pairs.len(), query(&many(64)).overflows()), (64, false));
        assert_eq!((query(&many(65)).pairs.len(), query(&many(65)).overflows()), (64, true));
        assert!(!query(&format!("{}&&&", many(64))).overflows());
        let long = |len: usize| query(&format!("a=1&b={}", "x".repeat(len - 6)));
        assert_eq!((long(8192).pairs.len(), long(8192).overflows()), (2, false));
        assert_eq!((long(8193).pairs.len(), long(8193).overflows()), (1, true));
        assert!(query(&"&".repeat(8193)).overflows());

        let paths = form(&many(1000), 1000);
        assert_eq!((paths.all("a").count(), paths.overflows()), (1000, false));
        assert!(form(&many(1001), 1000).overflows());
        assert!(!form(&format!("a={}", "x".repeat(100_000)), 1).overflows());
        assert!(form("a", 0).overflows() && !form("", 0).overflows());
    }

    proptest! {
        #[test]
        fn any_query_never_panics_and_is_bounded(raw in "\\PC{0,60}|[a=&%+2]{0,300}", max in 0usize..9) {
            let (read, part) = (query(&raw), form(&raw, max));
            prop_assert!(read.pairs.len() <= PAIRS_MAX && part.pairs.len() <= max);
            prop_assert!(pairs(&read).starts_with(&pairs(&part)));
            prop_assert_eq!(part.overflows(), read.overflows() || read.pairs.len() > max);
        }

        #[test]
        fn what_is_encoded_is_read_back(name: String, value: String) {
            let escape = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
            let read = query(&format!("{}={}", escape(&name), escape(&value)));
            prop_assert_eq!(pairs(&read), [(&*name, &*value)]);
        }
    }
}
