//! Reading a file of a REF as a stream: whole here, arriving, or not here at all.
//!
//! For `cat`, and for a gateway that answers HTTP ranges: [`open`] gives size and media type, [`File::read`] a stream of
//! any range of it, as many at a time as wanted. Bytes come in order, each piece proven: hashed when it was taken from a
//! peer, and read as for peers (from a file that is provably unchanged, or hashed just now). Memory: two blocks a stream;
//! what is read ahead from peers lies on the disk. Dropping a stream, or the future of [`Chunks::next`], loses nothing.
//!
//! Where the bytes come from, and what of them is kept, is `fetch::reading`'s.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{
    Library, Watch, blocking,
    fetch::{Hold, Opened, Reader, Subject, open_listed, open_reading},
    sign,
};
use crate::{
    card::manifest::FileEntry,
    dag::{Block, Cid, Cursor, block::RAW},
    rpc::{Cat, Code, Failure, Get, Printed, Progress, Provenance, Stage},
    store,
};

/// A file that can be read.
#[derive(Debug)]
pub struct File {
    library: Library,
    get: Get,
    subject: Subject,
    /// None while nobody had to look for what is read.
    hold: Option<Hold>,
    opened: Opened,
    then: Arc<[Cid]>,
}

/// Finds the file that a REF means. Of the request its range is not looked at.
///
/// # Errors
/// Usage (2) for a directory, with what it holds as a hint; else as `get`.
pub async fn open(library: &Library, cat: &Cat, watch: &Watch) -> Result<File, Failure> {
    let get = Get {
        peers: cat.peers.clone(),
        publisher: cat.publisher.clone(),
        timeout: cat.timeout,
        ..Get::new(cat.reference.clone())
    };
    let (hold, opened) = open_reading(library, &get, watch).await?;
    Ok(File {
        library: library.clone(),
        get,
        subject: Subject::File,
        hold: Some(hold),
        opened,
        then: Arc::default(),
    })
}

/// A file of a tree in the library, as the tree's card lists it; whose that is, whoever has the card knows. Nothing is
/// looked for until something that is read is not here, and then for so long without progress. `then`: files of the tree
/// that are likely read next.
pub(super) fn listed(
    library: &Library,
    root: &Cid,
    entry: &FileEntry,
    then: Arc<[Cid]>,
    timeout: u64,
) -> File {
    let get = Get { timeout, ..Get::new(root.to_string()) };
    let opened = Opened {
        root: *root,
        file: entry.cid,
        size: entry.size,
        path: entry.path.clone(),
        card: None,
        named: false,
    };
    File { library: library.clone(), get, subject: Subject::Listed, hold: None, opened, then }
}

impl File {
    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.opened.size
    }

    /// The file's root: the same as long as its bytes are.
    pub fn cid(&self) -> &Cid {
        &self.opened.file
    }

    /// The root of the tree it is in.
    pub fn root(&self) -> &Cid {
        &self.opened.root
    }

    /// Its path in the tree; empty for a single file.
    pub fn path(&self) -> &str {
        &self.opened.path
    }

    /// What HTTP calls it, by its name.
    pub fn media_type(&self) -> &'static str {
        media_type(&self.opened.path)
    }

    /// Whose it is.
    ///
    /// # Errors
    /// As the disk fails.
    pub async fn provenance(&self) -> Result<Provenance, Failure> {
        let (library, card) = (self.library.clone(), self.opened.card.clone());
        let named = self.get.publisher.is_some() || self.opened.named;
        blocking(move || sign::provenance(&library, card.as_ref(), named)).await
    }

    /// What keeps open whatever is read of, for longer than the file itself.
    ///
    /// # Errors
    /// None but for a fault of ours.
    pub(super) fn hold(&mut self) -> Result<Hold, Failure> {
        let hold = match self.hold.take() {
            Some(hold) => hold,
            None => open_listed(&self.library, &self.get)?,
        };
        Ok(self.hold.insert(hold).again())
    }

    /// These bytes of it; what lies beyond its end is left out.
    pub fn read(&self, range: Range<u64>) -> Chunks {
        let end = range.end.min(self.opened.size);
        let range = range.start.min(end)..end;
        Chunks {
            cursor: Cursor::new(&self.opened.path, self.opened.file, range.clone()),
            end: range.end,
            reader: Reader::new(
                &self.library,
                &self.get,
                self.subject,
                self.hold.as_ref(),
                &self.opened,
                Arc::clone(&self.then),
            ),
            store: self.library.store().clone(),
            ahead: None,
        }
    }
}

