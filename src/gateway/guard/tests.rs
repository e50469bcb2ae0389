use proptest::prelude::*;

use super::*;

const PORT: u16 = 8642;

fn asked(host: Option<&str>, origin: Option<&str>, site: Option<&str>) -> Result<(), Refusal> {
    let extra = ["lab.example".to_owned(), "10.0.0.7".to_owned(), "[fd00::1]".to_owned()];
    admit(host, origin, site, PORT, &extra)
}

#[test]
fn names_of_this_machine_and_set_ones_are_answered() {
    for host in [
        "127.0.0.1",
        "127.0.0.1:8642",
        "127.0.0.1:1",
        "localhost",
        "LocalHost:9000",
        "[::1]",
        "[::1]:8642",
        "lab.example",
        "LAB.example:8642",
        "10.0.0.7:8642",
        "[FD00::1]:8642",
    ] {
        assert_eq!(asked(Some(host), None, None), Ok(()), "{host}");
    }
}

#[test]
fn other_hosts_are_refused() {
    for host in [
        "evil.example",
        "evil.example:8642",
        "localhost.",
        "localhost.:8642",
        "lab.example.",
        "localhost.evil.example",
        "evil.localhost",
        "user@localhost",
        "localhost@evil.example",
        "user:pw@localhost",
        "localhost:8642@evil.example",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]]:1",
        "[]",
        "127.0.0.2",
        "127.1",
        "0.0.0.0",
        "2130706433",
        "localhost:",
        "localhost:+1",
        "localhost:65536",
        "localhost:1:2",
        "localhost:a",
        ":8642",
        " localhost",
        "localhost ",
        "localhost/",
        "http://localhost",
        "localhost,evil.example",
        "[::ffff:127.0.0.1]",
        "xample",
    ] {
        assert_eq!(asked(Some(host), None, None), Err(Refusal::Host(host.into())), "{host}");
    }
    let none: &[String] = &[];
    assert!(admit(Some("lab.example"), None, None, PORT, none).is_err());
    assert_eq!(asked(None, None, None), Err(Refusal::NoHost));
    assert_eq!(asked(Some(""), None, None), Err(Refusal::NoHost));
    // Nor does a setting that is no name let in what is refused.
    for host in ["lab.example.", "u@lab.example", "lab.example:1:2"] {
        assert!(admit(Some(host), None, None, PORT, &[host.to_owned()]).is_err(), "{host}");
    }
    assert!(admit(Some(":1"), None, None, PORT, &[String::new()]).is_err());
}

#[test]
fn only_own_pages_are_answered() {
    let host = Some("localhost:8642");
    for origin in [
        "http://localhost:8642",
        "https://127.0.0.1:8642",
        "http://[::1]:8642",
        "https://lab.example:8642",
    ] {
        assert_eq!(asked(host, Some(origin), Some("same-origin")), Ok(()), "{origin}");
    }
    for origin in [
        "",
        "null",
        "*",
        "http://",
        "localhost:8642",
        "//localhost:8642",
        "http://localhost",
        "https://localhost",
        "http://localhost:8643",
        "http://evil.example:8642",
        "http://localhost:8642/",
        "http://localhost:8642/x",
        "http://u@localhost:8642",
        "http://localhost.:8642",
        "ftp://localhost:8642",
        "chrome-extension://localhost:8642",
        "http://localhost:8642 http://evil.example",
        "http://http://localhost:8642",
        "http://localhost:08642x",
        "file://",
    ] {
        assert_eq!(
            asked(host, Some(origin), None),
            Err(Refusal::Origin(origin.into())),
            "{origin}"
        );
    }
}

#[test]
fn an_origin_without_a_port_has_its_schemes() {
    let at = |origin, port| admit(Some("localhost"), Some(origin), None, port, &[]);
    assert_eq!(at("http://localhost", 80), Ok(()));
    assert_eq!(at("https://localhost", 443), Ok(()));
    assert!(at("http://localhost", 443).is_err());
    assert!(at("https://localhost", 80).is_err());
}

