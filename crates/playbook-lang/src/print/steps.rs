//! Steps as YAML: those of a branch stand in their branch again.

use std::iter::Peekable;
use std::slice::Iter;

use common::{Outcome, Values};
use serde_json::Value;

use super::Page;
use super::words::{duration, quoted, value, word};
use crate::document::{
    ActionDocument, CallDocument, CaseDocument, KindDocument, ParallelDocument, ParameterDocument, Place,
    StepDocument, UndoDocument,
};
use crate::playbook::{OTHERWISE, Pause};
use crate::retry::Retry;

type Steps<'d> = Peekable<Iter<'d, StepDocument>>;

impl Page {
    pub(super) fn steps(&mut self, steps: &[StepDocument]) {
        self.text.push('\n');
        self.opens(0, "steps");
        let mut steps = steps.iter().peekable();
        let mut first = true;
        while let Some(step) = steps.next() {
            if !std::mem::replace(&mut first, false) {
                self.text.push('\n');
            }
            self.step(2, step, &mut steps);
        }
    }

    fn step(&mut self, indent: usize, step: &StepDocument, behind: &mut Steps<'_>) {
        let inner = indent.saturating_add(2);
        self.indent(indent);
        self.text.push_str("- ");
        self.field(0, "id", &word(step.id.value.as_str()));
        if let Some(name) = &step.name {
            self.field(inner, "name", &quoted(name));
        }
        if let Some(kind) = kind_of(step) {
            self.field(inner, "type", kind);
        }
        if !step.depends_on.is_empty() {
            let wanted: Vec<String> = step.depends_on.iter().map(|id| word(id.value.as_str())).collect();
            self.field(inner, "depends_on", &format!("[{}]", wanted.join(", ")));
        }
        match &step.kind {
            KindDocument::Action(action) if action.ask.is_some() => self.ask(inner, action),
            KindDocument::Action(action) => self.action(inner, action),
            KindDocument::Decision(cases) => self.cases(inner, cases, step),
            KindDocument::Wait(Pause::For(period)) => self.field(inner, "for", &duration(*period)),
            KindDocument::Wait(Pause::Until(until)) => self.field(inner, "until", &value(until)),
            KindDocument::Parallel(parallel) => self.branches(inner, parallel, step, behind),
            KindDocument::Call(call) => self.call(inner, call),
            KindDocument::Terminal => self.field(inner, "status", "RESOLVED"),
            KindDocument::Escalation { reason } => self.field(inner, "reason", &quoted(reason)),
            KindDocument::Unknown => {}
        }
        if let Some(most) = step.max_visits {
            self.field(inner, "max_visits", &most.to_string());
        }
        if !matches!(step.kind, KindDocument::Decision(_)) {
            self.edges(inner, step);
        }
    }

    fn edges(&mut self, indent: usize, step: &StepDocument) {
        let mut words = Vec::new();
        for edge in &step.edges {
            let target = word(edge.target.value.as_str());
            match &edge.outcome {
                Outcome::Word(outcome) => words.push((outcome, target)),
                own => self.field(indent, &format!("on_{own}"), &target),
            }
        }
        if !words.is_empty() {
            self.opens(indent, "outcomes");
            for (outcome, target) in words {
                self.field(indent.saturating_add(2), outcome, &target);
            }
        }
    }

    fn action(&mut self, indent: usize, action: &ActionDocument) {
        if let Some(service) = &action.service {
            self.field(indent, "service", &word(service.value.as_str()));
        }
        if let Some(timeout) = action.timeout {
            self.field(indent, "timeout", &duration(timeout));
        }
        self.retry(indent, action.retry.as_ref());
        self.parameters(indent, &action.parameters, &action.values);
        if let Some(undo) = &action.undo {
            self.undo(indent, undo);
        }
    }

    fn undo(&mut self, indent: usize, undo: &UndoDocument) {
        let service = word(undo.service.value.as_str());
        if undo.timeout.is_none() && undo.retry.is_none() && undo.parameters.is_empty() {
            self.field(indent, "undo", &service);
            return;
        }
        self.opens(indent, "undo");
        let inner = indent.saturating_add(2);
        self.field(inner, "service", &service);
        if let Some(timeout) = undo.timeout {
            self.field(inner, "timeout", &duration(timeout));
        }
        self.retry(inner, undo.retry.as_ref());
        self.parameters(inner, &undo.parameters, &undo.values);
    }

