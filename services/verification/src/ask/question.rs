//! Begin a question to the subject themselves.

use common::{StepAnswer, StepRequest};
use time::OffsetDateTime;

use super::AskError;
use super::begun::{facts, impossible, named, reference};
use crate::Verifier;
use crate::inquiry::{Asked, Inquiry};
use crate::operation::{Method, Operation, State};
use crate::question::Question;

impl Verifier {
    /// Ask the subject what a playbook wants to know. Their answer proves nothing and allows nothing.
    pub async fn ask_question(
        &self,
        request: StepRequest,
        now: OffsetDateTime,
    ) -> Result<StepAnswer, AskError> {
        let answer = Box::pin(self.ask_by_question(&request, now)).await;
        self.on_record(&request, answer).await
    }

    async fn ask_by_question(
        &self,
        request: &StepRequest,
        now: OffsetDateTime,
    ) -> Result<StepAnswer, AskError> {
        self.check(request, "verification.ask")?;
        if request.authorizes.is_some() {
            let detail = "a question proves nothing, so nothing can be authorized by its answer";
            return Err(AskError::Misdirected(detail.to_owned()));
        }
        let asked = Asked::read(&request.parameters)?;
        if let Some(known) = self.known(request, Method::Question).await? {
            return Ok(known);
        }
        // People answer when they next look: no rule of ours is shorter than the step's own time-out.
        let facts = facts(request, Method::Question, None, self.limits.outside, now);
        let operation = match self.subject(request).await {
            Ok(person) => {
                let inquiry = Inquiry {
                    reference: reference("qst"),
                    asked,
                };
                let question = Question::new(inquiry, facts.patience(), now);
                Operation {
                    state: State::Question(question),
                    facts: named(facts, &person),
                    permit: None,
                }
            }
            Err((person, reason)) => impossible(facts, person.as_ref(), reason, now)?,
        };
        self.begin(operation, request).await
    }
}
