//! Where a node's files are. Paths alone: nothing is made or read here.

use std::path::{Path, PathBuf};

/// The folders of one node. With `--home DIR` all lie under DIR, else in the XDG folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    config: PathBuf,
    data: PathBuf,
}

impl Home {
    /// Everything under one folder.
    pub fn single(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self { config: dir.clone(), data: dir }
    }

    /// Settings and keys in one folder, store and library in another.
    pub fn split(config: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        Self { config: config.into(), data: data.into() }
    }

    /// What a person calls the home: where the bulk is.
    pub fn dir(&self) -> &Path {
        &self.data
    }

    /// `config.toml`
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The user's trusted publishers.
    pub fn trust_file(&self) -> PathBuf {
        self.config.join("trust.toml")
    }

    /// The folder of the keys.
    pub fn keys(&self) -> PathBuf {
        self.config.join("keys")
    }

    /// The node's key: its PeerId.
    pub fn node_key(&self) -> PathBuf {
        self.keys().join("node.key")
    }

    /// The publisher's key: what signs cards.
    pub fn publisher_key(&self) -> PathBuf {
        self.keys().join("publisher.key")
    }

    /// The note that says where the publisher's key is, if it is not here.
    pub fn publisher_note(&self) -> PathBuf {
        self.keys().join("publisher.toml")
    }

    /// The `publisher.json` of the lab that this home publishes for.
    pub fn lab_document(&self) -> PathBuf {
        self.keys().join("lab.json")
    }

    /// The companion key: what signs `model.sig`, if that was ever asked for.
    pub fn oms_key(&self) -> PathBuf {
        self.keys().join("oms.key")
    }

    /// What proves to the HTTP endpoint that a client is the owner's.
    pub fn token_file(&self) -> PathBuf {
        self.config.join("token")
    }

    /// Index, lock and plain records.
    pub fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// Files that are the node's own to delete.
    pub fn library(&self) -> PathBuf {
        self.data.join("library")
    }

    /// The folder of the control socket, and of the note that says where the socket is if it could not be here.
    pub fn run(&self) -> PathBuf {
        self.data.join("run")
    }

    /// The control socket, where its path is short enough for one.
    pub fn socket(&self) -> PathBuf {
        self.run().join("control.sock")
    }

    /// The note that says where the socket is when it could not be in the home.
    pub fn socket_note(&self) -> PathBuf {
        self.run().join("control.path")
    }
}
