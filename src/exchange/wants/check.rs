//! The invariants of [`super`], looked at one by one.

use super::*;

impl Wants {
    /// Panics if an invariant does not hold.
    pub(in crate::exchange) fn check(&self) {
        assert_eq!(self.wants.len(), self.by_cid.len());
        let mut charged: BTreeMap<SessionId, usize> = BTreeMap::new();
        for (id, want) in &self.wants {
            assert_eq!(self.by_cid[&want.cid], *id);
            assert!(!want.sessions.is_empty());
            let count = |f: fn(&Known) -> bool| want.sources.values().filter(|k| f(k)).count();
            assert_eq!(want.live, count(Known::is_live));
            assert_eq!(want.asks, count(|k| matches!(k, Known::Asked(_))));
            assert_eq!(want.haves, count(|k| *k == Known::Have));
            assert_eq!(want.lacks, count(|k| *k == Known::Lacks));
            assert_eq!(want.payer.is_some(), want.asks > 0);
            if let Some(payer) = want.payer {
                *charged.entry(payer).or_default() += want.len;
            }
            for (session, place) in &want.sessions {
                let s = &self.sessions[session];
                assert_eq!(s.order[place], *id);
                for (source, link) in &s.links {
                    let (known, ready) = (want.sources.get(source), want.live == 0);
                    let (has, probed) =
                        (known == Some(&Known::Have), known == Some(&Known::Probing));
                    assert_eq!(link.have.contains(place), has && ready);
                    assert_eq!(link.unsure.contains(place), probed && ready);
                    assert_eq!(link.elsewhere.contains(place), has && !ready);
                }
            }
            for source in want.sources.keys() {
                assert!(self.records[source].all.contains(id));
            }
        }
        for (id, s) in &self.sessions {
            assert!(s.prioritised.len() <= limits::SESSION_PRIORITISED);
            assert!(s.prioritised.iter().all(|id| s.order.values().any(|other| other == id)));
            assert_eq!(s.charged, charged.get(id).copied().unwrap_or(0));
            assert_eq!(s.held_bytes, s.held.values().sum::<usize>());
            assert_eq!(s.connected, s.links.values().filter(|l| l.connected).count());
            let live = |id: &WantId| self.wants[id].live > 0;
            assert_eq!(s.ready, s.order.values().filter(|id| !live(id)).count());
            assert_eq!(s.outstanding.len(), s.order.len() - s.ready);
            assert!(s.outstanding.iter().all(|(_, id)| live(id)));
        }
        for (source, records) in &self.records {
            assert!(records.all.iter().all(|id| self.wants[id].sources.contains_key(source)));
            assert!(records.all.len() <= limits::SOURCE_WANTS);
            let asked = records.asks.iter().map(|(_, id)| self.wants[id].len);
            assert_eq!(records.asked_bytes, asked.sum::<usize>());
        }
    }
}
