//! UnixFS nodes: what a block says about files and directories.
//!
//! For: reading what anybody makes (v0-2015 and v1 trees, raw leaves, HAMT shards), writing what profile
//! `unixfs-v1-2025` makes. Not: names as a file system may store them (that is `name`), nor anything that needs a second
//! block (that is `walk`). Spec: specs.ipfs.tech/unixfs and `reference/ipfs.md` 2.2 and 2.3.
//!
//! Invariants: a decoded [`File`]'s size is the sum of its own bytes and its parts; a decoded [`Shard`]'s children lie in
//! the buckets its bitfield names, in order; a block encoded here decodes to what was given. Mode and mtime are skipped.

use std::ops::Range;

use super::block::{Block, Cid, DAG_PB, RAW};
use super::{hamt, name, pb};

pub(super) const TYPE_RAW: u64 = 0;
const TYPE_DIRECTORY: u64 = 1;
pub(super) const TYPE_FILE: u64 = 2;
const TYPE_SYMLINK: u64 = 4;
const TYPE_SHARD: u64 = 5;

/// Why a block is not a UnixFS node we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither raw nor dag-pb.
    #[error("codec 0x{0:x} holds no UnixFS node; only dag-pb (0x70) and raw (0x55) do")]
    Codec(u64),
    /// Not a dag-pb node.
    #[error("not a dag-pb node: {0}")]
    Node(pb::Malformed),
    /// A dag-pb node without the bytes that say what it is.
    #[error("a dag-pb node without UnixFS data")]
    NoData,
    /// Its data are not a UnixFS message.
    #[error("not a UnixFS message: {0}")]
    Message(pb::Malformed),
    /// A UnixFS type we do not read.
    #[error("UnixFS type {0} is not supported")]
    Type(u64),
    /// A file whose sizes contradict each other.
    #[error("a file node declares {declared} bytes, its parts and own bytes make {actual}")]
    Size {
        /// The node's `filesize`.
        declared: u64,
        /// Its own bytes and `blocksizes`.
        actual: u64,
    },
    /// A file that does not give one size for each link, or sizes beyond 64 bits.
    #[error("a file node has {links} links and {sizes} usable sizes")]
    Parts {
        /// Links of the node.
        links: usize,
        /// Sizes that fit.
        sizes: usize,
    },
    /// A directory entry whose name is not UTF-8.
    #[error("the name \"{0}\" is not UTF-8")]
    Name(String),
    /// A HAMT shard that breaks a rule.
    #[error("a HAMT shard {0}")]
    Shard(&'static str),
}

/// One stretch of a file, in another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The block, a leaf or a file node.
    pub cid: Cid,
    /// File bytes below it.
    pub size: u64,
    /// Block bytes below it, itself included.
    pub tsize: u64,
}

/// A file's root, inner node or leaf; UnixFS does not tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where the file's bytes lie in this block; they come before those of the parts. A dag-pb leaf's head is
    /// `block[..data.start]`, its tail `block[data.end..]`.
    pub data: Range<usize>,
    /// Bytes of the file or of this stretch of it: `data` and all parts.
    pub size: u64,
    /// Further bytes, in order. None: this is a leaf.
    pub parts: Vec<Part>,
}

/// A link of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as the tree has it, UTF-8 but otherwise unchecked: see `name`.
    pub name: String,
    /// What it names.
    pub cid: Cid,
    /// Block bytes below it, as the directory's maker says; nobody checks this.
    pub tsize: u64,
}

/// A child of a HAMT shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child {
    /// A directory entry.
    Entry(Entry),
    /// A shard of the next level.
    Shard {
        /// Its block.
        cid: Cid,
        /// Block bytes below it.
        tsize: u64,
    },
}

/// One node of a HAMT directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Buckets of each node: 256, 512 or 1024.
    pub fanout: usize,
    /// Buckets in use, ascending, and what they hold.
    pub children: Vec<(usize, Child)>,
}

/// What a block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file, a stretch of one, or a leaf (raw blocks are this, too).
    File(File),
    /// A directory whose entries all stand in this block.
    Directory(Vec<Entry>),
    /// A directory, or a part of one, spread over blocks by the hash of the names.
    Shard(Shard),
    /// A symbolic link.
    Symlink(Vec<u8>),
}

/// The fields of a UnixFS `Data` message that mean something to us.
#[derive(Default)]
struct Message {
    kind: Option<u64>,
    data: Option<Range<usize>>,
    filesize: Option<u64>,
    blocksizes: Vec<u64>,
    hash: Option<u64>,
    fanout: Option<u64>,
}