/// A stream of a file's bytes.
#[derive(Debug)]
pub struct Chunks {
    cursor: Cursor,
    end: u64,
    reader: Reader,
    store: store::Store,
    /// The next block, being read while the one before is used.
    ahead: Option<(Cid, JoinHandle<Option<Bytes>>)>,
}

impl Chunks {
    /// The next bytes, never none; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// As `get`; refused (4) for a file whose blocks contradict each other.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while let Some(cid) = self.cursor.wanted() {
            let bytes = match self.read_ahead(cid).await {
                Some(bytes) => bytes,
                None => self.reader.block(cid, self.cursor.position()..self.end).await?,
            };
            let range = if cid.codec() == RAW {
                self.cursor.supply_raw(bytes.len())?
            } else {
                let block = Block::verify(cid, bytes.clone());
                self.cursor.supply(&block.map_err(|why| {
                    Failure::new(Code::Refused, format!("a block in the store is wrong: {why}"))
                })?)?
            };
            self.begin_ahead();
            if !range.is_empty() {
                return Ok(Some(bytes.slice(range)));
            }
        }
        Ok(None)
    }

    /// Payload that was taken from peers for what is read from, since this began to wait for any.
    pub fn fetched(&mut self) -> u64 {
        self.reader.fetched()
    }

    /// The block if it was read ahead and is there.
    async fn read_ahead(&mut self, cid: Cid) -> Option<Bytes> {
        let (of, reading) = self.ahead.as_mut()?;
        let bytes = if *of == cid { reading.await.ok().flatten() } else { None };
        self.ahead = None;
        self.reader.moved(self.cursor.position()..self.end);
        bytes
    }

    fn begin_ahead(&mut self) {
        let next = self.cursor.wanted().filter(|cid| !self.reader.is_fresh(cid));
        self.ahead = next.map(|cid| {
            let store = self.store.clone();
            // What fails here is said when it is read for good.
            (cid, tokio::task::spawn_blocking(move || store.read(cid.hash()).ok().flatten()))
        });
    }
}

/// Sends a file's bytes to whoever asked for them.
///
/// # Errors
/// As [`open`]; usage (2) for an offset behind its end.
pub async fn cat(library: &Library, cat: Cat, watch: Watch) -> Result<Printed, Failure> {
    let file = open(library, &cat, &watch).await?;
    if cat.offset > file.size() {
        return Err(Failure::new(
            Code::Usage,
            format!("--offset {}: {} has {} bytes", cat.offset, cat.reference, file.size()),
        ));
    }
    let length = cat.length.unwrap_or(u64::MAX);
    let mut chunks = file.read(cat.offset..cat.offset.saturating_add(length));
    let total = chunks.end - cat.offset;
    let mut bytes = 0;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.next() => chunk?,
            () = watch.abandoned() => return Err(super::watch::stopped()),
        };
        let Some(chunk) = chunk else { break };
        bytes += chunk.len() as u64;
        watch.bytes(chunk).await?;
        watch.progress(|| Progress {
            stage: Stage::Fetching,
            name: cat.reference.clone(),
            bytes,
            total: Some(total),
            peers: 0,
        });
    }
    Ok(Printed {
        root: file.root().to_string(),
        cid: file.cid().to_string(),
        media_type: file.media_type().to_owned(),
        size: file.size(),
        offset: cat.offset,
        bytes,
        fetched_bytes: chunks.fetched(),
        provenance: file.provenance().await?,
    })
}

/// By the ending of its name; what is not text is bytes.
pub fn media_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "json" | "ipynb" => "application/json",
        "jsonl" => "application/jsonl",
        "md" => "text/markdown; charset=utf-8",
        "txt" | "py" | "yaml" | "yml" | "toml" | "cfg" | "ini" | "csv" | "tsv" | "jinja" => {
            "text/plain; charset=utf-8"
        }
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "parquet" => "application/vnd.apache.parquet",
        _ if matches!(name, "LICENSE" | "README" | "NOTICE") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_could_run_is_never_called_so() {
        for name in ["a.html", "b.svg", "c.js", "d.safetensors", "", "e"] {
            assert_eq!(media_type(name), "application/octet-stream", "{name}");
        }
        assert_eq!(media_type("sub/config.JSON"), "application/json");
        assert_eq!(media_type("LICENSE"), "text/plain; charset=utf-8");
    }
}
