//! Following one path from a root, reading only the nodes on the way; in a HAMT only the shards on the way.
//!
//! Not: what lies below the path's end (that is `walk`). Siblings are not looked at, so their names are not checked.

use super::block::{Block, Cid};
use super::unixfs::{self, Child, Node};
use super::walk::{at, readable};
use super::{hamt, name};

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The path itself is refused.
    #[error(transparent)]
    Name(#[from] name::Error),
    /// A block on the way is no UnixFS node, or contradicts itself.
    #[error("{}: block {cid} is malformed: {why}", at(path))]
    Node {
        /// How far the path was followed.
        path: String,
        /// The block.
        cid: Box<Cid>,
        /// What is wrong with it.
        why: unixfs::Error,
    },
    /// A directory on the way has no such entry.
    #[error("there is no {} in this tree", at(path))]
    NotFound {
        /// The path up to the missing name, that included.
        path: String,
    },
    /// The path goes on below something that is no directory.
    #[error("{} is not a directory", at(path))]
    NotDirectory {
        /// What is none.
        path: String,
    },
    /// A CID whose codec is neither raw nor dag-pb, or whose hash is not SHA2-256.
    #[error(
        "{}: {cid} is not supported; blocks must be raw or dag-pb, hashed by sha2-256",
        at(path)
    )]
    Unsupported {
        /// Where it stands.
        path: String,
        /// The CID.
        cid: Box<Cid>,
    },
}

/// A path being followed: supply what [`Resolve::wanted`] names until it names nothing.
#[derive(Debug, Clone)]
pub struct Resolve {
    path: String,
    /// Bytes of `path` followed so far, without a slash at the end.
    done: usize,
    cid: Cid,
    /// Inside a HAMT: its fanout and how many levels below its root `cid` stands.
    shard: Option<(usize, usize)>,
}

impl Resolve {
    /// Begins at a root. An empty path is the root itself.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unsupported`].
    pub fn new(root: Cid, path: &str) -> Result<Self, Error> {
        if !path.is_empty() {
            name::check_path(path)?;
        }
        let mut resolve = Self { path: path.to_owned(), done: 0, cid: root, shard: None };
        resolve.go(root)?;
        Ok(resolve)
    }

    /// The node needed next; `None` when the end is reached.
    pub fn wanted(&self) -> Option<Cid> {
        (self.done < self.path.len()).then_some(self.cid)
    }

    /// What the path names, once nothing is wanted any more. It may not have been seen, and be file or directory.
    pub fn end(&self) -> Option<Cid> {
        (self.done == self.path.len()).then_some(self.cid)
    }

    fn go(&mut self, cid: Cid) -> Result<(), Error> {
        self.cid = cid;
        let path = || self.path[..self.done].to_owned();
        if readable(&cid) {
            Ok(())
        } else {
            Err(Error::Unsupported { path: path(), cid: cid.into() })
        }
    }

    /// Reads the wanted block and takes the next step. What was not wanted is ignored.
    ///
    /// # Errors
    /// [`Error`]: the path leads nowhere.
    pub fn supply(&mut self, block: &Block) -> Result<(), Error> {
        if self.wanted() != Some(*block.cid()) {
            return Ok(());
        }
        let cid = self.cid;
        let here = self.path[..self.done].to_owned();
        let from = if self.done == 0 { 0 } else { self.done + 1 };
        let until = self.path[from..].find('/').map_or(self.path.len(), |len| from + len);
        let name = &self.path[from..until];
        let node = match unixfs::decode(block) {
            Ok(node) => node,
            Err(why) => return Err(Error::Node { path: here, cid: cid.into(), why }),
        };
        let next = match (node, self.shard) {
            (Node::Directory(entries), None) => {
                entries.into_iter().find(|entry| entry.name == name).map(|entry| entry.cid)
            }
            (Node::Shard(shard), level) if level.is_none_or(|(wide, _)| wide == shard.fanout) => {
                let depth = level.map_or(0, |(_, depth)| depth);
                let bucket = hamt::bucket(hamt::hash(name), depth, shard.fanout);
                let child = shard.children.into_iter().find(|(b, _)| Some(*b) == bucket);
                match child {
                    Some((_, Child::Shard { cid, .. })) => {
                        self.shard = Some((shard.fanout, depth + 1));
                        return self.go(cid);
                    }
                    Some((_, Child::Entry(entry))) if entry.name == name => Some(entry.cid),
                    _ => None,
                }
            }
            (_, Some(_)) => {
                let why = unixfs::Error::Shard("of the same fanout was expected here");
                return Err(Error::Node { path: here, cid: cid.into(), why });
            }
            _ => return Err(Error::NotDirectory { path: here }),
        };
        let path = self.path[..until].to_owned();
        self.done = until;
        self.shard = None;
        self.go(next.ok_or(Error::NotFound { path })?)
    }
}
