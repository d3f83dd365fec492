//! Steps that only got another id.

use std::collections::HashMap;

use common::StepId;

use crate::playbook::{Playbook, Step, StepKind};

/// Old ids by new ones, and back.
pub(super) struct Renames {
    forward: HashMap<StepId, StepId>,
    backward: HashMap<StepId, StepId>,
}

impl Renames {
    /// A step that is gone and one that is new are the same step where both are called alike and do alike, and no third
    /// one does: then people read one sentence about the id and not one for each edge.
    pub(super) fn between(old: &Playbook, new: &Playbook) -> Self {
        let gone: Vec<&Step> = missing(old, new);
        let fresh: Vec<&Step> = missing(new, old);
        let mut renames = Self {
            forward: HashMap::new(),
            backward: HashMap::new(),
        };
        // Documents that share hardly anything are not searched for pairs: each pair costs.
        if gone.len().saturating_mul(fresh.len()) > 10_000 {
            return renames;
        }
        for step in &gone {
            let twins = |among: &[&Step], of: &Step| among.iter().filter(|other| alike(of, other)).count();
            let Some(twin) = fresh.iter().find(|other| alike(step, other)) else {
                continue;
            };
            if twins(&fresh, step) == 1 && twins(&gone, twin) == 1 {
                renames.pair(&step.id, &twin.id);
                let undos = step.action().and_then(|action| action.undo.as_ref());
                let undos = undos.zip(twin.action().and_then(|action| action.undo.as_ref()));
                if let Some((before, now)) = undos {
                    renames.pair(before, now);
                }
            }
        }
        renames
    }

    fn pair(&mut self, old: &StepId, new: &StepId) {
        self.forward.insert(old.clone(), new.clone());
        self.backward.insert(new.clone(), old.clone());
    }

    /// What an old id is called now.
    pub(super) fn now<'r>(&'r self, old: &'r StepId) -> &'r StepId {
        self.forward.get(old).unwrap_or(old)
    }

    /// What a new id was called before.
    pub(super) fn before<'r>(&'r self, new: &'r StepId) -> &'r StepId {
        self.backward.get(new).unwrap_or(new)
    }
}

fn missing<'p>(here: &'p Playbook, there: &Playbook) -> Vec<&'p Step> {
    here.steps()
        .filter(|step| !there.steps.contains_key(&step.id))
        .collect()
}

fn alike(one: &Step, other: &Step) -> bool {
    let kinds = match (&one.kind, &other.kind) {
        (StepKind::Action(one), StepKind::Action(other)) => {
            one.name() == other.name() && one.parameters == other.parameters
        }
        (one, other) => one == other,
    };
    kinds && one.name == other.name
}
