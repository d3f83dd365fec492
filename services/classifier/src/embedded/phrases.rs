//! Turns of phrase: what speaks for a category, and what speaks against automating anything.
//!
//! All of them were written for this project. They match the folded words of `words.rs` (`cannot login` covers "can't
//! log in", "unable to sign in", ...).

use super::words::Words;

/// What of `category` the text says, in words for people. Categories without phrases live by their examples alone.
pub(super) fn speaking_for(category: &str, text: &Words) -> Vec<&'static str> {
    match category {
        "PASSWORD_RESET" => PASSWORD_RESET
            .iter()
            .filter(|sign| text.has_any(sign.phrases))
            .map(|sign| sign.says)
            .collect(),
        _ => vec![],
    }
}

/// Why a text that reads like the category should still be seen by a person.
pub(super) fn speaking_against(text: &Words) -> Option<&'static str> {
    AGAINST
        .iter()
        .find(|sign| text.has_any(sign.phrases))
        .map(|sign| sign.says)
}

struct Sign {
    says: &'static str,
    phrases: &'static [&'static str],
}

const PASSWORD_RESET: [Sign; 6] = [
    Sign {
        says: "that the password is forgotten",
        phrases: &[
            "forgot my password",
            "forgotten my password",
            "forgot password",
            "forgotten password",
            "forget my password",
            "lost my password",
            "forgot the password of my account",
            "do not remember my password",
            "dont remember my password",
            "cannot remember my password",
            "password forgotten",
            "password vergessen",
            "mot de passe oublié",
            "oublié mon mot de passe",
            "olvidado mi contraseña",
            "olvidé mi contraseña",
            "password dimenticata",
            "esqueci minha senha",
        ],
    },
    Sign {
        says: "that the password should be reset",
        phrases: &[
            "reset my password",
            "reset my windows password",
            "reset my account password",
            "need a password reset",
            "password reset for my account",
            "password reset please",
            "reset the password of my account",
            "reset the password for my account",
            "need a new password",
            "new password for my account",
            "password zurücksetzen",
            "réinitialiser mon mot de passe",
            "restablecer mi contraseña",
        ],
    },
    Sign {
        says: "that signing in does not work",
        phrases: &[
            "cannot login",
            "cannot get into my account",
            "cannot access my account",
            "login fails",
            "login failed",
            "login does not work",
            "login doesnt work",
            "kann mich nicht anmelden",
            "kann mich nicht einloggen",
        ],
    },
    Sign {
        says: "that the account is locked",
        phrases: &[
            "locked out of my account",
            "locked out of my computer",
            "locked out of my laptop",
            "locked out of my pc",
            "locked out of windows",
            "locked out of my mail",
            "i am locked out",
            "im locked out",
            "my account is locked",
            "konto gesperrt",
        ],
    },
    Sign {
        says: "that the password has expired",
        phrases: &[
            "password expired",
            "password has expired",
            "password is expired",
            "password abgelaufen",
        ],
    },
    Sign {
        says: "that the password is refused",
        phrases: &[
            "password is wrong",
            "password is incorrect",
            "wrong password",
            "incorrect password",
            "incorrect username or password",
            "password does not work",
            "password doesnt work",
            "password not working",
            "password is not accepted",
        ],
    },
];

const AGAINST: [Sign; 5] = [
    Sign {
        says: "it talks to a machine rather than to a help desk",
        phrases: &[
            "ignore all previous",
            "ignore previous",
            "ignore the previous",
            "ignore your",
            "disregard",
            "instructions",
            "system prompt",
            "developer mode",
            "you are now",
            "as an ai",
            "confidence 1",
            "confidence",
            "skip the verification",
            "skip verification",
            "without verification",
            "bypass",
            "automated true",
            "important message",
            "information",
            "domain admins",
            "approved it",
        ],
    },
    Sign {
        says: "it seems to be about somebody else",
        phrases: &[
            "colleague",
            "coworker",
            "co worker",
            "my boss",
            "my manager",
            "my assistant",
            "his password",
            "her password",
            "their password",
            "his account",
            "her account",
            "their account",
            "new employee",
            "new starter",
            "new hire",
            "new user",
            "on behalf",
            "another user",
            "for user",
            "the user",
            "users",
            "employee",
            "passwords",
            "requesting for",
            "for mr",
            "for mrs",
            "for ms",
            "kollege",
            "kollegin",
        ],
    },
    Sign {
        says: "it seems to be about another secret than the account's",
        phrases: &[
            "router",
            "wifi",
            "wi fi",
            "wlan",
            "printer",
            "pdf",
            "zip",
            "excel",
            "file",
            "folder",
            "database",
            "server",
            "switch",
            "firewall",
            "bitlocker",
            "sim",
            "pin",
            "voicemail",
            "vpn",
            "bios",
            "sap",
            "admin",
            "administrator",
            "root",
            "erp",
            "crm",
            "portal",
            "outlook",
            "password manager",
            "service account",
            "shared mailbox",
        ],
    },
    Sign {
        says: "it tells of a lost device or a possible break-in",
        phrases: &[
            "hacked",
            "stolen",
            "phishing",
            "compromised",
            "suspicious",
            "lost my phone",
            "lost phone",
            "new phone",
            "authenticator",
            "mfa",
            "someone else",
        ],
    },
    Sign {
        says: "it asks a question about rules rather than for help",
        phrases: &["policy", "how often", "what is our", "why do i have to"],
    },
];
