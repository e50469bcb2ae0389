//! What was looked for lately: the DHT is asked once for many requests of one client, and for many clients.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use crate::{limits, rpc::Failure};

/// The last look, if there was one; held while somebody looks, so that others wait for what they find.
type Last<T> = Arc<tokio::sync::Mutex<Option<(Instant, Result<T, Failure>)>>>;

/// What was found, by what was looked for.
#[derive(Debug)]
pub(in crate::library) struct Seen<T>(Mutex<HashMap<String, Last<T>>>);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Seen<T> {
    /// Looks, unless somebody did a moment ago: then what they found. Whoever waits for a look and is gone when it is
    /// there leaves it to the next one.
    ///
    /// # Errors
    /// What the look says, now or then.
    pub(super) async fn once<F: Future<Output = Result<T, Failure>>>(
        &self,
        what: String,
        look: impl FnOnce() -> F,
    ) -> Result<T, Failure> {
        let last = self.last(what);
        let mut last = last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < if found.is_ok() { limits::HUB_FOUND } else { limits::HUB_NOT_FOUND }
        {
            return found.clone();
        }
        let found = look().await;
        *last = Some((Instant::now(), found.clone()));
        found
    }

    /// Forgets what was found: something of it may be gone.
    pub(in crate::library) fn forget(&self) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, last| Arc::strong_count(last) > 1);
    }

    fn last(&self, what: String) -> Last<T> {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= limits::HUB_LOOKS && !looks.contains_key(&what) {
            // Those that nobody waits for. A look that is forgotten is only done again.
            looks.retain(|_, last| Arc::strong_count(last) > 1);
        }
        Arc::clone(looks.entry(what).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::rpc::Code;

    #[tokio::test]
    async fn many_at_once_look_once_and_all_are_told() {
        let (seen, looks) = (Seen::<()>::default(), AtomicUsize::new(0));
        let ask = || {
            seen.once("a".into(), || async {
                looks.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Err(Failure::new(Code::NotFound, "nobody has it"))
            })
        };
        let (one, two) = tokio::join!(ask(), ask());
        assert_eq!((one.is_err(), two.is_err()), (true, true));
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        seen.once("b".into(), || async { Ok(()) }).await.expect("another thing is looked for");
    }

    #[tokio::test]
    async fn a_look_that_was_given_up_is_done_by_the_next_who_asks() {
        let seen = Seen::<()>::default();
        let endless = seen.once("a".into(), std::future::pending);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), endless).await.is_err());
        seen.once("a".into(), || async { Ok(()) }).await.expect("looked for anew");
    }

    #[tokio::test]
    async fn no_more_is_remembered_than_the_bound() {
        let seen = Seen::<()>::default();
        for n in 0..3 * limits::HUB_LOOKS {
            seen.once(n.to_string(), || async { Ok(()) }).await.expect("looked for");
        }
        assert!(seen.0.lock().expect("whole").len() <= limits::HUB_LOOKS);
    }
}
