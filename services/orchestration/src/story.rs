//! How an execution reads on its ticket: pure functions from facts to notes.
//!
//! Nothing here can show a secret: a story is made of step names, outcomes and the sentences that services wrote for
//! people. Plain text throughout: the help desk's client escapes it.

use std::time::Duration;

use common::{DecisionId, Ending, ExecutionId, Outcome, PlaybookRef, StepCall, StepView};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::update::{Asked, Held, Operated, PlaybookNote, Progress, SetFields, Verb};

/// Everything an execution did, once it has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Story {
    /// The execution.
    pub(crate) execution: ExecutionId,
    /// The decision that allowed it.
    pub(crate) decision: DecisionId,
    /// The document it ran.
    pub(crate) playbook: PlaybookRef,
    /// Whom it was for, as people call them.
    pub(crate) requester_name: String,
    /// How it ended.
    pub(crate) ending: Ending,
    /// When it was accepted.
    pub(crate) started_at: OffsetDateTime,
    /// When it ended.
    pub(crate) ended_at: OffsetDateTime,
    /// Every call of every step, oldest first.
    pub(crate) chapters: Vec<Chapter>,
}

/// One call of one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chapter {
    /// As the API shows it.
    pub(crate) step: StepView,
    /// One sentence: who was asked what, by which channel; none where the service answered at once.
    pub(crate) asked: Option<String>,
}

/// How the language names what takes a step back.
const UNDO: &str = "Undo: ";

/// Somebody was asked and the ticket waits.
pub(crate) fn asked_note(asked: &Asked) -> String {
    let Asked { call: _, name, asked } = asked;
    format!("{}: waiting.\nAsked: {}", line(name), line(asked))
}

/// A call of a step ended.
pub(crate) fn progress_note(progress: &Progress) -> String {
    let Progress {
        call,
        name,
        action,
        asked,
        outcome,
        explanation,
        next,
    } = progress;
    let mut lines = vec![format!(
        "{}{}: {}.",
        line(name),
        attempt(call),
        line(outcome_words(outcome))
    )];
    lines.extend(
        action
            .as_ref()
            .map(|action| format!("By: {}", line(action.as_str()))),
    );
    lines.extend(asked.as_ref().map(|asked| format!("Asked: {}", line(asked))));
    lines.push(format!("Result: {}", line(explanation)));
    lines.extend(next.as_ref().map(|next| format!("Next: {}", line(next))));
    lines.join("\n")
}

/// How several calls ended, one soon after the other.
pub(crate) fn steps_note(steps: &[Progress]) -> String {
    let notes: Vec<String> = steps.iter().map(progress_note).collect();
    notes.join("\n\n")
}

/// What a playbook wants said. For agents every line is marked as the playbook's, so that no text of a ticket can pass
/// for one of ours; the requester reads it as it is.
pub(crate) fn playbook_note(note: &PlaybookNote) -> String {
    let lines = note.text.lines().map(line);
    if note.public {
        return lines.collect::<Vec<_>>().join("\n");
    }
    let quoted = lines.map(|line| format!("> {line}"));
    let heading = format!("{}:", line(&note.name));
    [heading].into_iter().chain(quoted).collect::<Vec<_>>().join("\n")
}

/// An operator did something to the execution.
pub(crate) fn operated_note(Operated { verb, name, reason }: &Operated) -> String {
    let (done, means) = match verb {
        Verb::Pause => ("Paused", "No step begins until it is resumed. Its time goes on."),
        Verb::Resume => ("Resumed", "The automation goes on from where it stood."),
        Verb::Cancel => (
            "Cancelled",
            "No further step begins. What was done and can be taken back is taken back.",
        ),
        Verb::Retry => (
            "Tried again",
            "The automation goes on with the step that had failed.",
        ),
    };
    let mut lines = vec![format!("{done} by {}.", line(name))];
    lines.extend(reason.as_ref().map(|reason| format!("Reason: {}", line(reason))));
    lines.push(means.to_owned());
    lines.join("\n")
}

