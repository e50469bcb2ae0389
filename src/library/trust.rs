//! The publishers a user trusts: `trust add | list | rm`, kept in `trust.toml`, and what a key is called here.
//!
//! Only `trust add` makes trust; first use is recorded nowhere and raises nothing. Design section 5.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Library, clock, files};
use crate::{
    card::{
        Alias, Identity, RepoName, Verified,
        policy::{self, Trust},
        trust::{NotAPattern, Pattern, TrustList},
    },
    config::Home,
    rpc::{BlockLine, Code, EndorserLine, Failure, TrustLine, TrustedPublishers},
};

/// Trusts a key under a name of the user's own.
///
/// # Errors
/// Usage (2) for a name or key that is none, or one that is taken; failure (1) if the list can't be written.
pub fn add(
    library: &Library,
    alias: &str,
    publisher: &str,
    models: &[String],
    evidence: Option<String>,
) -> Result<TrustedPublishers, Failure> {
    let usage = |why: &dyn std::fmt::Display| Failure::new(Code::Usage, why.to_string());
    let alias = parse_alias(alias)?;
    let publisher: Identity = publisher.parse().map_err(|why: crate::card::identity::Error| {
        Failure::new(Code::Usage, format!("{publisher} is no publisher: {why}"))
            .hint("publishers look like did:key:z6Mk… or tuf:bafkrei…; `modelswarm show REF` prints a repo's")
    })?;
    let patterns: Vec<Pattern> = models
        .iter()
        .map(|text| Pattern::try_from(text.clone()).map_err(|why: NotAPattern| usage(&why)))
        .collect::<Result<_, _>>()?;
    let today = clock::now()?.to_string();
    let today = today.split('T').next().and_then(|date| date.parse().ok());
    change(library, |list| {
        let new = list.add(alias.clone(), publisher).map_err(|why| usage(&why))?;
        let amended = list.amend(&alias, |scope| {
            if new {
                scope.pinned = today;
            }
            if !patterns.is_empty() {
                scope.models = Some(patterns);
            }
            scope.evidence = evidence.or(scope.evidence.take());
        });
        amended.map(drop).map_err(|why| usage(&why))
    })
}

/// Counts somebody's claims, of these kinds if any are given.
///
/// # Errors
/// As [`add`].
pub fn add_endorser(
    library: &Library,
    alias: &str,
    endorser: &str,
    kinds: Vec<String>,
) -> Result<TrustedPublishers, Failure> {
    let alias = parse_alias(alias)?;
    let endorser: Identity = endorser.parse().map_err(|why: crate::card::identity::Error| {
        Failure::new(Code::Usage, format!("{endorser} is nobody's key: {why}"))
            .hint("keys look like did:key:z6Mk…; `modelswarm claims REF` prints those who claim")
    })?;
    let kinds = (!kinds.is_empty()).then_some(kinds);
    change(library, |list| {
        let added = list.add_endorser(alias, endorser, kinds);
        added.map_err(|why| Failure::new(Code::Usage, why.to_string()))
    })
}

/// Counts somebody's claims no longer.
///
/// # Errors
/// Not found (3) if no endorser has that alias; usage (2) if a requirement counts on it.
pub fn remove_endorser(library: &Library, alias: &str) -> Result<TrustedPublishers, Failure> {
    let parsed = parse_alias(alias)?;
    change(library, |list| match list.remove_endorser(&parsed) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Failure::new(Code::NotFound, format!("no endorser has the alias {alias}"))
                .hint("modelswarm trust list"))
        }
        Err(why) => Err(Failure::new(Code::Usage, why.to_string())),
    })
}

/// The publishers that are trusted.
///
/// # Errors
/// Failure (1) if the list can't be read.
pub fn list(library: &Library) -> Result<TrustedPublishers, Failure> {
    Ok(lines(&*load(&library.inner.home)?))
}

/// Trusts a key no longer.
///
/// # Errors
/// Not found (3) if nobody has that alias; as [`add`].
pub fn remove(library: &Library, alias: &str) -> Result<TrustedPublishers, Failure> {
    let parsed = parse_alias(alias)?;
    change(library, |list| {
        list.remove(&parsed).map(drop).ok_or_else(|| {
            Failure::new(Code::NotFound, format!("nobody is trusted under the alias {alias}"))
                .hint("modelswarm trust list")
        })
    })
}

/// Changes the list on the disk; the list after that.
pub(super) fn change(
    library: &Library,
    change: impl FnOnce(&mut TrustList) -> Result<(), Failure>,
) -> Result<TrustedPublishers, Failure> {
    let mut list = TrustList::clone(&*load(&library.inner.home)?);
    change(&mut list)?;
    save(&library.inner.home, &list)?;
    Ok(lines(&list))
}

/// The publisher behind an alias: a trusted one, or the user.
pub(super) fn resolve(library: &Library, alias: &str) -> Result<Option<Identity>, Failure> {
    if library.alias().as_deref() == Some(alias) {
        return Ok(Some(*library.publisher()));
    }
    Ok(load(&library.inner.home)?.identity(&parse_alias(alias)?).copied())
}

