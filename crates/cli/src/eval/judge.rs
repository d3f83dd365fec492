//! The classifier under measurement, asked as the gate asks it.

use classifier::classify::{
    About, Category, Classification, Classify, ClassifyError, Embedded, LanguageModel, Seconded, Text,
    refusal,
};
use classifier::{Model, Telling, embedded};
use connectors::openai::Chat;
use triage::Kind;
use triage::labelled::Labelled;

use super::{kinds, train};
use crate::arguments::{Judging, Reader};
use crate::exit::BadInput;

/// Questions to a model at the same time: what a small server bears without making each wait for the others.
pub(super) const MODEL_AT_ONCE: usize = 4;

/// What is made of a ticket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judged {
    pub(super) kind: Kind,
    pub(super) confidence: f64,
    /// Whether it would go to the automation, as far as its text decides.
    pub(super) automated: bool,
}

/// Why nothing is made of it. It would go to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    Declined,
    Malformed,
    Away,
}

/// Who is asked.
enum Asked {
    /// Directly, as the gate asks it, since it knows more than a choice among what is on offer.
    Embedded(Embedded),
    /// By the contract of all classifiers.
    Other(Box<dyn Classify>),
}

/// A classifier with what it chooses from, and from how sure on it is believed.
pub(super) struct Judge {
    asked: Asked,
    name: String,
    kinds: Vec<Kind>,
    categories: Vec<Category>,
    automate: Vec<Kind>,
    threshold: f64,
}

impl Judge {
    /// The one that was asked for, with the settings of the service.
    pub(super) fn of(judging: &Judging) -> anyhow::Result<Self> {
        let telling = telling()?;
        let head = head(judging.head.as_deref())?;
        let (asked, name) = match reader(judging, &telling) {
            Reader::Embedded => {
                // What it takes to load is no ticket's time.
                embedded::warm_up();
                let name = format!("{} {}", embedded::MODEL, head.version());
                (Asked::Embedded(head), name)
            }
            Reader::Openai => {
                let Model { chat, calibration } = model(telling.model)?;
                let name = chat.model.clone();
                let first = LanguageModel::new(Chat::new(chat, connectors::http_client()?));
                (
                    Asked::Other(Box::new(Seconded::new(first, head, calibration))),
                    name,
                )
            }
        };
        Self::new(asked, name, judging.automate.clone(), telling.threshold)
    }

    fn new(asked: Asked, name: String, automate: Vec<Kind>, threshold: f64) -> anyhow::Result<Self> {
        let (kinds, categories) = kinds::offered()?.into_iter().unzip();
        Ok(Self {
            asked,
            name,
            kinds,
            categories,
            automate,
            threshold,
        })
    }

    /// The same, after it has learnt from `tickets` beside what the shipped head learnt from.
    pub(super) fn having_learnt(&self, tickets: &[&Labelled]) -> anyhow::Result<Self> {
        if matches!(self.asked, Asked::Other(_)) {
            let what = "a language model does not learn from tickets: leave --folds out, or use --classifier embedded";
            return Err(BadInput(what.to_owned()).into());
        }
        let tickets: Vec<Labelled> = tickets.iter().map(|ticket| (*ticket).clone()).collect();
        let learned = train::learned_from_a_part(tickets)?;
        let embedded = Embedded::with_head(&learned.head.to_bytes())?;
        Self::new(
            Asked::Embedded(embedded),
            self.name.clone(),
            self.automate.clone(),
            self.threshold,
        )
    }

    /// How reports name it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How many tickets at a time: one where each takes a core, as its time is measured.
    pub(super) const fn at_once(&self) -> usize {
        match self.asked {
            Asked::Embedded(_) => 1,
            Asked::Other(_) => MODEL_AT_ONCE,
        }
    }

    /// What it makes of a ticket.
    pub(super) async fn judge(&self, subject: &str, body: &str) -> Result<Judged, NoAnswer> {
        let text = Text {
            summary: subject,
            details: body,
        };
        match &self.asked {
            Asked::Embedded(embedded) => Ok(self.by_head(text, &embedded.read(text, &self.categories))),
            Asked::Other(classifier) => self.by_choice(&**classifier, text).await,
        }
    }

    /// The figures are about the kind that was chosen, by the head or by an example, and how sure the head is of it; what is
    /// automated, about what the gate compares.
    fn by_head(&self, text: Text<'_>, read: &embedded::Reading) -> Judged {
        let kind = read.choice.and_then(|choice| self.kinds.get(choice).copied());
        let kind = kind.unwrap_or(read.of_head.kind);
        let threshold = read.threshold.unwrap_or(self.threshold);
        let chosen = read.choice.and_then(|choice| self.categories.get(choice));
        Judged {
            kind,
            confidence: read.of_head.of(kind),
            automated: self.is_automated(kind, read.confidence, threshold, read.about)
                && chosen.is_some_and(|chosen| refusal(text, chosen).is_none()),
        }
    }

