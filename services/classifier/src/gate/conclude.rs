//! The verdict written out: the decision as it is recorded, and the request for what follows from it.

use common::{Blocker, Decision, DecisionId, ExecutePlaybook, Mode, Subject, TicketSnapshot, Values};
use connectors::halopsa::Ticket;
use time::OffsetDateTime;

use super::Gate;
use crate::classify::Text;
use crate::considered::Considered;
use crate::decide::{Verdict, decide, weigh};
use crate::facts::{Facts, Known, Objection, Offered, Plan, Reading, Requester};
use crate::gather::Dossier;
use crate::modes::held;
use crate::store::Judgement;

/// A ticket's opening text travels with the execution up to here; the ticket itself is one click away.
const LONGEST_DETAILS: usize = 4000;
/// Nothing fits.
pub(crate) const OTHER: &str = "OTHER";

impl Gate {
    /// Whether something keeps the ticket with a person, whatever the mode of its playbook is.
    pub(super) fn speaks_against(&self, dossier: &Dossier) -> bool {
        let threshold = dossier.facts.reading.threshold(self.threshold);
        matches!(
            decide(weigh(&dossier.facts, threshold, None)),
            Verdict::Manual { .. }
        )
    }

    /// Weigh the facts and write the verdict out, in the playbook's `mode`; with what an earlier one ran into when it was to
    /// be recorded.
    pub(super) fn conclude(
        &self,
        dossier: &Dossier,
        objection: Option<&Objection>,
        mode: Option<Mode>,
        now: OffsetDateTime,
    ) -> Judgement {
        let Dossier {
            ticket,
            facts,
            offers,
            ..
        } = dossier;
        let decision_id = DecisionId::fresh();
        let threshold = facts.reading.threshold(self.threshold);
        let answers = weigh(facts, threshold, objection);
        let verdict = decide(answers.clone());
        let (blockers, execution) = match (verdict, &facts.plan, &facts.requester) {
            (Verdict::Automate, Plan::Fits(offered), Requester::Known(known)) => {
                // Where nobody knows the mode, nobody allowed it to act.
                match held(mode.unwrap_or(Mode::Shadow), &offered.playbook) {
                    None => (vec![], Some(self.execution(decision_id, ticket, offered, known))),
                    Some(held) => (vec![held], None),
                }
            }
            (Verdict::Automate, ..) => (vec![unfounded()], None),
            (Verdict::Manual { against }, ..) => (against, None),
        };
        let decision = Decision {
            automated: execution.is_some(),
            blockers,
            ..described(decision_id, self, ticket, facts, now)
        };
        let text = Text {
            summary: &ticket.summary,
            details: &ticket.details,
        };
        let mut considered = Considered::new(facts, text, offers, answers, threshold, decision.automated);
        considered.view.mode = mode.map(|mode| mode.to_string());
        let known = match &facts.requester {
            Requester::Known(known) => Some(known),
            _ => None,
        };
        Judgement {
            decision,
            considered,
            reference: ticket.reference(),
            requester: known.map(|known| known.person.id.clone()),
            manager: known.and_then(|known| known.manager.as_ref().map(|manager| manager.id.clone())),
            execution,
        }
    }

    fn execution(
        &self,
        decision_id: DecisionId,
        ticket: &Ticket,
        offered: &Offered,
        known: &Known,
    ) -> ExecutePlaybook {
        let tenant_id = self.store.tenant().clone();
        ExecutePlaybook {
            tenant_id: tenant_id.clone(),
            ticket_id: ticket.id.clone(),
            decision_id,
            playbook: offered.playbook.clone(),
            subject: Subject {
                tenant_id,
                user_id: known.person.id.clone(),
            },
            requester_name: known.person.display_name.clone(),
            requester_mail: known.person.mail.clone(),
            manager: known.manager.clone(),
            ticket: snapshot(ticket),
            inputs: Values::new(),
        }
    }
}

/// What a playbook may show of a ticket, and compare.
pub(crate) fn snapshot(ticket: &Ticket) -> TicketSnapshot {
    let details: String = ticket.details.chars().take(LONGEST_DETAILS).collect();
    TicketSnapshot {
        summary: ticket.summary.clone(),
        client_name: ticket.client_name.clone(),
        details: Some(details).filter(|details| !details.is_empty()),
        category: ticket.category.clone(),
        team: ticket.team.clone(),
        source: ticket.source,
        status: ticket.status_id,
        ticket_type: ticket.ticket_type_id,
    }
}

/// Cannot happen, and would not be automated if it did.
fn unfounded() -> Blocker {
    Blocker {
        code: "facts_incomplete".to_owned(),
        detail: "the playbook or the person behind the ticket is missing".to_owned(),
    }
}

/// The decision as far as the facts describe it; neither automated nor blocked yet.
fn described(id: DecisionId, gate: &Gate, ticket: &Ticket, facts: &Facts, now: OffsetDateTime) -> Decision {
    let offered = facts.plan.offered();
    let (confidence, model, prompt_version, reasoning) = match &facts.reading {
        Reading::Read(read) => (
            read.confidence.clamp(0.0, 1.0),
            read.model.clone(),
            read.prompt_version.clone(),
            read.reasoning.clone(),
        ),
        Reading::Declined | Reading::Unread | Reading::NotAsked(_) => (
            0.0,
            "none".to_owned(),
            "none".to_owned(),
            "the ticket was not classified".to_owned(),
        ),
    };
    Decision {
        decision_id: id,
        tenant_id: gate.store.tenant().clone(),
        ticket_id: ticket.id.clone(),
        automated: false,
        category: offered.map_or(OTHER, |offered| &offered.category).to_owned(),
        sub_category: offered.and_then(|offered| offered.sub_category.clone()),
        confidence: if confidence.is_nan() { 0.0 } else { confidence },
        model,
        prompt_version,
        reasoning,
        blockers: vec![],
        playbook: offered.map(|offered| offered.playbook.clone()),
        execution_id: None,
        decided_at: now,
    }
}
