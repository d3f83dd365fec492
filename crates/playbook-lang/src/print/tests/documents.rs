//! Random documents with everything that the language has, as reading would have made them.

use std::time::Duration;

use common::{Outcome, StepId, Values};
use indexmap::IndexMap;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Number, Value, json};

use crate::condition::{Condition, Pattern, Test};
use crate::document::*;
use crate::kind::Kind;
use crate::playbook::{Input, Join, OTHERWISE, Occasion, Pause};
use crate::registry::ASK;
use crate::retry::{Backoff, Retry};
use crate::roots::{NAMES, Name};
use crate::yaml::{At, Position};

fn at<T>(value: T) -> At<T> {
    At::new(value, Position::START)
}

/// Whatever breaks careless writers.
pub(crate) fn hostile() -> BoxedStrategy<String> {
    let pieces = prop_oneof![
        proptest::sample::select(vec![
            "\"",
            "'",
            ": ",
            ":",
            " #",
            "#",
            "- ",
            "-",
            "{{ ticket.summary }}",
            "{{",
            "}}",
            "{%",
            "\n",
            "\n\n",
            "\t",
            "\\",
            "\\n",
            "|",
            ">",
            "&a",
            "*a",
            "!t",
            "%",
            "@",
            "`",
            "[",
            "]",
            "{",
            "}",
            ",",
            "?",
            "? ",
            "~",
            "null",
            "true",
            "1.20",
            "---",
            "...",
            " ",
            "  ",
            "<<",
            "=",
            "é",
            "😀",
            "\u{feff}",
            "\u{200b}",
            "\u{2028}",
            "\u{2029}",
            "\u{202e}",
            "\u{a0}",
            "\u{ad}",
            "\u{10ffff}",
            "ﷺ",
            "on_success: x",
        ])
        .prop_map(str::to_owned),
        "[a-z ]{1,8}",
        "\\PC{0,6}",
    ];
    vec(pieces, 0..6).prop_map(|pieces| pieces.concat()).boxed()
}

/// As reading leaves a text: trimmed, not empty.
fn text() -> BoxedStrategy<String> {
    hostile()
        .prop_map(|text| match text.trim() {
            "" => "text".to_owned(),
            trimmed => trimmed.to_owned(),
        })
        .boxed()
}

fn plain() -> BoxedStrategy<String> {
    prop_oneof![
        "[A-Za-z0-9_-]{1,8}",
        proptest::sample::select(vec!["null", "true", "-", "--", "---", "12", "1e3", "_"])
            .prop_map(str::to_owned),
    ]
    .boxed()
}

fn id() -> BoxedStrategy<At<StepId>> {
    plain().prop_map(|id| at(id.parse().unwrap())).boxed()
}

fn key() -> BoxedStrategy<String> {
    prop_oneof![8 => plain(), 4 => hostile(), 1 => "[a-z: ]{600}", 1 => "k{1100}"].boxed()
}

fn seconds() -> BoxedStrategy<Duration> {
    let units = [1, 60, 3600, 86_400_u64];
    (1..=30_u64, 0..4_usize)
        .prop_map(move |(amount, unit)| Duration::from_secs(amount * units[unit]))
        .boxed()
}

fn scalar() -> BoxedStrategy<Value> {
    prop_oneof![
        hostile().prop_map(Value::String),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |number| Number::from_f64(number).map(Value::Number)),
        any::<bool>().prop_map(Value::Bool),
    ]
    .boxed()
}

fn value() -> BoxedStrategy<Value> {
    prop_oneof![6 => scalar(), 1 => Just(Value::Null)]
        .prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(Value::Array),
                vec((key(), inner), 0..3).prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
        .boxed()
}

fn parameters() -> BoxedStrategy<(Vec<ParameterDocument>, Values)> {
    vec((key(), value()), 0..4)
        .prop_map(|written| {
            let mut names: Vec<ParameterDocument> = Vec::new();
            let mut values = Values::new();
            for (name, value) in written {
                if !values.contains_key(&name) {
                    values.insert(name.clone(), value);
                    names.push(ParameterDocument {
                        name: at(name),
                        at: Position::START,
                    });
                }
            }
            (names, values)
        })
        .boxed()
}

