//! What is looked for, and where.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use simulators::System;
use sqlx::{AssertSqlSafe, PgPool};
use url::Url;

/// What a place is, as far as it decides what may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Read by people or machines whose business no secret is: logs, traces, metrics, answers, tickets, Redis.
    Told,
    /// A table of ours.
    Table,
    /// What a vendor is sent: the address, the headers that prove nothing, and a body that is no form.
    Sent(System),
    /// The `Authorization` header of a request to a vendor, or its form.
    Credentials(System),
}

/// Something that was left behind, and what is in it in base64: stored answers, and the claims of what is signed.
pub(crate) struct Place {
    pub(crate) name: String,
    kind: Kind,
    text: Vec<u8>,
}

impl Place {
    pub(crate) fn new(kind: Kind, name: String, text: impl Into<Vec<u8>>) -> Self {
        let mut text = text.into();
        let hidden = unwrapped(&text);
        text.extend(hidden);
        Self { name, kind, text }
    }

    /// A form that was sent to the text gateway.
    pub(crate) fn is_gateway(&self) -> bool {
        self.kind == Kind::Credentials(System::Twilio)
    }

    pub(crate) fn holds(&self, text: &str) -> bool {
        holds(&self.text, text)
    }

    /// Whether `canary` has business here.
    pub(crate) fn may_hold(&self, canary: &Canary) -> bool {
        match canary.what {
            What::Pass => self.is_gateway(),
            // A message whose fate is not known is asked for by its number.
            What::Number => self.is_gateway() || self.kind == Kind::Sent(System::Twilio),
            // Whoever logs in somewhere sends the secret that belongs there, and no other.
            What::Secret(of) => of.is_some_and(|of| self.kind == Kind::Credentials(of)),
            // What is asked of orchestration, word for word however often; what its templates may show; what a model reads.
            What::Words => [
                "table classification_results",
                "table playbook_executions",
                "a request to OpenAi",
            ]
            .contains(&self.name.as_str()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Pass,
    Number,
    /// Of this vendor, where it is one's; keys and passwords of our own are nobody's.
    Secret(Option<System>),
    Words,
}

/// Something that must not be found, in every spelling in which it could be.
pub(crate) struct Canary {
    name: String,
    what: What,
    spellings: Vec<String>,
}

impl Canary {
    pub(crate) fn pass(value: &str) -> Self {
        Self::of(What::Pass, format!("the pass `{value}`"), value)
    }

    pub(crate) fn number(whose: &str, number: &str) -> Self {
        let mut canary = Self::of(What::Number, format!("the number of {whose}"), number);
        // Without the plus, and without the country.
        canary.spellings.push(number.trim_start_matches('+').to_owned());
        canary.spellings.push(number[number.len() - 9..].to_owned());
        canary
    }

    /// `of`: the vendor that it is shown to.
    pub(crate) fn secret(name: &str, of: Option<System>, value: &str) -> Self {
        Self::of(What::Secret(of), name.to_owned(), value)
    }

    pub(crate) fn words(name: &str, value: &str) -> Self {
        Self::of(What::Words, name.to_owned(), value)
    }

    fn of(what: What, name: String, value: &str) -> Self {
        assert!(value.len() >= 8, "{name} is too short to be looked for");
        let mut spellings = vec![
            value.to_owned(),
            hex::encode(value),
            STANDARD_NO_PAD.encode(value),
            URL_SAFE_NO_PAD.encode(value),
            url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            value.escape_debug().to_string(),
        ];
        spellings.sort();
        spellings.dedup();
        Self {
            name,
            what,
            spellings,
        }
    }

    pub(crate) fn is_pass(&self) -> bool {
        self.what == What::Pass
    }
}

/// Where in `place` the canary stands, with some of what stands around it.
pub(crate) fn found_in(place: &Place, canary: &Canary) -> Vec<String> {
    let spelled = canary
        .spellings
        .iter()
        .filter_map(|spelling| position(&place.text, spelling.as_bytes()));
    spelled
        .take(1)
        .map(|at| {
            let around = &place.text[at.saturating_sub(160)..place.text.len().min(at + 80)];
            format!(
                "{} in {}: …{}…",
                canary.name,
                place.name,
                String::from_utf8_lossy(around).escape_debug()
            )
        })
        .collect()
}

/// What stands in `text` in base64, one a line.
fn unwrapped(text: &[u8]) -> Vec<u8> {
    let wrapped = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let words = text.split(|byte| !wrapped(byte)).filter(|word| word.len() >= 8);
    let opened = words.filter_map(|word| {
        let opened = STANDARD_NO_PAD.decode(word);
        opened.or_else(|_| URL_SAFE_NO_PAD.decode(word)).ok()
    });
    opened
        .flat_map(|mut opened| {
            opened.push(b'\n');
            opened
        })
        .collect()
}

pub(crate) fn holds(text: &[u8], what: &str) -> bool {
    position(text, what.as_bytes()).is_some()
}

fn position(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// All rows of a table, as text; bytes as hexadecimal digits.
pub(crate) async fn columns(owner: &PgPool, table: &str) -> String {
    let rows: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT row::text FROM {table} AS row")))
            .fetch_all(owner)
            .await
            .unwrap();
    rows.join("\n")
}

/// All keys with their values, whatever their kind.
pub(crate) async fn keys(address: Url) -> Vec<u8> {
    let client = redis::Client::open(address).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut connection)
        .await
        .unwrap();
    let mut text = String::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE")
            .arg(&key)
            .query_async(&mut connection)
            .await
            .unwrap();
        let mut command = match kind.as_str() {
            "string" => redis::cmd("GET"),
            "hash" => redis::cmd("HGETALL"),
            "set" => redis::cmd("SMEMBERS"),
            "list" | "zset" => redis::cmd(if kind == "list" { "LRANGE" } else { "ZRANGE" }),
            other => panic!("`{key}` is a {other}, which this search cannot read"),
        };
        command.arg(&key);
        if matches!(kind.as_str(), "list" | "zset") {
            command.arg(0).arg(-1);
        }
        let value: redis::Value = command.query_async(&mut connection).await.unwrap();
        write!(text, "{key} = ").unwrap();
        spell(&value, &mut text);
        text.push('\n');
    }
    text.into_bytes()
}

fn spell(value: &redis::Value, text: &mut String) {
    match value {
        redis::Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        redis::Value::Array(values) | redis::Value::Set(values) => {
            for value in values {
                spell(value, text);
                text.push(' ');
            }
        }
        redis::Value::Map(pairs) => {
            for (name, value) in pairs {
                spell(name, text);
                text.push(' ');
                spell(value, text);
                text.push(' ');
            }
        }
        other => write!(text, "{other:?}").unwrap(),
    }
}