#[test]
fn requests_for_pages_of_other_sites_are_refused() {
    let host = Some("localhost");
    for site in ["same-origin", "none"] {
        assert_eq!(asked(host, None, Some(site)), Ok(()));
    }
    // Another port of localhost is the same site.
    for site in ["same-site", "cross-site", "", "None", "none "] {
        assert_eq!(asked(host, None, Some(site)), Err(Refusal::Site(site.into())), "{site}");
    }
}

#[test]
fn every_check_must_pass_on_its_own() {
    let (host, origin, site) = (Some("localhost"), Some("http://localhost:8642"), Some("none"));
    assert_eq!(asked(host, origin, site), Ok(()));
    assert!(asked(Some("evil.example"), origin, site).is_err());
    assert!(asked(host, Some("null"), site).is_err());
    assert!(asked(host, origin, Some("cross-site")).is_err());
}

#[test]
fn a_refusal_names_the_thing_and_the_way_out() {
    let text = |host, origin, site| asked(host, origin, site).unwrap_err().to_string();
    let host = text(Some("gpu-box:8642"), None, None);
    assert!(host.contains("\"gpu-box:8642\"") && host.contains("gateway.hosts"), "{host}");
    let origin = text(Some("localhost"), Some("https://evil.example"), None);
    assert!(origin.contains("evil.example") && origin.contains("gateway.hosts"), "{origin}");
    assert!(text(Some("localhost"), None, Some("cross-site")).contains("\"cross-site\""));
    assert!(text(None, None, None).contains("Host"));
    // It lands in an answer and in logs.
    let hostile = text(Some(&format!("a\u{1b}\n{}", "x".repeat(5000))), None, None);
    assert!(hostile.len() < 400 && !hostile.contains(char::is_control), "{hostile}");
}

#[test]
fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
    for header in ["Bearer hf_x", "bearer hf_x", "BEARER   hf_x "] {
        assert_eq!(bearer(Some(header)), Some("hf_x"), "{header}");
    }
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Basic hf_x",
        "Bearerhf_x",
        "Bearer a b",
        "Bearer é",
        "hf_x",
        " Bearer x",
    ] {
        assert_eq!(bearer(Some(header)), None, "{header}");
    }
    assert_eq!(bearer(None), None);
}

#[test]
fn only_the_same_token_is_the_same() {
    assert!(same("hf_abc", "hf_abc"));
    for given in ["", "hf_abd", "xf_abc", "hf_ab", "hf_abcd", "HF_ABC"] {
        assert!(!same("hf_abc", given), "{given}");
    }
    assert!(!same("", ""));
}

proptest! {
    #[test]
    fn any_headers_never_panic_and_only_our_names_get_in(
        host in "\\PC{0,40}|(localhost|\\[::1\\]|127\\.0\\.0\\.1)?[a-z@:.\\[\\]0-9]{0,8}",
        origin in prop::option::of("(https?://)?\\PC{0,20}"),
        site in prop::option::of("[a-z-]{0,12}"),
    ) {
        if asked(Some(&host), origin.as_deref(), site.as_deref()).is_ok() {
            let name = host.to_ascii_lowercase();
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let ours = [
                "127.0.0.", "localhost", "[::1]", "lab.example", "10.0.0.", "[fd00::1]",
                "127.0.0.1:", "localhost:", "[::1]:", "lab.example:", "10.0.0.7:", "[fd00::1]:",
            ];
            prop_assert!(ours.contains(&name), "{}", host);
        }
    }

    #[test]
    fn any_authorization_never_panics(text in "\\PC{0,40}|[Bb]earer[ a-z]{0,9}") {
        if let Some(token) = bearer(Some(&text)) {
            prop_assert!(same(token, token) && !token.contains(' '));
        }
    }

    #[test]
    fn tokens_are_the_same_exactly_if_equal(a in "[ab]{1,3}", b in "[ab]{0,3}") {
        prop_assert_eq!(same(&a, &b), a == b);
    }
}