/// A switch has held the execution for long.
pub(crate) fn held_note(Held { switch, off }: &Held) -> String {
    let lines = [
        format!(
            "The automation stands still: {} has been off since {} (UTC).",
            line(&switch.to_string()),
            moment(off.since)
        ),
        format!("Switched off by {}.", line(&off.name)),
        format!("Reason: {}", line(&off.reason)),
        "It goes on by itself once the switch is on again. Its time goes on.".to_owned(),
    ];
    lines.join("\n")
}

/// The help desk does not take what a playbook wants to write.
pub(crate) fn not_set(fields: &SetFields, why: &str) -> String {
    let names: Vec<String> = fields.fields.keys().map(|name| line(name)).collect();
    format!("The fields {} were not set: {}", names.join(", "), line(why))
}

/// To the requester: that it is done, in words that give nothing away to somebody else who reads along.
pub(crate) fn resolved_note(story: &Story) -> String {
    let mut lines = vec![
        format!("Hello {},", line(&story.requester_name)),
        String::new(),
        "your request was completed automatically.".to_owned(),
    ];
    let done = |action: &str| was_done(&story.chapters, action);
    if done("verification.mfa") {
        lines.push("You confirmed it on your phone.".to_owned());
    }
    if done("verification.manager") {
        lines.push("Your manager confirmed it for you.".to_owned());
    }
    if done("executor.reset_password") {
        lines.push(String::new());
        lines.extend(how_to_sign_in(done("delivery.sms")).map(str::to_owned));
    }
    lines.push(String::new());
    lines.push("If you did not ask for this, contact the service desk at once.".to_owned());
    lines.join("\n")
}

/// What the requester does with the pass, and what became of the password they had.
fn how_to_sign_in(by_text_message: bool) -> [&'static str; 2] {
    let pass = if by_text_message {
        "A one-time pass was sent to your phone by text message. Sign in with it, then set a new password."
    } else {
        "A one-time pass was made for your account. Sign in with it once you have it, then set a new password."
    };
    [pass, "Your old password was not changed by this."]
}

/// To the person who takes over: why, and what had been running.
pub(crate) fn escalated_note(story: &Story, reason: &str) -> String {
    let mut lines = vec![
        "Automation stopped: a person must take over.".to_owned(),
        format!("Reason: {}", line(reason)),
    ];
    lines.extend(story.chapters.iter().filter_map(taken_back));
    lines.push(format!("Playbook: {}", playbook(&story.playbook)));
    lines.join("\n")
}

/// What became of taking a step back, where that is what the chapter tells.
fn taken_back(Chapter { step, .. }: &Chapter) -> Option<String> {
    let undone = step.name.strip_prefix(UNDO)?;
    step.call.id.as_str().strip_suffix(".undo")?;
    Some(match step.outcome {
        Some(Outcome::Success) => format!("Taken back: {}", line(undone)),
        _ => format!("Not taken back: {} ({})", line(undone), line(&step.explanation)),
    })
}

/// The complete record: every call of every step, when, by whom, how it ended.
pub(crate) fn story_note(story: &Story) -> String {
    let Story {
        execution,
        decision,
        playbook: document,
        requester_name,
        ending,
        started_at,
        ended_at,
        chapters,
    } = story;
    let ending = match ending {
        Ending::Resolved => "resolved".to_owned(),
        Ending::Escalated { reason } => format!("escalated: {}", line(reason)),
    };
    let mut lines = vec![
        "Automation record (times in UTC)".to_owned(),
        format!("Playbook: {}", playbook(document)),
        format!("Document: sha256 {}", document.digest),
        format!("Execution: {execution}"),
        format!("Decision: {decision}"),
        format!("Requester: {}", line(requester_name)),
        format!("Started: {}", moment(*started_at)),
        format!(
            "Ended: {} after {}",
            moment(*ended_at),
            span(*ended_at - *started_at)
        ),
        format!("Ending: {ending}"),
    ];
    for (chapter, number) in chapters.iter().zip(1..) {
        lines.push(String::new());
        lines.extend(chapter_lines(number, chapter, &story.ending));
    }
    lines.join("\n")
}

