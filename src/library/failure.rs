//! What goes wrong below, in the user's words: the one map from the store's and the network's errors to exit codes.

use crate::{
    dag::walk,
    network,
    rpc::{Code, Failure},
    store,
};

impl From<store::Error> for Failure {
    fn from(why: store::Error) -> Self {
        use store::Error as E;
        let code = match &why {
            E::NoSpace { .. } | E::IndexStopped { no_space: true, .. } => Code::NoSpace,
            E::Denied { .. } => Code::Permission,
            E::Unsafe { .. } => Code::Refused,
            E::NetworkFileSystem { .. } | E::NotUnicode { .. } => Code::Usage,
            _ => Code::Failure,
        };
        let hint = match &why {
            E::Held { .. } => Some("wait until it ends, or use another home with --home DIR"),
            E::NetworkFileSystem { .. } => Some("put the home on a local disk: --home DIR"),
            E::Damaged { .. } => Some("rebuild it: modelswarm repair"),
            E::IndexStopped { no_space: true, .. } => {
                Some("free some space, then start it again: the same command goes on")
            }
            E::IndexStopped { .. } => {
                Some("see what the disk has (dmesg), then start it again: the same command goes on")
            }
            E::NoSpace { .. } => Some("free some space; what is already here is kept"),
            E::Denied { .. } => {
                Some("the process that runs modelswarm needs the right to write there")
            }
            E::Exists { .. } => Some("--force replaces it; -o DIR puts the files elsewhere"),
            _ => None,
        };
        let failure = Self::new(code, why.to_string());
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<network::Error> for Failure {
    fn from(why: network::Error) -> Self {
        use network::Error as E;
        let code = match &why {
            E::Dial { .. } | E::Penalised { .. } => Code::Network,
            E::UnsupportedAddr { .. } | E::NeedsPeerId { .. } | E::PresetUnsupported { .. } => {
                Code::Usage
            }
            _ => Code::Failure,
        };
        let failure = Self::new(code, why.to_string());
        match &why {
            E::ListenTaken { .. } => failure.hint("choose another with --listen MULTIADDR"),
            E::PresetUnsupported { .. } => failure.hint("use --network lan or --network isolated"),
            _ => failure,
        }
    }
}

impl From<walk::Error> for Failure {
    fn from(why: walk::Error) -> Self {
        Self::new(Code::Refused, why.to_string())
            .hint("the content itself is bad: ask its publisher, nothing of it was put in place")
    }
}
