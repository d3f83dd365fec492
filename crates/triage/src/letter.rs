//! What a requester wrote, without what mail programs, forms and other people put around it.
//!
//! Reading is pure, takes time in proportion to the length, and never fails: what cannot be told apart stays in
//! the text. It fetches nothing, runs nothing and follows no link. What it leaves out it keeps beside the text
//! ([`Letter::quoted`], [`Letter::closing`], [`Letter::hidden`]), so that a rule against automation can still
//! look there; nothing in those parts may ever speak *for* automation.

mod clean;
mod closing;
mod form;
mod html;
mod thread;
mod words;

use clean::Cut;

/// A ticket's text as its writer meant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The subject without `Re:` and `Fw:`, on one line.
    pub subject: String,
    /// What the writer says themself: plain text, no blank line twice, at most [`Letter::LONGEST`] characters.
    pub text: String,
    /// Whether it answers or passes on an earlier letter.
    pub thread: Thread,
    /// Whether `text` ends before the letter does.
    pub truncated: bool,
    /// What others wrote: the letters quoted or passed on, as far as they are not the text.
    pub quoted: String,
    /// The sign-off, signature and legal notices.
    pub closing: String,
    /// What a person who opens the letter does not see: comments, hidden elements, text without a size.
    pub hidden: String,
    /// Whether characters were removed that show nothing but change how text is read: zero-width ones and those
    /// that turn its direction.
    pub disguised: bool,
}

/// What a letter has to do with an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thread {
    /// It stands alone.
    None,
    /// It answers one.
    Replied,
    /// It passes one on: the requester may not be the person who needs help.
    Forwarded,
}

impl Letter {
    /// The most characters of [`Letter::text`], and of each part beside it.
    pub const LONGEST: usize = 20_000;
    /// The most characters of [`Letter::subject`].
    pub const LONGEST_SUBJECT: usize = 500;
    /// The most characters of a body's plain text that are looked at. What comes later is old thread or noise.
    pub const LOOKED_AT: usize = 200_000;

    /// Subject and text for a classifier, without saying the same twice.
    pub fn whole(&self) -> String {
        if self.text.is_empty() || words::begins_with(&self.subject, &self.text) {
            return self.subject.clone();
        }
        if self.subject.is_empty() || words::begins_with(&self.text, &self.subject) {
            return self.text.clone();
        }
        format!("{}\n{}", self.subject, self.text)
    }
}

/// Read a ticket: its subject, and its body as HTML or plain text.
pub fn read(subject: &str, body: &str) -> Letter {
    let (subject, subject_disguised, called) = read_subject(subject);
    let html::Page { visible, hidden } = html::to_text(body);
    let disguised = subject_disguised || clean::is_disguised(&visible);
    let Cut {
        text: plain,
        truncated: not_all_looked_at,
    } = clean::cut(clean::text(&visible), Letter::LOOKED_AT);

    let thread::Parts { own, quoted, thread } = thread::split(&plain, called);
    let closing::Parts { said, closing } = closing::split(&own);
    let said = form::description(&said).unwrap_or(said);
    let Cut { text, truncated } = clean::cut(clean::fold(&said), Letter::LONGEST);
    Letter {
        subject,
        text,
        thread,
        truncated: truncated || not_all_looked_at,
        quoted: beside(&quoted),
        closing: beside(&closing),
        hidden: beside(&clean::text(&hidden)),
        disguised,
    }
}

fn read_subject(subject: &str) -> (String, bool, Thread) {
    let line = clean::text(subject).replace('\n', " ");
    let (bare, called) = thread::called(line.trim());
    let cut = clean::cut(clean::fold(bare), Letter::LONGEST_SUBJECT);
    (cut.text, clean::is_disguised(subject), called)
}

fn beside(part: &str) -> String {
    clean::cut(clean::fold(part), Letter::LONGEST).text
}

#[cfg(test)]
mod tests;