fn name() -> BoxedStrategy<Name> {
    prop_oneof![
        (0..NAMES.len()).prop_map(|index| Name::Fixed(NAMES[index].0)),
        plain().prop_map(Name::Input),
        (plain(), prop_oneof![plain(), "[a-z, #:\"]{1,9}[a-z]"]).prop_map(|(step, output)| Name::Output {
            step: step.parse().unwrap(),
            output,
        }),
    ]
    .prop_filter("as it reads", |name| {
        Name::read(&name.to_string()).as_ref() == Ok(name)
    })
    .boxed()
}

fn test() -> BoxedStrategy<Test> {
    let moment = || Just(json!("2026-11-30T08:00:00Z"));
    let ordered = move || prop_oneof![any::<i64>().prop_map(Value::from), moment()];
    prop_oneof![
        scalar().prop_map(Test::Equals),
        scalar().prop_map(Test::NotEquals),
        vec(scalar(), 1..4).prop_map(Test::In),
        hostile().prop_map(Test::Contains),
        hostile().prop_map(|text| Test::Matches(Pattern::new(&regex::escape(&text)).unwrap())),
        ordered().prop_map(Test::Greater),
        ordered().prop_map(Test::Less),
        any::<bool>().prop_map(Test::Exists),
    ]
    .boxed()
}

fn condition() -> BoxedStrategy<ConditionDocument> {
    (name(), test())
        .prop_map(|(field, test)| Condition::Test { field, test })
        .prop_recursive(4, 12, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(Condition::All),
                vec(inner.clone(), 0..3).prop_map(Condition::Any),
                inner.prop_map(|inner| Condition::Not(Box::new(inner))),
            ]
        })
        .prop_map(|condition| ConditionDocument {
            names: condition.names().into_iter().cloned().map(at).collect(),
            condition,
        })
        .boxed()
}

fn retry() -> BoxedStrategy<Retry> {
    let backoff = proptest::sample::select(vec![Backoff::Fixed, Backoff::Linear, Backoff::Exponential]);
    let usual = Retry::default();
    (
        1..=100_u32,
        backoff,
        prop_oneof![Just(usual.initial), seconds()],
        prop_oneof![Just(usual.max), seconds()],
        prop_oneof![Just(usual.jitter), 0.0..=1.0_f64, Just(1e-12)],
    )
        .prop_map(|(max_attempts, backoff, initial, max, jitter)| Retry {
            max_attempts,
            backoff,
            initial,
            max,
            jitter,
        })
        .boxed()
}

/// What a step is, with its edges: those of a decision belong to its cases.
type Kinds = (KindDocument, Vec<EdgeDocument>);

fn edge(outcome: Outcome, target: At<StepId>) -> EdgeDocument {
    EdgeDocument {
        outcome,
        at: Position::START,
        target,
    }
}

fn edges(outcomes: &[Outcome], words: bool) -> BoxedStrategy<Vec<EdgeDocument>> {
    let own: Vec<_> = outcomes
        .iter()
        .map(|outcome| (Just(outcome.clone()), option::of(id())))
        .collect();
    let words = if words { 0..3 } else { 0..1 };
    (own, vec((key(), id()), words))
        .prop_map(|(own, words)| {
            let mut edges: Vec<EdgeDocument> = own
                .into_iter()
                .filter_map(|(outcome, target)| Some(edge(outcome, target?)))
                .collect();
            for (word, target) in words {
                let outcome = Outcome::from(word.as_str());
                let known = edges.iter().any(|edge| edge.outcome == outcome);
                if matches!(outcome, Outcome::Word(_)) && !known {
                    edges.push(edge(outcome, target));
                }
            }
            edges
        })
        .boxed()
}

fn action() -> BoxedStrategy<Kinds> {
    let undo = (parameters(), option::of(seconds()), option::of(retry())).prop_map(
        |((parameters, values), timeout, retry)| UndoDocument {
            service: at("executor.delete_pass".parse().unwrap()),
            timeout,
            retry,
            parameters,
            values,
        },
    );
    let outcomes = [
        Outcome::Success,
        Outcome::Failure,
        Outcome::Denied,
        Outcome::Timeout,
    ];
    (
        "[a-z]{1,6}\\.[a-z.-]{1,6}[a-z]",
        option::of(seconds()),
        option::of(retry()),
        parameters(),
        option::of(undo),
        edges(&outcomes, true),
    )
        .prop_map(|(service, timeout, retry, (parameters, values), undo, edges)| {
            let action = ActionDocument {
                service: Some(at(service.parse().unwrap())),
                timeout,
                retry,
                parameters,
                values,
                undo,
                ask: None,
            };
            (KindDocument::Action(Box::new(action)), edges)
        })
        .boxed()
}

