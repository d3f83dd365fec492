//! The gate's decision: every check is a small function from facts to an answer, and silence is a no.
//!
//! Rules come first: they look at the ticket itself and decide whether its text is read at all. Blockers come after.

pub mod blockers;
pub mod rules;

use common::Blocker;
use common::explain::Check;

use crate::facts::{Admission, Desk, Facts, NotAsked, Objection, Requester};

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing against automation.
    Clear,
    /// This against it.
    Against(Blocker),
    /// There is nothing to look at, and this is why: another check has the reason.
    Moot(&'static str),
}

impl Answer {
    fn against(code: &str, detail: &str) -> Self {
        Self::Against(Blocker {
            code: code.to_owned(),
            detail: detail.to_owned(),
        })
    }
}

/// The answers of all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// [`rules::open`].
    pub open: Answer,
    /// [`rules::made`].
    pub made: Answer,
    /// [`rules::untouched`].
    pub untouched: Answer,
    /// [`rules::kind`].
    pub kind: Answer,
    /// [`rules::requester`].
    pub requester: Answer,
    /// [`rules::sender`].
    pub sender: Answer,
    /// [`rules::trigger`].
    pub trigger: Answer,
    /// [`blockers::reading`].
    pub reading: Answer,
    /// [`blockers::confidence`].
    pub confidence: Answer,
    /// [`blockers::affected`].
    pub affected: Answer,
    /// [`blockers::text`].
    pub text: Answer,
    /// [`blockers::plan`].
    pub plan: Answer,
    /// [`blockers::account`].
    pub account: Answer,
    /// [`blockers::guest`].
    pub guest: Answer,
    /// [`blockers::protection`].
    pub protection: Answer,
    /// [`blockers::methods`].
    pub methods: Answer,
    /// [`blockers::execution`].
    pub execution: Answer,
    /// [`blockers::switch`].
    pub switch: Answer,
    /// [`blockers::velocity`].
    pub velocity: Answer,
}

impl Answers {
    /// Each with its name, in the order in which they are asked.
    pub fn in_order(self) -> Vec<(Check, Answer)> {
        // Destructured on purpose: a new check does not compile until it is weighed here.
        let Self {
            open,
            made,
            untouched,
            kind,
            requester,
            sender,
            trigger,
            reading,
            confidence,
            affected,
            text,
            plan,
            account,
            guest,
            protection,
            methods,
            execution,
            switch,
            velocity,
        } = self;
        vec![
            (Check::Open, open),
            (Check::Made, made),
            (Check::Untouched, untouched),
            (Check::Kind, kind),
            (Check::Requester, requester),
            (Check::Sender, sender),
            (Check::Trigger, trigger),
            (Check::Reading, reading),
            (Check::Confidence, confidence),
            (Check::Affected, affected),
            (Check::Text, text),
            (Check::Plan, plan),
            (Check::Account, account),
            (Check::Guest, guest),
            (Check::Protection, protection),
            (Check::Methods, methods),
            (Check::Execution, execution),
            (Check::Switch, switch),
            (Check::Velocity, velocity),
        ]
    }
}

/// The verdict and every reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Automate,
    /// At least one thing does.
    Manual {
        /// All of them; never empty.
        against: Vec<Blocker>,
    },
}

/// Whether to ask the classifier, which may cost money and sees the text: not where a rule leaves the ticket to a person
/// whatever the text says, nor where no active playbook takes tickets like it.
///
/// # Errors
/// It is not to be asked, for this reason.
pub fn worth_reading(desk: Desk, requester: &Requester, admission: &Admission) -> Result<(), NotAsked> {
    let ruled = [
        rules::open(desk),
        rules::made(desk),
        rules::untouched(desk),
        rules::kind(desk),
        rules::requester(requester),
        rules::sender(desk, requester),
    ];
    // Not clear is a no: also of a rule that has nothing to look at.
    if ruled.iter().any(|answer| *answer != Answer::Clear) {
        return Err(NotAsked::Ruled);
    }
    match rules::trigger(requester, admission) {
        Answer::Clear => Ok(()),
        Answer::Against(_) | Answer::Moot(_) => Err(NotAsked::NothingOffered),
    }
}

/// Ask every check. `threshold`: confidence from which a category is believed; `objection`: what recording it ran into.
pub fn weigh(facts: &Facts, threshold: f64, objection: Option<&Objection>) -> Answers {
    Answers {
        open: rules::open(facts.desk),
        made: rules::made(facts.desk),
        untouched: rules::untouched(facts.desk),
        kind: rules::kind(facts.desk),
        requester: rules::requester(&facts.requester),
        sender: rules::sender(facts.desk, &facts.requester),
        trigger: rules::trigger(&facts.requester, &facts.admission),
        reading: blockers::reading(&facts.reading),
        confidence: blockers::confidence(&facts.reading, threshold),
        affected: blockers::affected(&facts.reading),
        text: blockers::text(&facts.reading),
        plan: blockers::plan(&facts.plan),
        account: blockers::account(&facts.requester),
        guest: blockers::guest(&facts.requester),
        protection: blockers::protection(&facts.requester),
        methods: blockers::methods(&facts.requester),
        execution: blockers::execution(facts.execution),
        switch: blockers::switch(objection),
        velocity: blockers::velocity(objection),
    }
}

/// The verdict. A moot answer counts for nothing; where no check has the reason for it, that is a no as well.
pub fn decide(answers: Answers) -> Verdict {
    let all = answers.in_order();
    let unanswered = all.iter().any(|(_, answer)| matches!(answer, Answer::Moot(_)));
    let mut against: Vec<Blocker> = all
        .into_iter()
        .filter_map(|(_, answer)| match answer {
            Answer::Against(blocker) => Some(blocker),
            Answer::Clear | Answer::Moot(_) => None,
        })
        .collect();
    if against.is_empty() && unanswered {
        against.push(Blocker {
            code: "check_unanswered".to_owned(),
            detail: "a check had nothing to look at".to_owned(),
        });
    }
    if against.is_empty() {
        Verdict::Automate
    } else {
        Verdict::Manual { against }
    }
}

#[cfg(test)]
mod tests;