fn decode_message(block: &[u8], range: Range<usize>) -> Result<Message, pb::Malformed> {
    fn once<T>(slot: &mut Option<T>, field: u64, value: T) -> Result<(), pb::Malformed> {
        slot.replace(value).map_or(Ok(()), |_| Err(pb::Malformed::Order(field)))
    }
    let mut message = Message::default();
    let mut fields = pb::Fields::new(block, range);
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (1, pb::Value::Varint(value)) => once(&mut message.kind, field, value)?,
            (2, pb::Value::Bytes(range)) => once(&mut message.data, field, range)?,
            (3, pb::Value::Varint(value)) => once(&mut message.filesize, field, value)?,
            (4, pb::Value::Varint(value)) => message.blocksizes.push(value),
            // Packed: no known writer does it, every protobuf reader must accept it.
            (4, pb::Value::Bytes(range)) => {
                let mut packed = pb::Fields::new(block, range);
                while !packed.is_empty() {
                    message.blocksizes.push(packed.varint()?);
                }
            }
            (5, pb::Value::Varint(value)) => once(&mut message.hash, field, value)?,
            (6, pb::Value::Varint(value)) => once(&mut message.fanout, field, value)?,
            (1..=6, _) => return Err(pb::Malformed::Field(field)),
            // Mode, mtime and what later versions add do not change which bytes lie where.
            _ => {}
        }
    }
    Ok(message)
}

/// Reads a block as UnixFS.
///
/// # Errors
/// [`Error`] when it is no UnixFS node, or one that contradicts itself.
pub fn decode(block: &Block) -> Result<Node, Error> {
    let bytes = block.data();
    match block.cid().codec() {
        RAW => {
            let size = bytes.len() as u64;
            Ok(Node::File(File { data: 0..bytes.len(), size, parts: Vec::new() }))
        }
        DAG_PB => decode_pb(bytes),
        codec => Err(Error::Codec(codec)),
    }
}

fn decode_pb(bytes: &[u8]) -> Result<Node, Error> {
    let node = pb::decode(bytes).map_err(Error::Node)?;
    let range = node.data.clone().ok_or(Error::NoData)?;
    let end = range.end;
    let message = decode_message(bytes, range).map_err(Error::Message)?;
    match message.kind {
        Some(TYPE_RAW | TYPE_FILE) => file(&node, message, end).map(Node::File),
        Some(TYPE_DIRECTORY) => {
            let entries = node.links.iter().map(|link| entry(link, link.name));
            entries.collect::<Result<_, _>>().map(Node::Directory)
        }
        Some(TYPE_SYMLINK) => {
            let target = message.data.map(|range| bytes[range].to_vec());
            Ok(Node::Symlink(target.unwrap_or_default()))
        }
        Some(TYPE_SHARD) => shard(bytes, &node, message).map(Node::Shard),
        Some(kind) => Err(Error::Type(kind)),
        None => Err(Error::Message(pb::Malformed::Field(1))),
    }
}

fn file(node: &pb::Node, message: Message, end: usize) -> Result<File, Error> {
    let (links, sizes) = (node.links.len(), message.blocksizes.len());
    if links != sizes {
        return Err(Error::Parts { links, sizes });
    }
    let data = message.data.unwrap_or(end..end);
    let mut size = data.len() as u64;
    for (i, part) in message.blocksizes.iter().enumerate() {
        size = size.checked_add(*part).ok_or(Error::Parts { links, sizes: i })?;
    }
    // Absent in some old leaves; where present it must hold.
    if let Some(declared) = message.filesize.filter(|declared| *declared != size) {
        return Err(Error::Size { declared, actual: size });
    }
    let parts = node.links.iter().zip(message.blocksizes);
    let parts = parts.map(|(link, size)| Part { cid: link.cid, size, tsize: link.tsize });
    Ok(File { data, size, parts: parts.collect() })
}

fn entry(link: &pb::Link, bytes: &[u8]) -> Result<Entry, Error> {
    let name = std::str::from_utf8(bytes)
        .map_err(|_| Error::Name(name::escape(&String::from_utf8_lossy(bytes))))?;
    Ok(Entry { name: name.to_owned(), cid: link.cid, tsize: link.tsize })
}