fn ask() -> BoxedStrategy<Kinds> {
    let answers = proptest::sample::select(vec!["text", "number", "date"]);
    let choices = option::of(vec((key(), text()), 0..3));
    let outcomes = [Outcome::Success, Outcome::Failure, Outcome::Timeout];
    (
        text(),
        choices,
        answers,
        option::of(seconds()),
        edges(&outcomes, true),
    )
        .prop_map(|(question, choices, answer, timeout, edges)| {
            let mut values = Values::new();
            let mut parameters = Vec::new();
            let mut set = |name: &str, value: Value| {
                values.insert(name.to_owned(), value);
                parameters.push(ParameterDocument {
                    name: at(name.to_owned()),
                    at: Position::START,
                });
            };
            set("question", json!(question));
            let mut words = Vec::new();
            if let Some(choices) = choices {
                let mut texts = Values::new();
                for (word, text) in choices {
                    if matches!(Outcome::from(word.as_str()), Outcome::Word(_)) && !texts.contains_key(&word)
                    {
                        texts.insert(word.clone(), Value::String(text));
                        words.push(word);
                    }
                }
                set("choices", Value::Object(texts));
            }
            if words.is_empty() {
                set("answer", json!(answer));
            }
            let action = ActionDocument {
                service: Some(at(ASK.parse().unwrap())),
                timeout,
                retry: None,
                parameters,
                values,
                undo: None,
                ask: Some(words),
            };
            (KindDocument::Action(Box::new(action)), edges)
        })
        .boxed()
}

fn decision() -> BoxedStrategy<Kinds> {
    (vec((option::of(plain()), condition(), id()), 0..3), id())
        .prop_map(|(written, otherwise)| {
            let mut cases: Vec<CaseDocument> = Vec::new();
            let mut edges = Vec::new();
            for (index, (name, when, target)) in written.into_iter().enumerate() {
                let fallback = format!("case_{}", index + 1);
                let name = name
                    .filter(|name| name != OTHERWISE && cases.iter().all(|case| case.name != *name))
                    .unwrap_or(fallback);
                edges.push(edge(Outcome::Word(name.clone()), target));
                cases.push(CaseDocument {
                    name,
                    when: Some(when),
                });
            }
            edges.push(edge(Outcome::Word(OTHERWISE.to_owned()), otherwise));
            (KindDocument::Decision(cases), edges)
        })
        .boxed()
}

fn simple() -> BoxedStrategy<Kinds> {
    let wait = (
        prop_oneof![
            seconds().prop_map(Pause::For),
            text().prop_map(|text| Pause::Until(json!(text)))
        ],
        edges(&[Outcome::Success], false),
    )
        .prop_map(|(pause, edges)| (KindDocument::Wait(pause), edges));
    let call = (
        plain(),
        "[0-9.+_-]{1,5}",
        parameters(),
        edges(&[Outcome::Success, Outcome::Failure], false),
    )
        .prop_map(|(playbook, version, (parameters, values), edges)| {
            let call = CallDocument {
                playbook: Some(at(playbook.parse().unwrap())),
                version: Some(version.parse().unwrap()),
                parameters,
                values,
            };
            (KindDocument::Call(call), edges)
        });
    let terminal = Just((KindDocument::Terminal, Vec::new()));
    let escalation = text().prop_map(|reason| (KindDocument::Escalation { reason }, Vec::new()));
    prop_oneof![wait, call, terminal, escalation].boxed()
}