    async fn by_choice(&self, classifier: &dyn Classify, text: Text<'_>) -> Result<Judged, NoAnswer> {
        let answer = asked(classifier, text, &self.categories).await?;
        let kind = match answer.choice {
            None => Kind::Other,
            Some(choice) => self.kinds.get(choice).copied().ok_or(NoAnswer::Malformed)?,
        };
        let threshold = answer.threshold.unwrap_or(self.threshold);
        Ok(Judged {
            kind,
            confidence: answer.confidence,
            automated: self.is_automated(kind, answer.confidence, threshold, answer.about)
                && answer.refusal.is_none(),
        })
    }

    fn is_automated(&self, kind: Kind, confidence: f64, threshold: f64, about: About) -> bool {
        self.automate.contains(&kind) && confidence >= threshold && about == About::Requester
    }
}

/// A classifier's answer by the contract of all, or why there is none.
pub(super) async fn asked(
    classifier: &dyn Classify,
    text: Text<'_>,
    categories: &[Category],
) -> Result<Classification, NoAnswer> {
    classifier
        .classify(text, categories)
        .await
        .map_err(|error| match error {
            ClassifyError::Declined(_) => NoAnswer::Declined,
            ClassifyError::Malformed(_) => NoAnswer::Malformed,
            ClassifyError::Away(_) => NoAnswer::Away,
        })
}

/// The settings of the service.
pub(super) fn telling() -> anyhow::Result<Telling> {
    Ok(Telling::from_environment().map_err(|errors| BadInput(errors.to_string()))?)
}

/// Which was asked for; else the one that the service would use.
pub(super) fn reader(judging: &Judging, telling: &Telling) -> Reader {
    judging.classifier.unwrap_or(if telling.model.is_some() {
        Reader::Openai
    } else {
        Reader::Embedded
    })
}

/// The language model that is to be asked.
pub(super) fn model(model: Option<Model>) -> anyhow::Result<Model> {
    model.ok_or_else(|| {
        let what = "OPENAI_API_KEY is not set: give the key (any text for servers that want none), and the server's \
                    address as OPENAI_BASE_URL";
        BadInput(what.to_owned()).into()
    })
}

/// The head of a file, or the shipped one.
pub(super) fn head(file: Option<&std::path::Path>) -> anyhow::Result<Embedded> {
    let Some(file) = file else {
        return Ok(Embedded::shipped());
    };
    let unfit = |error: triage::NotAHead| BadInput(format!("{}: {error}", file.display()));
    Ok(Embedded::with_head(&super::bytes(file)?).map_err(unfit)?)
}

#[cfg(test)]
mod tests {
    use classifier::classify::Refusal;
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    /// Answers the same to everything.
    struct Always(Option<usize>, f64, About);

    /// Says yes, beside something that no confidence outweighs.
    struct Refused;

    impl Classify for Refused {
        fn classify<'a>(
            &'a self,
            text: Text<'a>,
            categories: &'a [Category],
        ) -> BoxFuture<'a, Result<Classification, ClassifyError>> {
            async move {
                let yes = Always(Some(0), 1.0, About::Requester)
                    .classify(text, categories)
                    .await?;
                Ok(Classification {
                    refusal: Some(Refusal::SecondReader(Kind::Printer)),
                    ..yes
                })
            }
            .boxed()
        }
    }

    impl Classify for Always {
        fn classify<'a>(
            &'a self,
            _: Text<'a>,
            _: &'a [Category],
        ) -> BoxFuture<'a, Result<Classification, ClassifyError>> {
            let answer = Classification {
                choice: self.0,
                confidence: self.1,
                threshold: None,
                scores: vec![],
                about: self.2,
                refusal: None,
                reasoning: String::new(),
                model: String::new(),
                prompt_version: String::new(),
            };
            std::future::ready(Ok(answer)).boxed()
        }
    }

    async fn automated(answer: impl Classify + 'static) -> (Kind, bool) {
        let judge = Judge::new(
            Asked::Other(Box::new(answer)),
            "always".to_owned(),
            vec![Kind::PasswordReset],
            0.85,
        )
        .unwrap();
        let judged = judge.judge("s", "b").await.unwrap();
        (judged.kind, judged.automated)
    }

    #[tokio::test]
    async fn only_what_is_certain_covered_and_the_requesters_own_is_automated() {
        let own = About::Requester;
        assert_eq!(
            automated(Always(Some(0), 0.85, own)).await,
            (Kind::PasswordReset, true)
        );
        assert_eq!(
            automated(Always(Some(0), 0.84, own)).await,
            (Kind::PasswordReset, false)
        );
        assert_eq!(
            automated(Always(Some(0), f64::NAN, own)).await,
            (Kind::PasswordReset, false)
        );
        assert_eq!(
            automated(Always(Some(0), 1.0, About::SomebodyElse)).await,
            (Kind::PasswordReset, false)
        );
        assert_eq!(
            automated(Always(Some(0), 1.0, About::Unclear)).await,
            (Kind::PasswordReset, false)
        );
        assert_eq!(
            automated(Always(Some(1), 1.0, own)).await,
            (Kind::AccountUnlock, false)
        );
        assert_eq!(automated(Always(None, 1.0, own)).await, (Kind::Other, false));
        assert_eq!(automated(Refused).await, (Kind::PasswordReset, false));
    }
}
