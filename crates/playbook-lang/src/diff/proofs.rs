//! What is proven before a privileged step: told of the whole way there, not of the edges that make it up.

use std::collections::{BTreeSet, HashMap, VecDeque};

use common::{Outcome, StepId};

use super::renames::Renames;
use super::{ChangeKind, Changes, Weight};
use crate::playbook::{ActionStep, Playbook, Step, StepKind};
use crate::proof::Proof;

/// So many verifications are followed one by one; the strength of the proof is compared however many there are.
const MOST_VERIFICATIONS: usize = 100;

pub(super) fn compare(old: &Playbook, new: &Playbook, renames: &Renames, changes: &mut Changes) {
    let (was, is) = (Ways::of(old), Ways::of(new));
    for step in privileged(new) {
        let id = &step.id;
        let before = renames.before(id);
        let now = is.weakest(id);
        if !old.step(before).is_some_and(acts) {
            let words = format!("whoever gets to the new privileged step `{id}` has {}", said(now));
            changes.about(id, ChangeKind::Permission, Weight::Security, words);
            continue;
        }
        let then = was.weakest(before);
        if then != now {
            let words = format!(
                "whoever gets to `{id}` has now {} instead of {}",
                said(now),
                said(then)
            );
            changes.about(id, ChangeKind::Permission, Weight::Security, words);
        }
        let today = |ids: &BTreeSet<StepId>| ids.iter().map(|id| renames.now(id).clone()).collect();
        let none = Verifications::default();
        let then = was.verifications.get(before).unwrap_or(&none);
        let then = Verifications {
            always: today(&then.always),
            perhaps: today(&then.perhaps),
        };
        tell(id, &then, is.verifications.get(id).unwrap_or(&none), changes);
    }
    if (was.cut || is.cut) && super::differ(old, new) {
        let words = format!(
            "only the first {MOST_VERIFICATIONS} verifications were followed to the privileged steps"
        );
        changes.add(ChangeKind::Permission, Weight::Security, words);
    }
}

/// The verifications on the ways to one privileged step.
#[derive(Default)]
struct Verifications {
    /// Without whose success nobody gets there.
    always: BTreeSet<StepId>,
    /// From whose success one can get there.
    perhaps: BTreeSet<StepId>,
}

fn tell(id: &StepId, was: &Verifications, is: &Verifications, changes: &mut Changes) {
    let mut say = |words: String| changes.about(id, ChangeKind::Permission, Weight::Security, words);
    for verification in is.always.difference(&was.always) {
        say(format!("`{verification}` must now succeed before `{id}`"));
    }
    for verification in was.always.difference(&is.always) {
        say(format!("`{verification}` need no longer succeed before `{id}`"));
    }
    for verification in is
        .perhaps
        .difference(&was.perhaps)
        .filter(|step| !is.always.contains(*step))
    {
        say(format!(
            "`{verification}` is now one of the verifications that lead to `{id}`"
        ));
    }
    for verification in was
        .perhaps
        .difference(&is.perhaps)
        .filter(|step| !was.always.contains(*step))
    {
        say(format!(
            "`{verification}` is no longer one of the verifications that lead to `{id}`"
        ));
    }
}

fn said(proof: Option<Proof>) -> String {
    match proof {
        None => "no way there at all".to_owned(),
        Some(Proof::Unverified) => "proven nothing".to_owned(),
        Some(Proof::Verified(assurance)) => format!("proven {assurance} assurance at least"),
        Some(Proof::Denied) => "perhaps been denied".to_owned(),
    }
}

fn acts(step: &Step) -> bool {
    step.action().is_some_and(|action| action.action.privileged())
}

fn privileged(playbook: &Playbook) -> impl Iterator<Item = &Step> {
    playbook.steps().filter(|step| acts(step))
}

/// The ways to the privileged steps of one version.
struct Ways {
    /// What has been proven at each step, on whatever way.
    proofs: HashMap<StepId, BTreeSet<Proof>>,
    /// Per privileged step that is reached.
    verifications: HashMap<StepId, Verifications>,
    /// There are more than were followed.
    cut: bool,
}

