//! Times in cards: RFC 3339, whole seconds, UTC with `Z`: one text for one time.

use std::fmt;
use std::str::FromStr;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use serde::{Deserialize, Serialize};

/// `2026-11-22T18:00:00Z`; years 0 to 9999, whose text has 20 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// Why text or a number is no time of a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a time like 2026-11-22T18:00:00Z")]
pub struct NotATime;

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    ///
    /// # Errors
    /// [`NotATime`] outside the years 0 to 9999.
    pub fn from_unix(seconds: i64) -> Result<Self, NotATime> {
        let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| NotATime)?;
        if (0..=9999).contains(&time.year()) { Ok(Self(seconds)) } else { Err(NotATime) }
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn unix(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotATime)?;
        let time = Self::from_unix(time.unix_timestamp())?;
        // One text: no offset, no fraction, no lower case, no leap second.
        if time.to_string() == text { Ok(time) } else { Err(NotATime) }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotATime;

    fn try_from(text: String) -> Result<Self, NotATime> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp(self.0).map_err(|_| fmt::Error)?;
        f.write_str(&time.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_has_one_text() {
        let time: Timestamp = "2026-11-22T18:00:00Z".parse().unwrap();
        assert_eq!(time.unix(), 1_795_370_400);
        assert_eq!(time.to_string(), "2026-11-22T18:00:00Z");
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T18:00:00",
            "2026-11-22T18:00:00z",
            "2026-11-22t18:00:00Z",
            "2026-11-22 18:00:00Z",
            "2026-11-22T18:00:00.0Z",
            "2026-11-22T18:00:00+00:00",
            "2026-11-22T19:00:00+01:00",
            "2026-02-30T18:00:00Z",
            "2026-11-22T18:00:60Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
        }
        assert!(Timestamp::from_unix(i64::MAX).is_err());
        assert!(Timestamp::from_unix(253_402_300_800).is_err());
    }

    proptest! {
        #[test]
        fn every_second_round_trips(seconds in -62_000_000_000i64..253_402_300_799) {
            let time = Timestamp::from_unix(seconds).unwrap();
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn any_text_never_panics(text: String) {
            let _ = text.parse::<Timestamp>().is_ok();
        }
    }
}
