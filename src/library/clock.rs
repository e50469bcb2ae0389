//! The time, as cards and records state it: the one place where `library` reads the clock for them.

use std::time::{Duration, SystemTime};

use crate::{
    card::statement::Timestamp,
    rpc::{Code, Failure},
};

/// Now.
///
/// # Errors
/// Failure (1) for a clock that says a time which no card can state.
pub(super) fn now() -> Result<Timestamp, Failure> {
    after(Duration::ZERO)
}

/// The time in so long.
///
/// # Errors
/// As [`now`].
pub(super) fn after(span: Duration) -> Result<Timestamp, Failure> {
    let wrong = || Failure::new(Code::Failure, "this machine's clock is wrong by centuries");
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| wrong())?;
    let seconds = i64::try_from((since + span).as_secs()).map_err(|_| wrong())?;
    Timestamp::from_unix(seconds).map_err(|_| wrong())
}