fn shard(bytes: &[u8], node: &pb::Node, message: Message) -> Result<Shard, Error> {
    if message.hash != Some(hamt::MURMUR3_X64_64) {
        return Err(Error::Shard("hashes names by something else than murmur3-x64-64"));
    }
    let fanout = message.fanout.and_then(hamt::fanout);
    let fanout = fanout.ok_or(Error::Shard("has a fanout other than 256, 512 or 1024"))?;
    let bitfield = message.data.map_or(&bytes[..0], |range| &bytes[range]);
    let buckets = hamt::buckets(bitfield, fanout);
    let buckets = buckets.ok_or(Error::Shard("has a bitfield longer than its fanout"))?;
    if buckets.len() != node.links.len() {
        return Err(Error::Shard("has another number of links than its bitfield says"));
    }
    let mut children = Vec::with_capacity(buckets.len());
    for (bucket, link) in buckets.into_iter().zip(&node.links) {
        let prefix = hamt::prefix(bucket, fanout);
        let name = link.name.strip_prefix(prefix.as_bytes());
        let name = name.ok_or(Error::Shard("has a link outside of its bucket"))?;
        let child = if name.is_empty() {
            Child::Shard { cid: link.cid, tsize: link.tsize }
        } else {
            Child::Entry(entry(link, name)?)
        };
        children.push((bucket, child));
    }
    Ok(Shard { fanout, children })
}

pub(super) fn put_number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    pb::put_varint(out, value);
}

/// The block of an inner file node: no bytes of its own, only parts.
pub fn encode_file(parts: &[Part]) -> Block {
    let mut data = Vec::new();
    put_number(&mut data, 1, TYPE_FILE);
    put_number(&mut data, 3, parts.iter().map(|part| part.size).sum());
    for part in parts {
        put_number(&mut data, 4, part.size);
    }
    let links = parts.iter().map(|part| pb::Link { cid: part.cid, name: b"", tsize: part.tsize });
    Block::new(DAG_PB, pb::encode(&links.collect::<Vec<_>>(), &data))
}

fn directory_link(entry: &Entry) -> pb::Link<'_> {
    pb::Link { cid: entry.cid, name: entry.name.as_bytes(), tsize: entry.tsize }
}

const DIRECTORY_DATA: [u8; 2] = [0x08, TYPE_DIRECTORY as u8];

/// Bytes of the block that [`encode_directory`] gives.
pub fn directory_len(entries: &[Entry]) -> usize {
    pb::encoded_len(entries.iter().map(directory_link), DIRECTORY_DATA.len())
}

/// The block of a directory. Entries are written as they stand: sort them by the bytes of their names.
pub fn encode_directory(entries: &[Entry]) -> Block {
    let links: Vec<_> = entries.iter().map(directory_link).collect();
    Block::new(DAG_PB, pb::encode(&links, &DIRECTORY_DATA))
}

/// The block of a HAMT shard. Children stand in ascending order of their buckets.
pub fn encode_shard(shard: &Shard) -> Block {
    let mut data = Vec::new();
    put_number(&mut data, 1, TYPE_SHARD);
    let buckets = shard.children.iter().map(|(bucket, _)| *bucket);
    pb::put_bytes(&mut data, 2, &hamt::bitfield(buckets, shard.fanout));
    put_number(&mut data, 5, hamt::MURMUR3_X64_64);
    put_number(&mut data, 6, shard.fanout as u64);
    let name = |(bucket, child): &(usize, Child)| match child {
        Child::Entry(entry) => hamt::prefix(*bucket, shard.fanout) + &entry.name,
        Child::Shard { .. } => hamt::prefix(*bucket, shard.fanout),
    };
    let names: Vec<_> = shard.children.iter().map(name).collect();
    let links = shard.children.iter().zip(&names).map(|((_, child), name)| {
        let (Child::Entry(Entry { cid, tsize, .. }) | Child::Shard { cid, tsize }) = child;
        pb::Link { cid: *cid, name: name.as_bytes(), tsize: *tsize }
    });
    Block::new(DAG_PB, pb::encode(&links.collect::<Vec<_>>(), &data))
}

/// Every CID that a block links to, repeats included: what a garbage collector or an exporter follows. Raw blocks, and
/// codecs that only we write (card payloads), link to nothing.
///
/// # Errors
/// [`Error::Node`] when a dag-pb block is malformed.
pub fn links(block: &Block) -> Result<Vec<Cid>, Error> {
    if block.cid().codec() != DAG_PB {
        return Ok(Vec::new());
    }
    let node = pb::decode(block.data()).map_err(Error::Node)?;
    Ok(node.links.into_iter().map(|link| link.cid).collect())
}
