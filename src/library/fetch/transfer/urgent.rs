//! What readers wait for goes before all else: their file is opened, their leaves are asked for, and of all that is asked
//! those come first, the nearest to any reader before the others.

use std::ops::Range;

use super::Transfer;
use crate::{
    dag::{
        Cid,
        walk::{Leaf, Size},
    },
    limits,
    rpc::Failure,
};

impl Transfer<'_> {
    /// Brings forward what readers need, if that has changed.
    pub(super) async fn hurry(&mut self) -> Result<(), Failure> {
        let (version, needs) = self.job.readers().needs();
        if self.seen == version {
            return Ok(());
        }
        let idle = self.asked.is_empty();
        let (mut wants, mut ranges, mut all) = (Vec::new(), Vec::new(), true);
        for (id, need) in &needs {
            let index = self.index_of(&need.file);
            self.job.readers().answer(*id, index.is_some());
            let Some(index) = index else { continue };
            self.open_queued(index).await?;
            all &= self.ask_range(index, &need.range, &mut wants).await?;
            ranges.push((index, need.range.clone()));
        }
        if idle {
            // What went before was not waited for.
            self.source.moved();
        }
        self.source.want(wants).await?;
        let urgent = self.urgent(&ranges);
        if self.prioritised || !urgent.is_empty() {
            self.prioritised = !urgent.is_empty();
            self.source.prioritise(urgent).await?;
        }
        all &= self.ask_ahead(needs.iter().flat_map(|(_, need)| need.then.iter())).await?;
        self.seen = if all { version } else { u64::MAX };
        // Readers learn whether their file is here.
        self.job.update(|_| {});
        Ok(())
    }

    /// Asks for files that are likely read next: some of those that nobody has begun. False: more may be asked for at once.
    async fn ask_ahead(&mut self, then: impl Iterator<Item = &Cid>) -> Result<bool, Failure> {
        let mut wants = Vec::new();
        let mut opened = 0;
        for file in then {
            if self.asked.len() >= limits::READ_AHEAD_LEAVES || opened == limits::READ_AHEAD_STEP {
                break;
            }
            if let Some(index) = self.index_of(file)
                && self.open_queued(index).await?
            {
                opened += 1;
                self.ask_range(index, &(0..u64::MAX), &mut wants).await?;
            }
        }
        self.source.want(wants).await?;
        Ok(opened < limits::READ_AHEAD_STEP)
    }

    /// The first file with this root; files of equal content have their bytes from it.
    fn index_of(&mut self, file: &Cid) -> Option<usize> {
        let files = &self.plan.files;
        let indices = self.indices.get_or_insert_with(|| {
            let numbered = files.iter().enumerate().rev();
            numbered.map(|(index, file)| (file.cid, index)).collect()
        });
        indices.get(file).copied()
    }

    /// Opens a file if its turn has not come; whether it is so.
    async fn open_queued(&mut self, index: usize) -> Result<bool, Failure> {
        let Ok(at) = self.queue.binary_search(&index) else { return Ok(false) };
        self.queue.remove(at);
        self.open_file(index).await?;
        Ok(true)
    }

    /// Asks for the leaves of a file in this range that are not asked for. False: some wait until something was written.
    pub(super) async fn ask_range(
        &mut self,
        index: usize,
        range: &Range<u64>,
        wants: &mut Vec<(Cid, usize)>,
    ) -> Result<bool, Failure> {
        let (mut at, mut asked) = (0, 0);
        while at < self.leaves.len() && asked < limits::READ_AHEAD_LEAVES {
            let (file, leaf) = &self.leaves[at];
            if *file != index || !overlaps(leaf, range) {
                at += 1;
                continue;
            }
            let Some((_, leaf)) = self.leaves.remove(at) else { break };
            if !self.ask_leaf(index, leaf, wants).await? {
                return Ok(false);
            }
            asked += 1;
        }
        Ok(true)
    }

    /// What is asked for and lies in one of these ranges of files, the nearest to a reader first.
    fn urgent(&self, ranges: &[(usize, Range<u64>)]) -> Vec<Cid> {
        let distance = |index: usize, leaf: &Leaf| {
            let here =
                ranges.iter().filter(|(file, range)| *file == index && overlaps(leaf, range));
            here.map(|(_, range)| leaf.offset.saturating_sub(range.start)).min()
        };
        let mut urgent: Vec<(u64, Cid)> = Vec::new();
        for (cid, places) in &self.asked {
            let nearest = places.iter().filter_map(|(index, leaf)| distance(*index, leaf)).min();
            urgent.extend(nearest.map(|distance| (distance, *cid)));
        }
        urgent.sort_unstable();
        urgent.truncate(limits::SESSION_PRIORITISED);
        urgent.into_iter().map(|(_, cid)| cid).collect()
    }
}

/// Whether a leaf holds bytes of the range; one whose size nobody knows may.
pub(super) fn overlaps(leaf: &Leaf, range: &Range<u64>) -> bool {
    let ends_after = match leaf.size {
        Size::Declared(size) => range.start < leaf.offset.saturating_add(size),
        Size::Hint(_) => true,
    };
    leaf.offset < range.end && ends_after
}
