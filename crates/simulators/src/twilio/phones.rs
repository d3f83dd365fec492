//! The phones at the other end: what becomes of a message, what arrives, and who texts back what.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use super::TwilioSim;
use super::messages::MessageView;
use crate::journal::Event;

/// What becomes of messages to a number once Twilio accepted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// queued, sent, delivered.
    #[default]
    Delivered,
    /// queued, sent, and no receipt ever; it arrives.
    SentOnly,
    /// Stays queued until its validity ends: then failed with 30036.
    Stuck,
    /// queued, sent, undelivered with this code.
    Undelivered(u32),
    /// queued, failed with this code.
    Failed(u32),
    /// Refused at once with this code; nothing is created.
    Refused(u32),
    /// delivered is told before sent.
    OutOfOrder,
    /// Every status is told three times.
    Repeated,
}

/// Makes an answer, or none, of the text of a message.
type Replier = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What somebody texts back.
#[derive(Clone)]
pub enum Reply {
    /// `YES` and the code of the message.
    Yes,
    /// `NO` and the code of the message.
    No,
    /// `YES` and another code.
    WrongCode,
    /// These words.
    Text(String),
    /// Nothing.
    Ignore,
    /// Whatever this makes of the message.
    With(Replier),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "Yes",
            Self::No => "No",
            Self::WrongCode => "WrongCode",
            Self::Text(_) => "Text",
            Self::Ignore => "Ignore",
            Self::With(_) => "With",
        })
    }
}

impl Reply {
    /// Decide by the text of the message.
    pub fn with(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::With(Arc::new(answer))
    }

    fn to(&self, text: &str) -> Option<String> {
        match self {
            Self::Yes => Some(format!("YES {}", code_of(text)?)),
            Self::No => Some(format!("NO {}", code_of(text)?)),
            Self::WrongCode => {
                let code = code_of(text)?;
                // Nine minus each digit is never the same code.
                let other: String = code
                    .bytes()
                    .map(|digit| char::from(b'9' - (digit - b'0')))
                    .collect();
                Some(format!("YES {other}"))
            }
            Self::Text(words) => Some(words.clone()),
            Self::Ignore => None,
            Self::With(answer) => answer(text),
        }
    }
}

/// The digits that a message asks to be repeated after `YES`.
fn code_of(text: &str) -> Option<&str> {
    let after = text.split("YES ").nth(1)?;
    let end = after
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(after.len());
    let code = &after[..end];
    (code.len() >= 4).then_some(code)
}

#[derive(Debug, Clone)]
pub(crate) struct Answering {
    reply: Reply,
    after: Option<Duration>,
}

/// A text on a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sms {
    /// The message's id.
    pub sid: String,
    /// Who sent it.
    pub from: String,
    /// Whose phone.
    pub to: String,
    /// The text, as one reads it.
    pub body: String,
    /// When it arrived.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl TwilioSim {
    /// A message arrives, and its reader may answer.
    pub(crate) fn arrive(&self, message: &MessageView) {
        let MessageView {
            sid, from, to, body, ..
        } = message.clone();
        let sms = Sms {
            sid,
            from,
            to,
            body,
            at: OffsetDateTime::now_utc(),
        };
        let answering = {
            let mut state = self.state.lock();
            state.inboxes.entry(sms.to.clone()).or_default().push(sms.clone());
            state.answering.get(&sms.to).cloned()
        };
        let Sms {
            sid, from, to, body, ..
        } = sms;
        let answer = answering.and_then(|how| Some((how.reply.to(&body)?, how.after)));
        self.core.journal.record(Event::SmsReceived {
            sid,
            from,
            to: to.clone(),
            body,
        });
        if let Some((words, after)) = answer {
            let twilio = self.clone();
            self.core
                .tasks
                .later(after.unwrap_or(self.core.think), async move {
                    twilio.receive(&to, &words).await;
                });
        }
    }

    pub(crate) fn fate_of(&self, number: &str) -> Option<Fate> {
        self.state.lock().fates.get(number).copied()
    }

    /// From now on `number` answers every text so, after the world's `think`.
    pub fn reply(&self, number: &str, reply: Reply) {
        self.state
            .lock()
            .answering
            .insert(number.to_owned(), Answering { reply, after: None });
    }

    /// The same after `delay`.
    pub fn reply_after(&self, number: &str, reply: Reply, delay: Duration) {
        self.state.lock().answering.insert(
            number.to_owned(),
            Answering {
                reply,
                after: Some(delay),
            },
        );
    }

    /// Texts on the phone with `number`, oldest first.
    pub fn inbox(&self, number: &str) -> Vec<Sms> {
        self.state.lock().inboxes.get(number).cloned().unwrap_or_default()
    }

    /// All messages that Twilio has, oldest first.
    pub fn messages(&self) -> Vec<MessageView> {
        self.state.lock().messages.iter().map(MessageView::from).collect()
    }

    /// What becomes of messages to `number`.
    pub fn fate(&self, number: &str, fate: Fate) {
        self.state.lock().fates.insert(number.to_owned(), fate);
    }

    /// Time between two statuses of a message.
    pub fn pace(&self, pace: Duration) {
        self.state.lock().pace = pace;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_repeats_the_code_of_the_message() {
        let text = "Firstline: approve? Reply YES 4821 or NO 4821.";
        assert_eq!(Reply::Yes.to(text).unwrap(), "YES 4821");
        assert_eq!(Reply::No.to(text).unwrap(), "NO 4821");
        assert_eq!(Reply::WrongCode.to(text).unwrap(), "YES 5178");
        assert_eq!(
            Reply::Yes.to("Your pass is 12345678"),
            None,
            "no code is asked for"
        );
        let echo = Reply::with(|text| Some(text.to_uppercase()));
        assert_eq!(echo.to("hi").unwrap(), "HI");
    }
}