    /// The waits are told where they are not what `retry` means by itself.
    fn retry(&mut self, indent: usize, retry: Option<&Retry>) {
        let Some(retry) = retry else { return };
        let usual = Retry::default();
        let mut fields = vec![
            format!("max_attempts: {}", retry.max_attempts),
            format!("backoff: {}", retry.backoff.as_str()),
        ];
        if retry.initial != usual.initial {
            fields.push(format!("initial: {}", duration(retry.initial)));
        }
        if retry.max != usual.max {
            fields.push(format!("max: {}", duration(retry.max)));
        }
        if retry.jitter.to_bits() != usual.jitter.to_bits() {
            fields.push(format!("jitter: {}", retry.jitter));
        }
        self.field(indent, "retry", &format!("{{{}}}", fields.join(", ")));
    }

    fn parameters(&mut self, indent: usize, parameters: &[ParameterDocument], values: &Values) {
        if parameters.is_empty() {
            return;
        }
        self.opens(indent, "with");
        for parameter in parameters {
            let name = &parameter.name.value;
            let written = values.get(name).unwrap_or(&Value::Null);
            self.field(indent.saturating_add(2), name, &value(written));
        }
    }

    fn ask(&mut self, indent: usize, action: &ActionDocument) {
        if let Some(question) = action.values.get("question") {
            self.field(indent, "question", &value(question));
        }
        match action.values.get("choices") {
            Some(Value::Object(choices)) if !choices.is_empty() => {
                self.opens(indent, "choices");
                // In the order in which they are offered.
                for choice in action.ask.iter().flatten() {
                    let reads = choices.get(choice).unwrap_or(&Value::Null);
                    self.field(indent.saturating_add(2), choice, &value(reads));
                }
            }
            Some(none) => self.field(indent, "choices", &value(none)),
            None => {}
        }
        if let Some(Value::String(answer)) = action.values.get("answer") {
            self.field(indent, "answer", &word(answer));
        }
        if let Some(timeout) = action.timeout {
            self.field(indent, "timeout", &duration(timeout));
        }
    }

    fn cases(&mut self, indent: usize, cases: &[CaseDocument], step: &StepDocument) {
        let target = |name: &str| {
            step.target(&Outcome::Word(name.to_owned()))
                .map(|target| word(target.value.as_str()))
        };
        if cases.is_empty() {
            self.field(indent, "cases", "[]");
        } else {
            self.opens(indent, "cases");
        }
        for (index, case) in cases.iter().enumerate() {
            let inner = indent.saturating_add(4);
            self.indent(indent.saturating_add(2));
            self.text.push_str("- ");
            // The first field stands behind the dash.
            let mut lead = 0;
            if case.name != format!("case_{}", index.saturating_add(1)) {
                self.field(lead, "name", &word(&case.name));
                lead = inner;
            }
            if let Some(when) = &case.when {
                self.key(lead, "when");
                self.condition(inner.saturating_add(2), &when.condition);
                lead = inner;
            }
            if let Some(target) = target(&case.name) {
                self.field(lead, "then", &target);
            }
        }
        if let Some(target) = target(OTHERWISE) {
            self.field(indent, OTHERWISE, &target);
        }
    }

    /// The steps of the branches stand behind their parallel step, branch by branch.
    fn branches(
        &mut self,
        indent: usize,
        parallel: &ParallelDocument,
        step: &StepDocument,
        behind: &mut Steps<'_>,
    ) {
        self.field(indent, "join", parallel.join.as_str());
        if parallel.branches.is_empty() {
            self.field(indent, "branches", "{}");
            return;
        }
        self.opens(indent, "branches");
        for (branch, _) in &parallel.branches {
            self.opens(indent.saturating_add(2), &branch.value);
            let place = Place {
                parallel: step.id.value.clone(),
                branch: branch.value.clone(),
            };
            while let Some(inner) = behind.next_if(|next| next.within.as_ref() == Some(&place)) {
                self.step(indent.saturating_add(4), inner, behind);
            }
        }
    }

    fn call(&mut self, indent: usize, call: &CallDocument) {
        if let Some(playbook) = &call.playbook {
            self.field(indent, "playbook", &word(playbook.value.as_str()));
        }
        if let Some(version) = &call.version {
            self.field(indent, "version", &quoted(version.as_str()));
        }
        self.parameters(indent, &call.parameters, &call.values);
    }
}

/// The word of its type; an action needs none.
fn kind_of(step: &StepDocument) -> Option<&'static str> {
    Some(match &step.kind {
        KindDocument::Action(action) if action.ask.is_some() => "ask",
        KindDocument::Action(_) | KindDocument::Unknown => return None,
        KindDocument::Decision(_) => "decision",
        KindDocument::Wait(_) => "wait",
        KindDocument::Parallel(_) => "parallel",
        KindDocument::Call(_) => "call",
        KindDocument::Terminal => "terminal",
        KindDocument::Escalation { .. } => "escalation",
    })
}
