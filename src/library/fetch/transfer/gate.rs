//! The gate before the bulk of what a stranger published: until every file is judged, nothing is asked for but the ranges
//! that it takes to judge them. `card::content` judges, and decides what follows.
//!
//! It is a state of the transfer, not a step before it: files are opened, asked for and written as ever, many at once, so
//! what came to be judged lies in its partial, is never asked for again, and of files of one leaf it is the file. What is
//! judged harmless gets its name as ever; what is not stays hidden. Refused, all of that is made durable, and a later
//! `get` goes on from there. Somebody who only reads ([`super::urgent`]) is served all the while: a person looks at bytes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use super::{Step, Transfer, open::OpenFile, urgent::overlaps};
use crate::{
    card::content::{Admitted, Examination, Finding, Leave, Verdict, admit},
    dag::{Cid, walk::Size},
    library::{
        blocking,
        content::{self, Lies},
    },
    limits,
    rpc::{Code, Failure},
    store::{Arriving, Tree},
};

/// What is still to be learnt about the files of a fetch.
pub(in crate::library::fetch) struct Gate {
    closed: Option<Closed>,
    /// What it let in.
    admitted: Option<Admitted>,
}

/// What is decided on, and told once it is.
struct Closed {
    reference: String,
    leave: Leave,
    /// What the DHT hears of when the gate opens.
    tree: Tree,
    findings: Vec<Finding>,
    /// Of the files that are judged, whether they are harmless; by their numbers in the plan.
    judged: HashMap<usize, bool>,
    /// Open files that are not, with the ranges asked for: all but the last one are there.
    examined: HashMap<usize, Vec<Range<u64>>>,
    /// Those of them to look at again, since something of them came.
    stirred: BTreeSet<usize>,
    /// Those whose every range is there.
    ready: BTreeSet<usize>,
    /// Some are being judged.
    judging: bool,
    /// Open files that are judged and not to be named yet.
    parked: BTreeSet<usize>,
}

impl Gate {
    /// For content that is let in unseen.
    pub(in crate::library::fetch) fn open() -> Self {
        Self { closed: None, admitted: None }
    }

    /// For content that may bring no code; `tree` is announced if it is let in.
    pub(in crate::library::fetch) fn closed(reference: &str, leave: Leave, tree: Tree) -> Self {
        let closed = Closed {
            reference: reference.to_owned(),
            leave,
            tree,
            findings: Vec::new(),
            judged: HashMap::new(),
            examined: HashMap::new(),
            stirred: BTreeSet::new(),
            ready: BTreeSet::new(),
            judging: false,
            parked: BTreeSet::new(),
        };
        Self { closed: Some(closed), admitted: None }
    }

    /// Whether the bulk may move.
    pub(super) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// What it let in, if it was ever closed.
    pub(super) fn into_admitted(self) -> Option<Admitted> {
        self.admitted
    }

    /// Whether a whole file may get its name.
    pub(super) fn passes(&self, index: usize) -> bool {
        self.closed.as_ref().is_none_or(|closed| closed.judged.get(&index) == Some(&true))
    }

    /// A file was opened.
    pub(super) fn opened(&mut self, index: usize, size: Size) {
        let Some(closed) = &mut self.closed else { return };
        if closed.judged.contains_key(&index) {
            closed.parked.insert(index);
            return;
        }
        let end = match size {
            Size::Declared(size) => size.min(limits::CONTENT_HEAD),
            // Only its one leaf tells.
            Size::Hint(_) => limits::CONTENT_HEAD,
        };
        let head = 0..end;
        closed.examined.insert(index, vec![head]);
        closed.stirred.insert(index);
    }

    /// Something of a file was written.
    pub(super) fn stir(&mut self, index: usize) {
        if let Some(closed) = &mut self.closed
            && closed.examined.contains_key(&index)
        {
            closed.stirred.insert(index);
        }
    }
}

impl Closed {
    fn judge(&mut self, index: usize, mut finding: Finding) {
        // Headers of thousands of files: nobody asks for them here.
        finding.facts = None;
        let harmless = matches!(finding.verdict, Verdict::Plain | Verdict::Template);
        self.judged.insert(index, harmless);
        self.findings.push(finding);
    }
}

/// A file whose next range is there.
struct Examined {
    index: usize,
    path: String,
    arriving: Arc<Arriving>,
    here: Vec<Range<u64>>,
}

