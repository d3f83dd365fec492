//! The lines by which mail programs begin an earlier letter, in the languages they speak.

use super::super::words;

/// What begins an earlier letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// `>` before each line.
    Quote,
    /// "On ... wrote:".
    Attribution,
    /// "-----Original Message-----".
    Original,
    /// "---------- Forwarded message ---------".
    Forward,
    /// From, sent, to, subject.
    Headers,
}

/// A longer line is no head of a letter.
const LONGEST: usize = 300;

/// What stands behind the `>` of a quoted line.
pub(super) fn quoted(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.starts_with('>').then(|| line.trim_start_matches(['>', ' ']))
}

/// The head of an earlier letter at a line, and how many lines it takes.
pub(super) fn at(lines: &[&str], at: usize) -> Option<(Mark, usize)> {
    let line = lines.get(at)?.trim();
    if line.is_empty() || line.len() > LONGEST {
        return None;
    }
    if let Some(mark) = separator(line) {
        let headers = headers(lines, at + 1).map_or(0, |length| length);
        return Some((mark, 1 + headers));
    }
    if is_rule(line) {
        return headers(lines, at + 1).map(|length| (Mark::Headers, 1 + length));
    }
    if let Some(length) = headers(lines, at) {
        return Some((Mark::Headers, length));
    }
    attribution(lines, at).map(|length| (Mark::Attribution, length))
}

fn is_rule(line: &str) -> bool {
    line.len() >= 8 && line.chars().all(|c| matches!(c, '_' | '-' | '─'))
}

/// "-----Original Message-----" and what says the same.
fn separator(line: &str) -> Option<Mark> {
    const ORIGINAL: [&str; 10] = [
        "original message",
        "original appointment",
        "ursprüngliche nachricht",
        "originalnachricht",
        "message d'origine",
        "mensaje original",
        "mensagem original",
        "messaggio originale",
        "oorspronkelijk bericht",
        "wiadomość oryginalna",
    ];
    const FORWARDED: [&str; 14] = [
        "forwarded message",
        "forwarded by",
        "weitergeleitete nachricht",
        "weitergeleitet von",
        "message transféré",
        "message réexpédié",
        "mensaje reenviado",
        "mensagem encaminhada",
        "mensagem reencaminhada",
        "messaggio inoltrato",
        "doorgestuurd bericht",
        "wiadomość przekazana dalej",
        "przekazana wiadomość",
        "przesłana wiadomość",
    ];
    const APPLE: [&str; 7] = [
        "begin forwarded message:",
        "anfang der weitergeleiteten nachricht:",
        "début du message transféré :",
        "début du message réexpédié :",
        "inicio del mensaje reenviado:",
        "inizio messaggio inoltrato:",
        "begin doorgestuurd bericht:",
    ];
    let lower = line.replace('’', "'").to_lowercase();
    if APPLE.contains(&lower.as_str()) {
        return Some(Mark::Forward);
    }
    let inside = lower.trim_matches(['-', '_', '=', ' ', '*']);
    if !line.starts_with(['-', '_', '=']) || inside.is_empty() {
        return None;
    }
    if FORWARDED.iter().any(|phrase| inside.starts_with(phrase)) {
        return Some(Mark::Forward);
    }
    ORIGINAL
        .iter()
        .any(|phrase| inside.starts_with(phrase))
        .then_some(Mark::Original)
}

/// A line of a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    From,
    Date,
    To,
    Copy,
    Subject,
}

fn header(line: &str) -> Option<Header> {
    const FROM: [&str; 12] = [
        "from",
        "von",
        "de",
        "da",
        "van",
        "od",
        "fra",
        "från",
        "lähettäjä",
        "expéditeur",
        "remitente",
        "mittente",
    ];
    const DATE: [&str; 15] = [
        "sent",
        "date",
        "gesendet",
        "datum",
        "envoyé",
        "fecha",
        "enviado",
        "enviado el",
        "data",
        "enviada",
        "enviada em",
        "inviato",
        "verzonden",
        "wysłano",
        "skickat",
    ];
    const TO: [&str; 9] = ["to", "an", "à", "para", "a", "aan", "do", "till", "destinataire"];
    const COPY: [&str; 6] = ["cc", "bcc", "kopie", "copia", "dw", "importance"];
    const SUBJECT: [&str; 9] = [
        "subject",
        "betreff",
        "objet",
        "asunto",
        "assunto",
        "oggetto",
        "onderwerp",
        "temat",
        "ämne",
    ];
    let line = line.trim_start_matches(['*', '>', ' ', '_']);
    let (key, _) = line.split_once(':')?;
    let key = key.trim_end_matches(['*', ' ', '_']);
    if key.len() > 20 {
        return None;
    }
    let key = key.to_lowercase();
    let key = key.as_str();
    if FROM.contains(&key) {
        Some(Header::From)
    } else if DATE.contains(&key) {
        Some(Header::Date)
    } else if TO.contains(&key) {
        Some(Header::To)
    } else if COPY.contains(&key) {
        Some(Header::Copy)
    } else {
        SUBJECT.contains(&key).then_some(Header::Subject)
    }
}

