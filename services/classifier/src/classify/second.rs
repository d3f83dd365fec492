//! A second reader with a veto: where a language model would have somebody's account touched, and the embedded classifier is sure
//! that the ticket is about something else, the less sure of the two counts, and a person decides.
//!
//! A text can be written to talk one reader round; two that work in different ways are harder to please at once.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use triage::Kind;

use super::{Category, Classification, Classify, ClassifyError, Text, weighed};
use crate::embedded::{self, Embedded};

/// From here on the second reader is sure of another category.
const SURE: f64 = 0.8;

/// A first reader, and the embedded classifier beside it.
pub struct Seconded<C> {
    first: C,
    second: Embedded,
}

impl<C: Classify> Seconded<C> {
    /// `second` has a veto over what `first` says of accounts.
    pub fn new(first: C, second: Embedded) -> Self {
        Self { first, second }
    }
}

impl<C: Classify> Classify for Seconded<C> {
    fn classify<'a>(
        &'a self,
        text: Text<'a>,
        categories: &'a [Category],
    ) -> BoxFuture<'a, Result<Classification, ClassifyError>> {
        async move {
            let mut said = self.first.classify(text, categories).await?;
            let chosen = said.choice.and_then(|choice| categories.get(choice));
            let Some(kind) = chosen
                .and_then(embedded::kind_of)
                .filter(|kind| kind.is_privileged())
            else {
                return Ok(said);
            };
            let second = weighed(&self.second, text, &[]).await?.of_head;
            if disagrees(kind, &second) {
                said.confidence = said.confidence.min(second.of(kind));
                said.reasoning = format!(
                    "a second reader is sure that this is {}",
                    embedded::plain(second.kind)
                );
            }
            Ok(said)
        }
        .boxed()
    }
}

/// Sure of something else altogether. Whether a password is to be reset or an account unlocked is no such thing.
fn disagrees(kind: Kind, second: &triage::Reading) -> bool {
    second.kind != kind && !second.kind.is_privileged() && second.confidence() >= SURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::About;

    /// Says yes to everything.
    struct Yes;

    impl Classify for Yes {
        fn classify<'a>(
            &'a self,
            _: Text<'a>,
            _: &'a [Category],
        ) -> BoxFuture<'a, Result<Classification, ClassifyError>> {
            let yes = Classification {
                choice: Some(0),
                confidence: 0.99,
                threshold: None,
                scores: vec![],
                about: About::Requester,
                reasoning: "because".to_owned(),
                model: "yes".to_owned(),
                prompt_version: "1".to_owned(),
            };
            std::future::ready(Ok(yes)).boxed()
        }
    }

    async fn confidence(sub_category: &str, summary: &str) -> f64 {
        let category = Category {
            category: "REQUEST".to_owned(),
            sub_category: Some(sub_category.to_owned()),
            description: String::new(),
            examples: vec![],
        };
        let text = Text { summary, details: "" };
        let seconded = Seconded::new(Yes, Embedded::shipped());
        seconded.classify(text, &[category]).await.unwrap().confidence
    }

    #[tokio::test]
    async fn a_model_that_says_yes_to_everything_resets_no_password_for_a_printer() {
        assert!(
            confidence(
                "PASSWORD_RESET",
                "the printer on the second floor is out of toner"
            )
            .await
                < 0.2
        );
        assert!(confidence("PASSWORD_RESET", "I forgot my password, please reset it").await > 0.9);
        // Nobody's account is touched: the first reader may be right.
        assert!(
            confidence(
                "SOFTWARE_INSTALL",
                "the printer on the second floor is out of toner"
            )
            .await
                > 0.9
        );
    }
}
