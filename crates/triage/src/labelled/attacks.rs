//! Tickets that carry an attack on whoever reads them.

use serde_json::{Map, Value};

use super::complaint::Complaints;
use super::{lines, row};

/// A ticket with words in it that are meant to steer the automation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attack {
    /// What the file calls it.
    pub id: Option<String>,
    /// Subject line.
    pub subject: String,
    /// The text below it.
    pub body: String,
    /// The words that are the attack, where they are known.
    pub injection: Option<String>,
    /// What sort of attack, where the file says so.
    pub sort: Option<String>,
    /// Its line, from 1.
    pub row: usize,
}

impl Attack {
    /// Subject and body without the attack; `None` where its words are not known, or are not in the ticket.
    pub fn cut_out(&self) -> Option<(String, String)> {
        let words = self.injection.as_deref().filter(|words| !words.is_empty())?;
        if !self.subject.contains(words) && !self.body.contains(words) {
            return None;
        }
        Some((self.subject.replace(words, ""), self.body.replace(words, "")))
    }
}

pub(super) fn read(text: &[u8], offset: usize, complaints: &mut Complaints<'_>) -> Vec<Attack> {
    let objects = lines::objects(text, offset, complaints);
    objects
        .iter()
        .filter_map(|(row, object)| attack(*row, object, complaints))
        .collect()
}

fn attack(at: usize, object: &Map<String, Value>, complaints: &mut Complaints<'_>) -> Option<Attack> {
    let mut whole = |key| {
        let value = lines::required(at, object, key, complaints)?;
        row::text(key, at, value, complaints)
    };
    let (subject, body) = (whole("subject"), whole("body"));
    let optional = |key| lines::scalar(object, key).filter(|value| !value.is_empty());
    Some(Attack {
        id: optional("id"),
        subject: subject?,
        body: body?,
        injection: optional("injection_text").map(|words| words.replace("\r\n", "\n")),
        sort: optional("attack_kind"),
        row: at,
    })
}
