//! Headers of yamux frames. Specification: yamux, "Framing".

/// Bytes of a header: version, kind, flags (2), stream (4), length (4).
pub(super) const HEADER: usize = 12;

/// Opens a stream, or asks for a pong.
pub(super) const SYN: u16 = 1;
/// Accepts a stream, or is a pong.
pub(super) const ACK: u16 = 2;
/// Its sender sends no more.
pub(super) const FIN: u16 = 4;
/// The stream is over at once.
pub(super) const RST: u16 = 8;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of a stream: as many as `length` says follow.
    Data,
    /// `length` more bytes may be sent on a stream.
    Window,
    /// `length` comes back in the pong.
    Ping,
    /// The connection is over; `length` says why.
    GoAway,
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: u16,
    pub(super) stream: u32,
    pub(super) length: u32,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[1] = match self.kind {
            Kind::Data => 0,
            Kind::Window => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        bytes[2..4].copy_from_slice(&self.flags.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// None: another version, or a kind that there is not.
    pub(super) fn decode(bytes: [u8; HEADER]) -> Option<Self> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        let kind = match (version, kind) {
            (0, 0) => Kind::Data,
            (0, 1) => Kind::Window,
            (0, 2) => Kind::Ping,
            (0, 3) => Kind::GoAway,
            _ => return None,
        };
        Some(Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// Whether it has this flag.
    pub(super) fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_unknown_ones_are_none() {
        for kind in [Kind::Data, Kind::Window, Kind::Ping, Kind::GoAway] {
            let header =
                Header { kind, flags: SYN | FIN, stream: 0x1234_5678, length: 0xfedc_ba98 };
            assert_eq!(Header::decode(header.encode()), Some(header));
        }
        let mut bytes = [0; HEADER];
        bytes[1] = 4;
        assert_eq!(Header::decode(bytes), None);
        bytes[..2].copy_from_slice(&[1, 0]);
        assert_eq!(Header::decode(bytes), None);
    }
}