impl Ways {
    fn of(playbook: &Playbook) -> Self {
        let proofs = proofs(playbook);
        let acting: Vec<&Step> = privileged(playbook)
            .filter(|step| proofs.contains_key(&step.id))
            .collect();
        let verifies = |step: &&Step| {
            let action = step.action().filter(|action| action.action.verifies());
            action.is_some() && proofs.contains_key(&step.id)
        };
        let cut = playbook.steps().filter(verifies).count() > MOST_VERIFICATIONS;
        let graph = Graph::of(playbook);
        let mut verifications: HashMap<StepId, Verifications> = HashMap::new();
        for verification in playbook.steps().filter(verifies).take(MOST_VERIFICATIONS) {
            let without = graph.reached(&playbook.start, Some(&verification.id));
            let behind = verification.edge(&Outcome::Success);
            let behind = behind.map(|start| graph.reached(start, None)).unwrap_or_default();
            for step in &acting {
                let ways = verifications.entry(step.id.clone()).or_default();
                if !graph.holds(&without, &step.id) {
                    ways.always.insert(verification.id.clone());
                }
                if graph.holds(&behind, &step.id) {
                    ways.perhaps.insert(verification.id.clone());
                }
            }
        }
        Self {
            proofs,
            verifications,
            cut,
        }
    }

    /// `Denied` is the weakest: nobody should get anywhere with it.
    fn weakest(&self, step: &StepId) -> Option<Proof> {
        let proofs = self.proofs.get(step)?;
        proofs.get(&Proof::Denied).or_else(|| proofs.first()).copied()
    }
}

/// Every edge of a step, with the outcome that follows it; into branches without one.
fn leads(step: &Step) -> Vec<(Option<Outcome>, &StepId)> {
    let mut leads: Vec<_> = step
        .edges
        .iter()
        .map(|(outcome, to)| (Some(outcome.clone()), to))
        .collect();
    if let StepKind::Parallel(parallel) = &step.kind {
        leads.extend(parallel.branches.values().map(|first| (None, first)));
    }
    leads
}

fn proofs(playbook: &Playbook) -> HashMap<StepId, BTreeSet<Proof>> {
    let mut seen: HashMap<StepId, BTreeSet<Proof>> = HashMap::new();
    let mut queue = VecDeque::from([(&playbook.start, Proof::Unverified)]);
    while let Some((id, proof)) = queue.pop_front() {
        let Some(step) = playbook.steps.get(id) else {
            continue;
        };
        if !seen.entry(id.clone()).or_default().insert(proof) {
            continue;
        }
        for (outcome, to) in leads(step) {
            let action: Option<&ActionStep> = step.action();
            let after = match (&outcome, action) {
                (Some(outcome), Some(action)) => proof.after(&action.action, outcome),
                _ => proof,
            };
            queue.push_back((to, after));
        }
    }
    seen
}

/// The edges by number: they are walked many times.
struct Graph<'p> {
    playbook: &'p Playbook,
    /// Where each step leads, and whether with success.
    next: Vec<Vec<(usize, bool)>>,
}

impl<'p> Graph<'p> {
    fn of(playbook: &'p Playbook) -> Self {
        let number = |(outcome, to): (Option<Outcome>, &StepId)| {
            Some((
                playbook.steps.get_index_of(to)?,
                outcome == Some(Outcome::Success),
            ))
        };
        let next = playbook
            .steps()
            .map(|step| leads(step).into_iter().filter_map(number).collect());
        Self {
            playbook,
            next: next.collect(),
        }
    }

    /// What can be reached from there without the success of one verification.
    fn reached(&self, start: &StepId, without: Option<&StepId>) -> Vec<bool> {
        let number = |id: &StepId| self.playbook.steps.get_index_of(id);
        let without = without.and_then(number);
        let mut seen = vec![false; self.next.len()];
        let mut stack: Vec<usize> = number(start).into_iter().collect();
        while let Some(step) = stack.pop() {
            match seen.get_mut(step) {
                Some(new) if !*new => *new = true,
                _ => continue,
            }
            let leads = self.next.get(step).into_iter().flatten();
            stack.extend(
                leads
                    .filter(|(_, proves)| !(*proves && without == Some(step)))
                    .map(|(to, _)| *to),
            );
        }
        seen
    }

    fn holds(&self, reached: &[bool], step: &StepId) -> bool {
        let number = self.playbook.steps.get_index_of(step);
        number.and_then(|number| reached.get(number)) == Some(&true)
    }
}
