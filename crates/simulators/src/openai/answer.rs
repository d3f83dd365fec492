//! The heuristic: which offered word fits the ticket, how sure to be, and a value for everything else asked for.

use serde_json::{Map, Value, json};

/// Words of tickets, and the words of categories that they speak for.
const TOPICS: [(&[&str], &[&str]); 9] = [
    (
        &[
            "password",
            "passwort",
            "log in",
            "login",
            "log into",
            "sign in",
            "signin",
            "locked out",
            "can't log",
            "cannot log",
            "forgot",
            "credentials",
            "account locked",
            "locked",
        ],
        &[
            "password", "reset", "request", "access", "account", "login", "identity", "unlock",
        ],
    ),
    (
        &["mfa", "authenticator", "two-factor", "2fa", "verification code"],
        &["mfa", "authenticator", "request", "access"],
    ),
    (
        &[
            "screen", "laptop", "broken", "keyboard", "monitor", "mouse", "battery", "docking", "hardware",
            "cracked",
        ],
        &["hardware", "device", "incident", "laptop", "equipment", "repair"],
    ),
    (
        &["printer", "print", "toner", "paper jam"],
        &["printer", "print", "hardware", "incident"],
    ),
    (
        &["vpn", "network", "wifi", "wi-fi", "internet", "connection"],
        &["vpn", "network", "connectivity", "incident"],
    ),
    (
        &[
            "install",
            "software",
            "license",
            "licence",
            "excel",
            "application",
        ],
        &["software", "install", "application", "request"],
    ),
    (
        &["outlook", "e-mail", "email", "mailbox", "calendar"],
        &["email", "mail", "outlook", "mailbox", "incident"],
    ),
    (
        &["phishing", "virus", "malware", "suspicious", "hacked"],
        &["security", "phishing", "malware", "incident"],
    ),
    (
        &["access to", "permission", "shared folder", "sharepoint"],
        &["access", "permission", "request", "folder"],
    ),
];

/// Categories for what fits nowhere.
const ELSE: [&str; 7] = [
    "other",
    "unknown",
    "none",
    "manual",
    "general",
    "unclassified",
    "unsupported",
];

/// Words by which a ticket speaks of somebody else's trouble.
const OTHERS: [&str; 9] = [
    "colleague",
    "coworker",
    "on behalf",
    "for him",
    "for her",
    "his password",
    "her password",
    "their password",
    "my boss",
];

/// How sure the heuristic is when words speak for an answer, and when none does.
const SURE: f64 = 0.97;
const UNSURE: f64 = 0.4;

/// The text of a ticket, weighed.
pub(crate) struct Reader {
    text: String,
    /// What the system's messages say of each offered word, one a line.
    guide: String,
    /// Category words with the number of ticket words that speak for them.
    spoken_for: Vec<(&'static str, usize)>,
}

impl Reader {
    pub(crate) fn of(text: &str, guide: &str) -> Self {
        let text = text.to_lowercase().replace('\u{2019}', "'");
        let spoken_for = TOPICS
            .iter()
            .map(|(words, categories)| {
                (
                    words.iter().filter(|word| text.contains(**word)).count(),
                    categories,
                )
            })
            .filter(|(count, _)| *count > 0)
            .flat_map(|(count, categories)| {
                categories.iter().enumerate().map(move |(rank, category)| {
                    // A topic's own words come first and weigh most.
                    (*category, count * (categories.len() - rank))
                })
            })
            .collect();
        Self {
            text,
            guide: guide.to_lowercase(),
            spoken_for,
        }
    }

    /// The headline of the guide's line about an offered word: an alias says nothing by itself.
    fn headline(&self, offered: &str) -> &str {
        let line = self
            .guide
            .lines()
            .find_map(|line| line.split_once(&format!("{offered}:")));
        line.and_then(|(_, rest)| rest.split('.').next())
            .unwrap_or_default()
    }

    fn score(&self, offered: &str) -> usize {
        let offered = offered.to_lowercase();
        let headline = self.headline(&offered);
        let offered = if headline.is_empty() {
            offered.as_str()
        } else {
            headline
        };
        let parts = offered
            .split(|character: char| !character.is_alphanumeric())
            .filter(|part| part.len() > 2);
        parts
            .map(|part| {
                let spoken = self
                    .spoken_for
                    .iter()
                    .filter(|(word, _)| *word == part)
                    .map(|(_, weight)| weight);
                spoken.sum::<usize>() + usize::from(self.text.contains(part))
            })
            .sum()
    }

