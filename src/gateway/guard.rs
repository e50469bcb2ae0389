//! Who may ask: a web page in the user's browser may not, wherever its requests come from.
//!
//! A browser says what it asks (`Host`, which after DNS rebinding is the attacker's own name) and for whom (`Origin`,
//! `Sec-Fetch-Site`); a page can forge none of the three. Programs send no `Origin`. Everything here is decided from
//! the request's head alone, for every route. Not: who the user is, which the token says.
//!
//! Invariant: what is not understood is refused. A header that stands twice must be refused by the caller, since this
//! sees one value.

use std::fmt;

/// Names of this machine for itself.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Longest name of DNS; longer ones are compared with nothing.
const HOST_MAX: usize = 255;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No host is named.
    NoHost,
    /// A host that is none of ours, shortened.
    Host(String),
    /// A page of another origin, shortened.
    Origin(String),
    /// A page of another site, by `Sec-Fetch-Site`, shortened.
    Site(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str("the request names no host; send the header Host"),
            Self::Host(host) => write!(
                f,
                "the host {host:?} is not one of this endpoint; use 127.0.0.1 or localhost, or add \
                 the name, without a port, to the setting gateway.hosts"
            ),
            Self::Origin(origin) => write!(
                f,
                "a web page of {origin:?} may not use this endpoint; only its own pages may, at \
                 its own port and a host of the setting gateway.hosts"
            ),
            Self::Site(site) => write!(
                f,
                "a web page of another site may not use this endpoint (Sec-Fetch-Site: {site:?}); \
                 open the address itself, or ask with a program"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Whether a request may be answered by the server at `port`.
///
/// `host` is the authority of the request's target if it has one, else the header `Host`.
///
/// # Errors
/// [`Refusal`], whose text is for the answer.
pub(super) fn admit(
    host: Option<&str>,
    origin: Option<&str>,
    fetch_site: Option<&str>,
    port: u16,
    extra_hosts: &[String],
) -> Result<(), Refusal> {
    let host = host.filter(|host| !host.is_empty()).ok_or(Refusal::NoHost)?;
    // Any port: a forwarded one (SSH, containers) is not the one bound here, and rebinding changes names, not ports.
    let known = authority(host).is_some_and(|(name, _)| is_ours(name, extra_hosts));
    if !known {
        return Err(Refusal::Host(shortened(host)));
    }
    if let Some(origin) = origin
        && !is_own_origin(origin, port, extra_hosts)
    {
        return Err(Refusal::Origin(shortened(origin)));
    }
    match fetch_site {
        None | Some("same-origin" | "none") => Ok(()),
        Some(site) => Err(Refusal::Site(shortened(site))),
    }
}

/// Splits `host[:port]`; `None` for anything else, a user's part and a dot at the end among it.
fn authority(text: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address stand in brackets; without them it fails below, as a port.
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.ends_with('.') || name.len() > HOST_MAX || name.contains('@') {
        return None;
    }
    if rest.is_empty() {
        return Some((name, None));
    }
    let digits = rest.strip_prefix(':')?;
    // `parse` would take a sign.
    let port = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some((name, Some(port)))
}

/// Whether a name is this machine's, or one that the user has set.
fn is_ours(name: &str, extra_hosts: &[String]) -> bool {
    let extra = extra_hosts.iter().map(String::as_str);
    LOOPBACK.into_iter().chain(extra).any(|ours| ours.eq_ignore_ascii_case(name))
}

/// Whether a page is of this server: any other port is another program's, on the same machine too.
fn is_own_origin(origin: &str, port: u16, extra_hosts: &[String]) -> bool {
    // An origin that shows no port has its scheme's.
    let (rest, default) = match (origin.strip_prefix("http://"), origin.strip_prefix("https://")) {
        (Some(rest), _) => (rest, 80),
        (_, Some(rest)) => (rest, 443),
        _ => return false,
    };
    authority(rest)
        .is_some_and(|(name, given)| given.unwrap_or(default) == port && is_ours(name, extra_hosts))
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The token of the header `Authorization: Bearer TOKEN`; `None` for other schemes and for nonsense.
pub(super) fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.split_once(' ')?;
    let token = token.trim_matches(' ');
    let sound = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    (sound && scheme.eq_ignore_ascii_case("bearer")).then_some(token)
}

/// Whether the token that is `given` is the `token`, which is never empty.
///
/// Every byte is looked at whatever the ones before it were, so the time taken does not tell how many of them were
/// right. It tells the length, which is no secret: all tokens have the same.
pub(super) fn same(token: &str, given: &str) -> bool {
    let pairs = token.bytes().zip(given.bytes());
    let differing = pairs.fold(0, |differing, (a, b)| std::hint::black_box(differing | (a ^ b)));
    !token.is_empty() && token.len() == given.len() && differing == 0
}

#[cfg(test)]
mod tests;