/// What came of it.
pub(super) struct Judged {
    index: usize,
    here: Vec<Range<u64>>,
    examination: Examination,
}

impl Examined {
    fn judge(self) -> Result<Judged, Failure> {
        let Self { index, path, arriving, here } = self;
        let read =
            |range: Range<u64>| arriving.read_at(range.start, (range.end - range.start) as usize);
        let is_here = |range: &Range<u64>| {
            here.iter().any(|here| here.start <= range.start && range.end <= here.end)
        };
        let examination = content::judge(&path, arriving.size(), is_here, read)?;
        Ok(Judged { index, here, examination })
    }
}

impl Transfer<'_> {
    /// Judges what can be judged without peers: names, and files that are in their place. The others come first from now
    /// on.
    pub(super) async fn survey(&mut self) -> Result<(), Failure> {
        let Some(closed) = &mut self.gate.closed else { return Ok(()) };
        let (mut numbers, mut lying) = (Vec::new(), Vec::new());
        for (index, file) in self.plan.files.iter().enumerate() {
            if file.file.is_some() {
                let on_disk = self.plan.place.base.join(&file.on_disk);
                numbers.push(index);
                lying.push(Lies { path: file.path.clone(), on_disk });
            } else if let Some(finding) = content::by_name(&file.path) {
                closed.judge(index, finding);
            }
        }
        let findings = blocking(move || content::on_disk(&lying)).await?;
        for (index, finding) in numbers.into_iter().zip(findings) {
            closed.judge(index, finding);
        }
        self.queue.make_contiguous().sort_by_key(|index| closed.judged.contains_key(index));
        Ok(())
    }

    /// Goes on towards a verdict on every file; opens the gate when there is one.
    ///
    /// # Errors
    /// Refused (4) if the verdicts say so; as [`Self::open_file`].
    pub(super) async fn pursue(&mut self) -> Result<(), Failure> {
        let mut wants = Vec::new();
        let mut waiting = Vec::new();
        while self.asked.len() < limits::FETCH_WANTS {
            let stirred = self.gate.closed.as_mut().and_then(|closed| closed.stirred.pop_first());
            if let Some(index) = stirred {
                if !self.advance(index, &mut wants).await? {
                    waiting.push(index);
                }
            } else if !self.open_unjudged().await? {
                break;
            }
        }
        self.source.want(wants).await?;
        let Some(closed) = &mut self.gate.closed else { return Ok(()) };
        closed.stirred.extend(waiting);
        if closed.judged.len() == self.plan.files.len() {
            return self.decide().await;
        }
        self.judge();
        Ok(())
    }

    /// Asks for what is missing of the range that a file is to be judged by. False: some of it waits until something was
    /// written.
    async fn advance(
        &mut self,
        index: usize,
        wants: &mut Vec<(Cid, usize)>,
    ) -> Result<bool, Failure> {
        let closed = self.gate.closed.as_ref();
        let range = closed.and_then(|closed| closed.examined.get(&index)?.last().cloned());
        let Some(range) = range else { return Ok(true) };
        let asked = self.ask_range(index, &range, wants).await?;
        if asked
            && !self.is_coming(index, &range)
            && let Some(closed) = &mut self.gate.closed
        {
            closed.ready.insert(index);
        }
        Ok(asked)
    }

    /// Whether something of a file's range is not written yet; when it is, the file is stirred.
    fn is_coming(&self, index: usize, range: &Range<u64>) -> bool {
        let mut here = self.asked.values().flatten().chain(&self.leaves).chain(&self.parts);
        self.open.get(&index).is_some_and(|file| file.writes > 0)
            || here.any(|(file, leaf)| *file == index && overlaps(leaf, range))
    }

    /// Opens the next file that is not judged. False if there is none, or too many are open.
    async fn open_unjudged(&mut self) -> Result<bool, Failure> {
        let (Some(closed), Some(index)) = (&self.gate.closed, self.queue.front()) else {
            return Ok(false);
        };
        if closed.judged.contains_key(index) {
            return Ok(false);
        }
        if self.open.len() >= limits::FETCH_OPEN_FILES {
            self.set_aside();
        }
        self.open_next().await
    }

    /// Closes files that are judged and wait for the gate, to make room for others.
    fn set_aside(&mut self) {
        let Some(closed) = &mut self.gate.closed else { return };
        closed.parked.retain(|index| self.open.contains_key(index));
        if closed.parked.is_empty() {
            return;
        }
        let busy: HashSet<usize> = self.asked.values().flatten().map(|(index, _)| *index).collect();
        let waits = |index: &usize| {
            let named = closed.judged.get(index) == Some(&true);
            let file = self.open.get(index);
            file.is_some_and(|file| file.writes == 0 && !(named && file.left == 0))
                && !busy.contains(index)
        };
        let aside: BTreeSet<usize> = closed.parked.iter().copied().filter(waits).collect();
        if aside.is_empty() {
            return;
        }
        let mut here: u64 = aside.iter().map(|i| self.plan.files[*i].size.expected()).sum();
        self.leaves.retain(|(index, leaf)| {
            let kept = !aside.contains(index);
            if !kept {
                here = here.saturating_sub(leaf.size.expected());
            }
            kept
        });
        // It is counted again when they are opened again.
        self.job.update(|state| state.bytes = state.bytes.saturating_sub(here));
        self.done.retain(|index| !aside.contains(index));
        let files: Vec<OpenFile> =
            aside.iter().filter_map(|index| self.open.remove(index)).collect();
        self.queue.extend(aside);
        self.tasks.spawn_blocking(move || {
            commit_all(files.iter().filter_map(OpenFile::begun))?;
            Ok(Step::SetAside)
        });
    }

    /// Judges files whose ranges are there, on a thread for it.
    fn judge(&mut self) {
        let Some(closed) = &mut self.gate.closed else { return };
        if closed.judging || closed.ready.is_empty() {
            return;
        }
        let mut batch = Vec::new();
        while batch.len() < limits::FETCH_EXAMINED
            && let Some(index) = closed.ready.pop_first()
        {
            let begun = self.open.get(&index).and_then(|file| file.begun().cloned());
            let (Some(arriving), Some(mut here)) = (begun, closed.examined.remove(&index)) else {
                continue;
            };
            // Of a file whose size nobody knew more was asked for than there is.
            if let Some(last) = here.last_mut() {
                last.end = last.end.min(arriving.size());
            }
            let path = self.plan.files[index].path.clone();
            batch.push(Examined { index, path, arriving, here });
        }
        closed.judging = true;
        self.tasks.spawn_blocking(move || {
            let judged: Result<Vec<Judged>, Failure> =
                batch.into_iter().map(Examined::judge).collect();
            Ok(Step::Judged(judged?))
        });
    }

    /// Takes verdicts, or what else must be seen.
    pub(super) fn on_judged(&mut self, judged: Vec<Judged>) {
        let Some(closed) = &mut self.gate.closed else { return };
        closed.judging = false;
        for Judged { index, mut here, examination } in judged {
            match examination {
                Examination::Done(finding) => {
                    closed.judge(index, finding);
                    let whole = self.open.get(&index).is_some_and(|file| file.left == 0);
                    if !whole || closed.judged.get(&index) != Some(&true) {
                        closed.parked.insert(index);
                    }
                }
                Examination::Needs(range) => {
                    here.push(range);
                    closed.examined.insert(index, here);
                    closed.stirred.insert(index);
                }
            }
        }
    }

    /// Lets all in, or refuses and keeps what came.
    async fn decide(&mut self) -> Result<(), Failure> {
        let Some(mut closed) = self.gate.closed.take() else { return Ok(()) };
        // They came in the order of their verdicts.
        closed.findings.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        match admit(&closed.findings, closed.leave) {
            Ok(admitted) => {
                self.gate.admitted = Some(admitted);
                self.library.announce(self.plan.id(), &closed.tree).await
            }
            Err(refusal) => {
                let begun = self.open.values().filter_map(|file| file.begun().cloned());
                let begun: Vec<Arc<Arriving>> = begun.collect();
                blocking(move || commit_all(begun.iter())).await?;
                let message = format!("{} is refused: {refusal}", closed.reference);
                Err(Failure::new(Code::Refused, message).hint(refusal.hint()))
            }
        }
    }
}

fn commit_all<'a>(files: impl Iterator<Item = &'a Arc<Arriving>>) -> Result<(), Failure> {
    for file in files {
        file.commit()?;
    }
    Ok(())
}