/// A step with those of its branches behind it.
fn step(depth: u32) -> BoxedStrategy<Vec<StepDocument>> {
    let kind = if depth == 0 {
        prop_oneof![3 => action(), 1 => ask(), 2 => decision(), 2 => simple()]
            .prop_map(|kind| (kind, Vec::new()))
            .boxed()
    } else {
        let leaf = prop_oneof![3 => action(), 1 => ask(), 2 => decision(), 2 => simple()]
            .prop_map(|kind| (kind, Vec::new()));
        let join = proptest::sample::select(vec![Join::All, Join::Any]);
        let parallel = (
            join,
            vec((key(), vec(step(depth - 1), 1..3)), 0..3),
            edges(&[Outcome::Success, Outcome::Failure], false),
        )
            .prop_map(|(join, written, edges)| {
                let mut branches: Vec<(At<String>, Option<StepId>)> = Vec::new();
                let mut inner = Vec::new();
                for (name, steps) in written {
                    if branches.iter().any(|(known, _)| known.value == name) {
                        continue;
                    }
                    let mut first = None;
                    for mut step in steps {
                        let head = &mut step[0];
                        first.get_or_insert(head.id.value.clone());
                        // Its parallel step is named once it is known.
                        head.within = Some(Place {
                            parallel: "?".parse().unwrap(),
                            branch: name.clone(),
                        });
                        inner.extend(step);
                    }
                    branches.push((at(name), first));
                }
                let parallel = ParallelDocument { join, branches };
                ((KindDocument::Parallel(parallel), edges), inner)
            });
        prop_oneof![3 => leaf, 2 => parallel].boxed()
    };
    (
        id(),
        option::of(text()),
        vec(id(), 0..3),
        option::of(1..=100_u32),
        kind,
    )
        .prop_map(|(id, name, depends_on, visits, ((kind, edges), mut inner))| {
            for step in &mut inner {
                if let Some(place) = &mut step.within
                    && place.parallel.as_str() == "?"
                {
                    place.parallel = id.value.clone();
                }
            }
            let bounded = !matches!(
                kind,
                KindDocument::Call(_) | KindDocument::Terminal | KindDocument::Escalation { .. }
            );
            let step = StepDocument {
                id,
                name,
                kind,
                edges,
                max_visits: visits.filter(|_| bounded),
                depends_on,
                within: None,
            };
            std::iter::once(step).chain(inner).collect()
        })
        .boxed()
}

fn inputs() -> BoxedStrategy<IndexMap<String, Input>> {
    let words = || vec(text(), 1..3);
    let kind = prop_oneof![
        (Just(Kind::Text), option::of(hostile().prop_map(Value::String))),
        (any::<i64>(), any::<i64>(), any::<bool>()).prop_map(|(one, other, open)| {
            let least = if open { i64::MIN } else { one.min(other) };
            let kind = Kind::Whole {
                least,
                most: one.max(other),
            };
            (kind, Some(json!(one)))
        }),
        Just((Kind::WHOLE, None)),
        (Just(Kind::Flag), option::of(any::<bool>().prop_map(Value::Bool))),
        words().prop_map(|words| (Kind::OneOf(words.clone()), Some(json!(words[0])))),
        Just((Kind::Moment, Some(json!("2026-11-30T08:00:00Z")))),
        Just((Kind::Fields, Some(json!({"a b": 1, "c": "# x"})))),
        Just((Kind::Credential, None)),
    ];
    vec((plain(), kind, any::<bool>(), option::of(text())), 0..4)
        .prop_map(|written| {
            written
                .into_iter()
                .map(|(name, (kind, default), optional, description)| {
                    let input = Input {
                        kind,
                        default: default.filter(|default| !crate::template::templates(default)),
                        optional,
                        description: description.unwrap_or_default(),
                    };
                    (name, input)
                })
                .collect()
        })
        .boxed()
}

fn trigger() -> BoxedStrategy<TriggerDocument> {
    (
        option::of(text()),
        vec(proptest::sample::select(Occasion::ALL.to_vec()), 0..3),
        option::of(condition()),
    )
        .prop_map(|(source, on, when)| TriggerDocument { source, on, when })
        .boxed()
}

pub(crate) fn documents() -> BoxedStrategy<Document> {
    let about = (
        plain(),
        "[A-Za-z0-9.+_-]{1,6}",
        any::<bool>(),
        option::of(text()),
        option::of(text()),
        option::of(text()),
        vec(text(), 0..3),
        option::of(seconds()),
    );
    (about, option::of(trigger()), inputs(), vec(step(2), 1..5))
        .prop_map(
            |(
                (name, version, enabled, description, category, sub_category, examples, budget),
                trigger,
                inputs,
                steps,
            )| Document {
                name: Some(at(name.parse().unwrap())),
                version: Some(version.parse().unwrap()),
                enabled,
                description: description.unwrap_or_default(),
                category: category.unwrap_or_default(),
                sub_category,
                examples,
                budget: budget.map(at),
                trigger,
                inputs,
                steps: steps.concat(),
            },
        )
        .prop_filter(
            "of two parallel steps of one id nobody knows whose a branch is",
            |document| {
                let parallel = |step: &&StepDocument| matches!(step.kind, KindDocument::Parallel(_));
                let ids: Vec<&StepId> = document
                    .steps
                    .iter()
                    .filter(parallel)
                    .map(|step| &step.id.value)
                    .collect();
                ids.iter().collect::<std::collections::HashSet<_>>().len() == ids.len()
            },
        )
        .boxed()
}
