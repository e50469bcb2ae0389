//! Settings of the rate limits: how much the node may send and receive in a second, in all and with one peer.
//!
//! Plain values; `network` keeps to them. They count the bytes of block messages, not those of the transport below.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits;

/// The `[rates]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// To all peers together.
    pub max_up: Rate,
    /// From all peers together.
    pub max_down: Rate,
    /// To one peer.
    pub peer_max_up: Rate,
    /// From one peer.
    pub peer_max_down: Rate,
}

/// Bytes a second; none is no limit. Written `25MiB`, `800kB`, a plain number of bytes, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Rate(Option<NonZeroU64>);

/// A rate as settings files and JSON hold it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Bytes(u64),
    Text(String),
}

/// A rate that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Neither a number nor `off`.
    #[error("{text:?} is no rate; write bytes a second as 25MiB, 800kB or 1000000, or off")]
    Form {
        /// What was written.
        text: String,
    },
    /// So slow that peers would take it for a stall.
    #[error(
        "{bytes} bytes a second is too slow to tell from a stall; the least is {}",
        limits::RATE_MIN
    )]
    TooSlow {
        /// What was written.
        bytes: u64,
    },
}

impl Rate {
    /// No limit.
    pub const OFF: Self = Self(None);

    /// So many bytes a second.
    ///
    /// # Errors
    /// [`Invalid::TooSlow`] below [`limits::RATE_MIN`].
    pub fn new(bytes: u64) -> Result<Self, Invalid> {
        match NonZeroU64::new(bytes) {
            Some(rate) if bytes >= limits::RATE_MIN => Ok(Self(Some(rate))),
            _ => Err(Invalid::TooSlow { bytes }),
        }
    }

    /// Bytes a second, if there is a limit.
    pub fn bytes(self) -> Option<u64> {
        self.0.map(NonZeroU64::get)
    }
}

impl FromStr for Rate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        let form = || Invalid::Form { text: text.to_owned() };
        let given = text.strip_suffix("/s").unwrap_or(text);
        let digits = given.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(given.len());
        let (number, unit) = given.split_at(digits);
        let unit: u64 = match unit.trim() {
            "" | "B" => 1,
            "kB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(form()),
        };
        let number: f64 = number.parse().map_err(|_| form())?;
        Self::new((number * unit as f64) as u64)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(bytes) => write!(f, "{bytes}"),
        }
    }
}

impl From<Rate> for Written {
    fn from(rate: Rate) -> Self {
        rate.bytes().map_or_else(|| Self::Text("off".into()), Self::Bytes)
    }
}

impl TryFrom<Written> for Rate {
    type Error = Invalid;

    fn try_from(written: Written) -> Result<Self, Invalid> {
        match written {
            Written::Bytes(bytes) => Self::new(bytes),
            Written::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_people_write_them() {
        let cases = [
            ("25MiB", Some(25 << 20)),
            ("1.5MB", Some(1_500_000)),
            ("800kB/s", Some(800_000)),
            ("1000000", Some(1_000_000)),
            ("off", None),
        ];
        for (text, bytes) in cases {
            let rate: Rate = text.parse().expect(text);
            assert_eq!(rate.bytes(), bytes, "{text}");
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "fast", "-1MB", "1.2.3MB", "10 furlongs", "MiB"] {
            assert!(matches!(text.parse::<Rate>(), Err(Invalid::Form { .. })), "{text:?}");
        }
        for text in ["0", "0MB", "100"] {
            assert!(matches!(text.parse::<Rate>(), Err(Invalid::TooSlow { .. })), "{text:?}");
        }
    }
}