    /// The offered word that fits best; where none does, one for everything else, else the last.
    fn choose<'a>(&self, offered: &'a [Value]) -> &'a Value {
        const NOTHING: &Value = &Value::Null;
        if let Some(about) = self.about(offered) {
            return about;
        }
        let scored = offered
            .iter()
            .filter_map(|value| Some((self.score(value.as_str()?), value)));
        // On a tie the first stands.
        let best = scored
            .rev()
            .max_by_key(|(score, _)| *score)
            .filter(|(score, _)| *score > 0);
        let otherwise = || {
            offered.iter().find(|value| {
                value
                    .as_str()
                    .is_some_and(|text| ELSE.iter().any(|word| text.to_lowercase().contains(word)))
            })
        };
        best.map(|(_, value)| value)
            .or_else(otherwise)
            .or(offered.last())
            .unwrap_or(NOTHING)
    }

    /// Where the question is whom the ticket is about: the writer, unless the words point at somebody else.
    fn about<'a>(&self, offered: &'a [Value]) -> Option<&'a Value> {
        let find = |word: &str| offered.iter().find(|value| value.as_str() == Some(word));
        let (requester, other) = (find("requester")?, find("somebody_else")?);
        if OTHERS.iter().any(|words| self.text.contains(words)) {
            return Some(other);
        }
        let first_person = self.text.split(|character: char| !character.is_alphanumeric());
        let writer = first_person
            .into_iter()
            .any(|word| matches!(word, "i" | "my" | "me" | "mine"));
        if writer { Some(requester) } else { find("unclear") }
    }

    fn fits(&self) -> bool {
        !self.spoken_for.is_empty()
    }

    fn text_for(&self, name: &str) -> String {
        let found = if self.fits() {
            "The words of the ticket fit the category."
        } else {
            "No words fit."
        };
        if name.to_lowercase().contains("reason") || name.to_lowercase().contains("explan") {
            found.to_owned()
        } else {
            String::new()
        }
    }

    /// A value that `schema` allows, for the property called `name`.
    pub(crate) fn fill(&self, root: &Value, schema: &Value, name: &str) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = root
                .pointer(reference.trim_start_matches('#'))
                .unwrap_or(&Value::Null);
            return self.fill(root, target, name);
        }
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        if let Some(offered) = schema["enum"].as_array() {
            return self.choose(offered).clone();
        }
        if let Some(variants) = schema["anyOf"].as_array() {
            let null = variants.iter().any(|variant| variant["type"] == "null");
            return if null {
                Value::Null
            } else {
                variants.first().map_or(Value::Null, |v| self.fill(root, v, name))
            };
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) if kinds.iter().any(|kind| kind == "null") => "null",
            Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
            kind => kind.as_str().unwrap_or_default(),
        };
        match kind {
            "object" => {
                let properties = schema["properties"].as_object().into_iter().flatten();
                let filled: Map<String, Value> = properties
                    .map(|(name, inner)| (name.clone(), self.fill(root, inner, name)))
                    .collect();
                Value::Object(filled)
            }
            "array" => json!([]),
            "boolean" => json!(false),
            "number" => json!(if self.fits() { SURE } else { UNSURE }),
            "integer" => json!(if self.fits() { 97 } else { 40 }),
            "string" => json!(self.text_for(name)),
            _ => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(ticket: &str, offered: &[&str]) -> Value {
        let schema = json!({"enum": offered});
        Reader::of(ticket, "").fill(&schema, &schema, "category")
    }

    #[test]
    fn the_three_tickets_of_the_demo_find_their_categories_in_any_spelling() {
        let lower = ["password_reset", "mfa_reset", "hardware", "other"];
        let upper = ["INCIDENT", "REQUEST", "OTHER"];
        for ticket in [
            "I can't log in",
            "I can\u{2019}t log in to my laptop",
            "I forgot my password",
        ] {
            assert_eq!(category(ticket, &lower), "password_reset", "{ticket}");
        }
        assert_eq!(category("I can't log in", &upper), "REQUEST");
        assert_eq!(category("My laptop screen is broken", &lower), "hardware");
        assert_eq!(category("My laptop screen is broken", &upper), "INCIDENT");
        assert_eq!(
            category("My laptop screen is broken", &["PASSWORD_RESET", "OTHER"]),
            "OTHER"
        );
        assert_eq!(category("What is for lunch?", &lower), "other");
    }

    #[test]
    fn an_alias_is_chosen_by_what_the_guide_says_of_it() {
        let guide = "Categories:\n- c_1: INCIDENT / PRINTER. Paper jams on any laptop.\n\
                     - c_2: REQUEST / PASSWORD_RESET. Cannot log in. Examples: \"locked out\"";
        let choose = |ticket: &str, offered: Value| {
            let schema = json!({ "enum": offered });
            Reader::of(ticket, guide).fill(&schema, &schema, "category")
        };
        let aliases = || json!(["c_1", "c_2", "none"]);
        assert_eq!(choose("I can't log in", aliases()), "c_2");
        assert_eq!(
            choose("My laptop screen is broken", json!(["c_2", "none"])),
            "none"
        );
        let about = || json!(["requester", "somebody_else", "unclear"]);
        assert_eq!(choose("I can't log in", about()), "requester");
        assert_eq!(
            choose("my colleague forgot her password", about()),
            "somebody_else"
        );
        assert_eq!(choose("password reset please", about()), "unclear");
    }

    #[test]
    fn everything_that_is_asked_for_gets_a_value() {
        let schema = json!({"type": "object", "properties": {
            "category": {"$ref": "#/$defs/category"}, "confidence": {"type": "number"},
            "affected_user": {"type": ["string", "null"]}, "reasoning": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}}},
            "$defs": {"category": {"type": "string", "enum": ["password_reset", "other"]}}});
        let answer = Reader::of("forgot my password", "").fill(&schema, &schema, "");
        assert_eq!(answer["category"], "password_reset");
        assert_eq!(answer["confidence"], SURE);
        assert_eq!(answer["affected_user"], Value::Null);
        assert!(!answer["reasoning"].as_str().unwrap().is_empty());
    }
}