/// How many lines a header block takes that begins at a line: a sender, and two more kinds of header among
/// lines that follow each other. A long list of recipients may wrap.
fn headers(lines: &[&str], start: usize) -> Option<usize> {
    const MOST_LINES: usize = 12;
    const MOST_WRAPPED: usize = 3;
    let mut found: Vec<Header> = Vec::new();
    let (mut end, mut wrapped) = (0, 0);
    for (offset, line) in lines.iter().skip(start).take(MOST_LINES).enumerate() {
        match header(line) {
            Some(kind) => {
                if !found.contains(&kind) {
                    found.push(kind);
                }
                (end, wrapped) = (offset + 1, 0);
            }
            None if found.is_empty() && !line.trim().is_empty() => return None,
            // The subject is the last header; what follows it is the letter.
            None if found.contains(&Header::Subject) => break,
            None => {
                wrapped += 1;
                if wrapped > MOST_WRAPPED {
                    break;
                }
            }
        }
    }
    let whole = found.contains(&Header::From)
        && (found.contains(&Header::Subject) || found.contains(&Header::Date))
        && found.len() >= 3;
    whole.then_some(end)
}

/// How many lines "On ... wrote:" takes, wrapped or not.
fn attribution(lines: &[&str], start: usize) -> Option<usize> {
    const MOST_LINES: usize = 3;
    let mut joined = String::new();
    for (offset, line) in lines.iter().skip(start).take(MOST_LINES).enumerate() {
        let line = line.trim();
        if line.is_empty() || joined.len() + line.len() > LONGEST {
            return None;
        }
        if offset > 0 {
            joined.push(' ');
        }
        joined.push_str(line);
        if is_attribution(&joined) {
            return Some(offset + 1);
        }
    }
    None
}

fn is_attribution(line: &str) -> bool {
    const OPENERS: [&str; 12] = [
        "on ", "am ", "le ", "el ", "em ", "il ", "op ", "w dniu ", "dnia ", "den ", "på ", "no dia ",
    ];
    const LONGEST_NAME: usize = 4;
    const VERBS: [&str; 14] = [
        "wrote",
        "schrieb",
        "a écrit",
        "escribió",
        "escreveu",
        "ha scritto",
        "schreef",
        "napisał",
        "napisał(a)",
        "napisała",
        "pisze",
        "skrev",
        "writes",
        "kirjoitti",
    ];
    let Some(said) = line.strip_suffix(':') else {
        return false;
    };
    let lower = said.trim_end().to_lowercase();
    let dated = lower.chars().any(|c| c.is_ascii_digit());
    let addressed = lower.contains('@') || lower.contains('<');
    let opened = OPENERS.iter().any(|opener| lower.starts_with(opener));
    let ends = VERBS.iter().any(|verb| lower.ends_with(verb));
    // "Am 3. Mai schrieb Anna Berg:" has the name last; "Anna <anna@...> schrieb am 3. Mai:" the date.
    let between = VERBS
        .iter()
        .filter_map(|verb| after_word(&lower, verb))
        .any(|after| {
            let short = words::of(after).take(LONGEST_NAME + 1).count() <= LONGEST_NAME;
            dated && (addressed || (opened && short))
        });
    (ends && (addressed || (opened && dated))) || between
}

/// What follows a word of a text.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.match_indices(word).find_map(|(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + word.len()..)?);
        (before.ends_with(' ') && after.starts_with(' ')).then_some(after)
    })
}

/// Whether a line greets or points to what is below, and asks nothing.
pub(super) fn is_greeting(line: &str) -> bool {
    const FIRST: [&str; 38] = [
        "hi",
        "hello",
        "hey",
        "dear",
        "good",
        "greetings",
        "all",
        "team",
        "hallo",
        "guten",
        "moin",
        "servus",
        "liebe",
        "lieber",
        "liebes",
        "sehr",
        "bonjour",
        "bonsoir",
        "salut",
        "chers",
        "cher",
        "madame",
        "hola",
        "buenos",
        "buenas",
        "estimados",
        "estimado",
        "olá",
        "bom",
        "boa",
        "prezados",
        "ciao",
        "buongiorno",
        "salve",
        "goedemorgen",
        "beste",
        "dzień",
        "cześć",
    ];
    const POINTERS: [&str; 26] = [
        "fyi",
        "see below",
        "please see below",
        "pls see below",
        "below",
        "as below",
        "see attached",
        "forwarding",
        "for your information",
        "please check",
        "please help",
        "please advise",
        "please assist",
        "siehe unten",
        "s u",
        "zur info",
        "zur information",
        "zk",
        "z k",
        "bitte um hilfe",
        "bitte um prüfung",
        "pour info",
        "voir ci dessous",
        "ver abajo",
        "para su información",
        "zie hieronder",
    ];
    let all: Vec<String> = words::of(line).take(8).collect();
    let Some(first) = all.first() else { return true };
    (all.len() <= 5 && FIRST.contains(&first.as_str())) || POINTERS.contains(&all.join(" ").as_str())
}