fn chapter_lines(number: usize, Chapter { step, asked }: &Chapter, ending: &Ending) -> Vec<String> {
    let by = step.service.as_deref().unwrap_or("orchestration");
    let outcome = match &step.outcome {
        // The step that gives up has done its own work, which is no success of the request.
        Some(_) if hands_over(step, ending) => "handed over to a person",
        Some(outcome) => outcome_words(outcome),
        None => "not ended",
    };
    let took = step
        .ended_at
        .map(|ended| format!(" after {}", span(ended - step.started_at)))
        .unwrap_or_default();
    let mut lines = vec![format!(
        "{number}. {} {}{} by {}",
        moment(step.started_at),
        line(&step.name),
        attempt(&step.call),
        line(by)
    )];
    lines.extend(asked.as_ref().map(|asked| format!("   Asked: {}", line(asked))));
    lines.push(format!("   Outcome: {}{took}", line(outcome)));
    lines.push(format!("   Result: {}", line(&step.explanation)));
    lines
}

/// ` (visit 2, attempt 3)`; nothing the first time.
fn attempt(call: &StepCall) -> String {
    match (call.visit, call.attempt) {
        (1, 1) => String::new(),
        (1, attempt) => format!(" (attempt {attempt})"),
        (visit, 1) => format!(" (visit {visit})"),
        (visit, attempt) => format!(" (visit {visit}, attempt {attempt})"),
    }
}

/// One line, whatever came from outside: it can begin no line of its own.
fn line(text: &str) -> String {
    text.chars()
        .map(|sign| if sign.is_control() { ' ' } else { sign })
        .collect()
}

/// Whether `action` succeeded.
fn was_done(chapters: &[Chapter], action: &str) -> bool {
    chapters.iter().any(|Chapter { step, .. }| {
        step.service.as_deref() == Some(action) && step.outcome == Some(Outcome::Success)
    })
}

/// The escalation step with which `ending` came: nobody was called, and its sentence is the reason.
fn hands_over(step: &StepView, ending: &Ending) -> bool {
    match ending {
        Ending::Resolved => false,
        Ending::Escalated { reason } => step.service.is_none() && step.explanation == *reason,
    }
}

fn outcome_words(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Success => "done",
        Outcome::Failure => "did not work",
        Outcome::Denied => "denied",
        Outcome::Timeout => "no answer in time",
        Outcome::Word(word) => word,
    }
}

fn playbook(playbook: &PlaybookRef) -> String {
    format!("{} version {}", playbook.name, playbook.version)
}

/// `2026-11-22 02:30:05`, in UTC.
pub(crate) fn moment(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    at.to_offset(time::UtcOffset::UTC)
        .format(format)
        .unwrap_or_default()
}

