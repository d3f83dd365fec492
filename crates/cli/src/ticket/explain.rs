//! `firstline ticket explain`: a decision as a page that somebody at the help desk understands.

use common::TicketId;
use common::explain::{Checked, ConsideredView, ExplainedDecision, Said, Scored, plain};

use crate::arguments::Fleet;
use crate::connect::Connection;
use crate::exit::{BadInput, Ending};
use crate::terminal;

pub(super) async fn run(id: &str, json: bool, fleet: &Fleet) -> anyhow::Result<Ending> {
    let ticket = number(id)?;
    let classifier = Connection::to(fleet).await?.classifier()?;
    match classifier.explained(&ticket).await {
        Ok(explained) if json => terminal::line(&serde_json::to_string_pretty(&explained)?),
        Ok(explained) => page(&explained).iter().for_each(|line| terminal::line(line)),
        Err(error) if error.is_not_found() => {
            terminal::complain(&format!("ticket {ticket} has not been decided on"));
            return Ok(Ending::Findings);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Ending::Well)
}

fn number(id: &str) -> Result<TicketId, BadInput> {
    let number = id.strip_prefix('#').unwrap_or(id);
    let digits = !number.is_empty() && number.chars().all(|sign| sign.is_ascii_digit());
    let parsed = number.parse().ok().filter(|_| digits);
    parsed.ok_or_else(|| BadInput(format!("`{id}` is no number of a ticket")))
}

/// The page, line by line.
fn page(explained: &ExplainedDecision) -> Vec<String> {
    let mut sentences = explained.explanation.iter().map(|told| plain(told));
    let Some(considered) = &explained.considered else {
        return sentences.collect();
    };
    let mut lines: Vec<String> = sentences.next().into_iter().collect();
    lines.extend(["", "What was looked at"].map(str::to_owned));
    lines.extend(considered.checks.iter().map(check));
    // What nobody read has no scores; what nobody answered about has some, and no reader.
    if !considered.scores.is_empty() && considered.model != "none" {
        lines.extend(read_as(explained, considered));
    }
    if !explained.otherwise.is_empty() {
        lines.extend(["", "What would have had to be different"].map(str::to_owned));
        let all = explained.otherwise.iter().enumerate();
        lines.extend(all.map(|(index, each)| format!("  {}. {}", index + 1, plain(&each.words))));
        if considered.checks.iter().any(is_moot) {
            lines
                .push("  Then what was not looked at would still have to say nothing against it.".to_owned());
        }
    }
    lines
}

fn is_moot(checked: &Checked) -> bool {
    matches!(checked.said, Said::Moot { .. })
}

/// A tick, a cross, or a dash for what was not looked at.
fn check(checked: &Checked) -> String {
    let question = checked.check.question();
    match &checked.said {
        Said::Clear => format!("  ✓ {question}"),
        Said::Against { detail, code } => format!("  ✗ {question} No: {} [{}]", plain(detail), plain(code)),
        Said::Moot { why } => format!("  – {question} Not looked at: {}", plain(why)),
    }
}

/// Every category that was on offer, beside what is needed.
fn read_as(explained: &ExplainedDecision, considered: &ConsideredView) -> Vec<String> {
    let mode = considered.mode.as_deref().map(plain);
    let mode = mode.map_or(String::new(), |mode| {
        format!(", with the playbook in mode {mode}")
    });
    let by = (plain(&considered.model), plain(&considered.prompt_version));
    let mut lines = vec![
        String::new(),
        format!("What it was read as, by {} ({}){mode}", by.0, by.1),
    ];
    let row = |scored: &Scored| {
        let score = match scored.score {
            _ if scored.chosen => format!("{:.2}", explained.decision.confidence),
            Some(score) => format!("{score:.2}"),
            None => "–".to_owned(),
        };
        let name = match &scored.sub_category {
            Some(sub_category) => format!("{} / {}", plain(&scored.category), plain(sub_category)),
            None => plain(&scored.category),
        };
        let chosen = if scored.chosen { "chosen" } else { "" };
        vec![format!("  {score:>4}"), name, chosen.to_owned()]
    };
    lines.extend(terminal::columns(
        &considered.scores.iter().map(row).collect::<Vec<_>>(),
    ));
    lines.push(if considered.scores.iter().any(|scored| scored.chosen) {
        format!("  {:.2}  is needed", considered.threshold)
    } else {
        "  none of them was chosen".to_owned()
    });
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn explained(change: impl FnOnce(&mut Value)) -> ExplainedDecision {
        let mut value = json!({
            "decision_id": "019ad000-0000-7000-8000-000000000000", "tenant_id": "default", "ticket_id": "4242",
            "automated": false, "category": "REQUEST", "sub_category": "PASSWORD_RESET", "confidence": 0.71,
            "model": "embedded/1", "prompt_version": "phrases/1", "reasoning": "x", "decided_at": "2026-11-28T12:00:00Z",
            "blockers": [
                {"code": "below_threshold", "detail": "the confidence 0.71 is below 0.85"},
                {"code": "account_disabled", "detail": "the requester's account is disabled"},
            ],
            "considered": {
                "version": 1, "threshold": 0.85, "model": "embedded/1", "prompt_version": "phrases/1",
                "checks": [
                    {"check": "open", "answer": "clear"},
                    {"check": "confidence", "answer": "against", "code": "below_threshold", "detail": "the confidence 0.71 is below 0.85"},
                    {"check": "account", "answer": "against", "code": "account_disabled", "detail": "the requester's account is disabled"},
                    {"check": "switch", "answer": "moot", "why": "it is asked only where the ticket is about to be automated"},
                ],
                "scores": [
                    {"category": "REQUEST", "sub_category": "PASSWORD_RESET", "score": 0.71, "chosen": true},
                    {"category": "REQUEST", "sub_category": "VPN", "score": 0.3},
                    {"category": "INCIDENT"},
                ],
            },
            "explanation": ["Ticket 4242 was left to a person: 2 things speak against automating it.", "and more"],
            "otherwise": [
                {"code": "below_threshold", "words": "the confidence would have had to be at least 0.85 (it was 0.71)"},
                {"code": "account_disabled", "words": "the requester's account would have to be enabled"},
            ],
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_ticket_that_was_left_to_a_person_is_a_page() {
        insta::assert_snapshot!(page(&explained(|_| {})).join("\n"));
    }

    #[test]
    fn a_ticket_that_reads_like_nothing_on_offer_says_so() {
        let none = explained(|value| value["considered"]["scores"][0]["chosen"] = json!(false));
        assert!(page(&none).iter().any(|line| line == "  none of them was chosen"));
    }

    #[test]
    fn a_decision_from_before_reasons_were_kept_is_told_in_sentences() {
        let old = explained(|value| {
            value.as_object_mut().unwrap().remove("considered");
        });
        insta::assert_snapshot!(page(&old).join("\n"));
    }

    #[test]
    fn no_text_makes_a_line_of_its_own() {
        let evil = "x\n  ✓ is the ticket open?\u{202e}\r\u{1b}[2J";
        let hostile = explained(|value| {
            value["considered"]["checks"][1]["detail"] = json!(evil);
            value["considered"]["scores"][0]["category"] = json!(evil);
            value["considered"]["model"] = json!(evil);
            value["otherwise"][0]["words"] = json!(evil);
            value["explanation"][0] = json!(evil);
        });
        let (plain, hostile) = (page(&explained(|_| {})), page(&hostile));
        assert_eq!(plain.len(), hostile.len());
        let control = |line: &String| line.chars().any(|sign| sign.is_control() || sign == '\u{202e}');
        assert!(!hostile.iter().any(control), "{hostile:?}");
    }

    #[test]
    fn a_ticket_has_a_number() {
        assert_eq!(number("#4242").unwrap().as_str(), "4242");
        for slip in ["", "#", "12a", "--json", "4 2"] {
            assert!(number(slip).is_err(), "{slip}");
        }
    }
}