/// What the user makes of whoever signed a card; nobody is known of what nobody signed.
pub(super) fn of(
    library: &Library,
    card: Option<&Verified>,
    named: bool,
) -> Result<Trust, Failure> {
    let Some(card) = card else { return Ok(Trust::New) };
    let publisher = *card.publisher();
    let list = load(&library.inner.home)?;
    let names: &[Identity] = if named { &[publisher] } else { &[] };
    let own: &[Identity] = if library.is_own(&publisher) { &[publisher] } else { &[] };
    policy::trust(&publisher, &card.statement().name, own, &list, names)
        .map_err(|why| Failure::new(Code::Refused, why.to_string()))
}

/// Whether a publisher is trusted for a repo of this name.
pub(super) fn covers(
    library: &Library,
    publisher: &Identity,
    repo: &RepoName,
) -> Result<bool, Failure> {
    let list = load(&library.inner.home)?;
    Ok(list.publisher(publisher).is_some_and(|trusted| trusted.covers(repo)))
}

/// What the library's folders call a publisher: the user's alias for it, else its id less the scheme.
pub(super) fn folder_name(library: &Library, publisher: &Identity) -> Result<String, Failure> {
    if publisher == library.publisher() {
        return Ok(library.alias().unwrap_or_else(|| publisher.part()));
    }
    let list = load(&library.inner.home)?;
    Ok(list.alias_of(publisher).map_or_else(|| publisher.part(), |alias| alias.as_str().to_owned()))
}

/// The list that was read last: thousands of entries take a fifth of a second to parse, and every fetch asks several times.
static READ: Mutex<Option<(PathBuf, Stamp, Arc<TrustList>)>> = Mutex::new(None);

/// What tells a file from itself before it was edited: inode, bytes, ctime in seconds and nanoseconds.
type Stamp = (u64, u64, i64, i64);

/// The list as it is on the disk.
pub(super) fn load(home: &Home) -> Result<Arc<TrustList>, Failure> {
    let path = home.trust_file();
    // Looked at before it is read: an edit between the two is read again next time.
    let stamp = match fs::metadata(&path) {
        Ok(it) => (it.ino(), it.len(), it.ctime(), it.ctime_nsec()),
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
        Err(why) => return Err(unusable(&path, &why)),
    };
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, at, list)) = read.as_ref()
        && (of, at) == (&path, &stamp)
    {
        return Ok(list.clone());
    }
    let text = fs::read_to_string(&path).map_err(|why| unusable(&path, &why))?;
    let list = TrustList::from_toml(&text)
        .map_err(|why| Failure::new(Code::Failure, format!("{}: {why}", path.display())))?;
    let list = Arc::new(list);
    *read = Some((path, stamp, list.clone()));
    Ok(list)
}

fn save(home: &Home, list: &TrustList) -> Result<(), Failure> {
    let text = list.to_toml().map_err(|why| Failure::new(Code::Failure, why.to_string()))?;
    write(&home.trust_file(), &text)
}

/// Notes the user's own alias in `config.toml`, leaving everything else there as it is.
pub(super) fn set_own_alias(home: &Home, alias: &str) -> Result<(), Failure> {
    let path = home.config_file();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(why) if why.kind() == io::ErrorKind::NotFound => String::new(),
        Err(why) => return Err(unusable(&path, &why)),
    };
    let others = text
        .lines()
        .filter(|line| line.split_once('=').is_none_or(|(name, _)| name.trim() != "alias"));
    let rest: String = others.map(|line| format!("{line}\n")).collect();
    write(&path, &format!("alias = \"{alias}\"\n{rest}"))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    files::replace(path, text.as_bytes()).map_err(|why| unusable(path, &why))
}

fn parse_alias(alias: &str) -> Result<Alias, Failure> {
    alias
        .parse()
        .map_err(|why: crate::card::name::Error| Failure::new(Code::Usage, why.to_string()))
}

fn unusable(path: &Path, why: &io::Error) -> Failure {
    Failure::new(Code::Failure, format!("cannot use {}: {why}", path.display()))
}

fn lines(list: &TrustList) -> TrustedPublishers {
    let line = |trusted: &crate::card::trust::Trusted| TrustLine {
        alias: trusted.alias.as_str().to_owned(),
        publisher: trusted.id.to_string(),
    };
    let blocked = list
        .blocks()
        .iter()
        .map(|block| BlockLine { id: block.id.to_string(), reason: block.reason.clone() });
    let endorsers = list.endorsers().iter().map(|one| EndorserLine {
        alias: one.alias.to_string(),
        endorser: one.id.to_string(),
        kinds: one.kinds.clone(),
    });
    TrustedPublishers {
        publishers: list.publishers().iter().map(line).collect(),
        endorsers: endorsers.collect(),
        blocked: blocked.collect(),
    }
}
