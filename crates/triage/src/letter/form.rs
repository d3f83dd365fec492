//! The dump of a web form: a field a line, one of which is what the requester says.

/// Fields in which forms ask for what is wrong.
const DESCRIPTIONS: [&str; 26] = [
    "summary",
    "description",
    "issue",
    "issue description",
    "problem",
    "problem description",
    "details",
    "message",
    "comments",
    "request",
    "short description",
    "beschreibung",
    "problembeschreibung",
    "zusammenfassung",
    "anliegen",
    "nachricht",
    "résumé",
    "description du problème",
    "descripción",
    "resumen",
    "mensaje",
    "descrizione",
    "descrição",
    "resumo",
    "omschrijving",
    "opis",
];

/// Other fields by which a form is known.
const OTHERS: [&str; 52] = [
    "name",
    "full name",
    "first name",
    "last name",
    "user",
    "user name",
    "username",
    "user id",
    "userid",
    "employee id",
    "language",
    "browser",
    "email",
    "e-mail",
    "email address",
    "customer number",
    "customer",
    "telephone",
    "phone",
    "phone number",
    "mobile",
    "location",
    "site",
    "office",
    "department",
    "company",
    "country",
    "date",
    "priority",
    "category",
    "computer",
    "computer name",
    "device",
    "operating system",
    "os",
    "vorname",
    "nachname",
    "sprache",
    "telefon",
    "telefonnummer",
    "abteilung",
    "standort",
    "firma",
    "nom",
    "prénom",
    "téléphone",
    "nombre",
    "teléfono",
    "departamento",
    "nome",
    "telefono",
    "naam",
];

/// As many fields as make a form of some lines with colons.
const FEWEST_FIELDS: usize = 3;

/// What the requester says in a form; nothing where the text is no form or they left the field empty.
pub(super) fn description(text: &str) -> Option<String> {
    let mut fields = 0;
    let mut said: Vec<&str> = Vec::new();
    let mut describes = false;
    for line in text.lines() {
        match field(line) {
            Some((Field::Description, value)) => {
                fields += 1;
                describes = true;
                said.push(value);
            }
            Some((Field::Other, _)) => {
                fields += 1;
                describes = false;
            }
            None if describes => said.push(line),
            None => {}
        }
    }
    let said = said.join("\n");
    (fields >= FEWEST_FIELDS && !said.trim().is_empty()).then_some(said)
}

enum Field {
    Description,
    Other,
}

fn field(line: &str) -> Option<(Field, &str)> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim_matches([' ', '*', '-', '•']);
    if key.len() > 40 {
        return None;
    }
    let key = key.to_lowercase();
    let field = if DESCRIPTIONS.contains(&key.as_str()) {
        Field::Description
    } else if OTHERS.contains(&key.as_str()) {
        Field::Other
    } else {
        return None;
    };
    Some((field, value.trim().trim_start_matches('*').trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_what_a_form_says() {
        let form = "name: Anna Berg\nlanguage: English\nbrowser:\ntelephone: 555 0100\nsummary: scanner makes stripes\n\
                    since Monday";
        assert_eq!(
            description(form).as_deref(),
            Some("scanner makes stripes\nsince Monday")
        );
        let form = "**Name:** Anna\n**Problembeschreibung:** Bildschirm flackert\n**Standort:** Ulm";
        assert_eq!(description(form).as_deref(), Some("Bildschirm flackert"));
    }

    #[test]
    fn two_descriptions_are_both_said() {
        let form = "summary: vpn\nname: Anna\ndescription: drops at noon";
        assert_eq!(description(form).as_deref(), Some("vpn\ndrops at noon"));
    }

    #[test]
    fn some_colons_make_no_form() {
        assert_eq!(description("Hello\nproblem: my screen is dark\nthanks"), None);
        assert_eq!(description("name: a\nphone: b\nsummary:\nemail: c"), None);
    }
}