/// `0.4 s`, `75 s`, `12 min`, `3 h`: as exact as a person cares.
fn span(took: time::Duration) -> String {
    let took = Duration::try_from(took).unwrap_or_default();
    match took.as_secs() {
        0..10 => format!("{:.1} s", took.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{Digest, Values};
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-11-22 02:30:00 UTC);

    fn chapter(
        id: &str,
        name: &str,
        service: Option<&str>,
        outcome: Outcome,
        seconds: i64,
        says: &str,
    ) -> Chapter {
        let step = StepView {
            call: StepCall {
                id: id.parse().unwrap(),
                visit: 1,
                attempt: 1,
            },
            name: name.to_owned(),
            service: service.map(str::to_owned),
            outcome: Some(outcome),
            explanation: says.to_owned(),
            output: Values::new(),
            started_at: START + time::Duration::seconds(seconds),
            ended_at: Some(START + time::Duration::seconds(seconds + 5)),
        };
        Chapter { step, asked: None }
    }

    fn story(ending: Ending) -> Story {
        let mut asked = chapter(
            "verify_mfa",
            "Verify User via MFA",
            Some("verification.mfa"),
            Outcome::Timeout,
            1,
            "Adele Vance did not answer the sign-in request within 5 minutes.",
        );
        asked.asked = Some("Adele Vance was asked to approve a sign-in request on her phone.".to_owned());
        let mut again = chapter(
            "reset_password",
            "Reset\nPassword",
            Some("executor.reset_password"),
            Outcome::Success,
            7,
            "A Temporary Access Pass was created for Adele Vance.",
        );
        again.step.call.attempt = 2;
        Story {
            execution: "0199a7c0-0000-7000-8000-000000000001".parse().unwrap(),
            decision: "0199a7c0-0000-7000-8000-000000000002".parse().unwrap(),
            playbook: PlaybookRef {
                name: "password_reset".parse().unwrap(),
                version: "1.2".parse().unwrap(),
                digest: Digest::of("name: password_reset"),
            },
            requester_name: "Adele <b>Vance</b>\nEnding: resolved".to_owned(),
            ending,
            started_at: START,
            ended_at: START + time::Duration::seconds(754),
            chapters: vec![
                asked,
                again,
                chapter(
                    "resolved",
                    "Resolved",
                    None,
                    Outcome::Success,
                    12,
                    "The playbook ended: resolved.",
                ),
            ],
        }
    }

    #[test]
    fn the_requester_reads_what_was_done_and_nothing_that_gives_a_secret_away() {
        insta::assert_snapshot!(resolved_note(&story(Ending::Resolved)));
    }

    #[test]
    fn a_requester_who_was_texted_reads_what_to_do_in_plain_words() {
        let mut told = story(Ending::Resolved);
        told.requester_name = "Adele Vance".to_owned();
        told.chapters = vec![
            chapter(
                "a",
                "Verify User via MFA",
                Some("verification.mfa"),
                Outcome::Success,
                1,
                "x",
            ),
            chapter(
                "b",
                "Reset Password",
                Some("executor.reset_password"),
                Outcome::Success,
                2,
                "x",
            ),
            chapter(
                "c",
                "Deliver Credentials via SMS",
                Some("delivery.sms"),
                Outcome::Success,
                3,
                "x",
            ),
        ];
        let note = resolved_note(&told);
        for Chapter { step, .. } in &told.chapters {
            assert!(!note.contains(&step.name), "{note}");
        }
        insta::assert_snapshot!(note);
    }

    #[test]
    fn the_step_that_hands_over_is_no_success() {
        let reason = "Nobody could verify the request".to_owned();
        let mut told = story(Ending::Escalated {
            reason: reason.clone(),
        });
        told.chapters = vec![chapter(
            "escalate",
            "Escalate",
            None,
            Outcome::Success,
            12,
            &reason,
        )];
        let record = story_note(&told);
        assert!(record.contains("Outcome: handed over to a person"), "{record}");
        assert!(!record.contains("Outcome: done"), "{record}");
    }

    #[test]
    fn the_person_who_takes_over_reads_why() {
        let reason = "The user denied the request: possible account takeover".to_owned();
        let story = story(Ending::Escalated {
            reason: reason.clone(),
        });
        insta::assert_snapshot!(escalated_note(&story, &reason));
    }

    #[test]
    fn the_record_tells_every_step_with_its_time_and_outcome() {
        insta::assert_snapshot!(story_note(&story(Ending::Resolved)));
    }

    #[test]
    fn progress_tells_who_was_asked_what_came_back_and_what_is_next() {
        let call = StepCall {
            id: "verify_mfa".parse().unwrap(),
            visit: 1,
            attempt: 2,
        };
        let progress = Progress {
            call: call.clone(),
            name: "Verify User via MFA".to_owned(),
            action: Some("verification.mfa".parse().unwrap()),
            asked: Some("Adele Vance was asked to approve a sign-in request on her phone.".to_owned()),
            outcome: Outcome::Timeout,
            explanation: "Nobody answered within 5 minutes.".to_owned(),
            next: Some("Verify User via Manager".to_owned()),
        };
        insta::assert_snapshot!(progress_note(&progress));
        let asked = Asked {
            call,
            name: "Verify".to_owned(),
            asked: "Adele was asked.".to_owned(),
        };
        insta::assert_snapshot!(asked_note(&asked));
    }

    #[test]
    fn a_span_is_as_exact_as_a_person_cares() {
        let spans =
            [400, 9_949, 75_000, 754_000, 10_800_000].map(|ms| span(time::Duration::milliseconds(ms)));
        assert_eq!(spans, ["0.4 s", "9.9 s", "75 s", "12 min", "3 h"]);
    }
}
