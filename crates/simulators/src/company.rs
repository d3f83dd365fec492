//! The seeded company: who works at Contoso, who manages whom, who has which phone and which role.
//!
//! Phone numbers are of the range that Ofcom keeps for fiction (07700 900000 to 900999).

use std::collections::HashMap;

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::core::{Seed, Shared};

/// The company's mail domain.
pub const DOMAIN: &str = "contoso.example";

/// Template id of the directory role "Global Administrator", the same in every tenant.
pub const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";

/// Template id of the directory role "User Administrator".
pub const USER_ADMINISTRATOR: &str = "fe930be7-5e62-47db-91af-98c3a49a38b1";

/// When everybody registered their phone: long ago.
const MOBILE_SINCE: OffsetDateTime = datetime!(2024-05-02 10:00 UTC);

/// One person, as the directory and the help desk know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a record of independent facts, as the directory keeps them"
)]
pub struct Person {
    /// The directory's object id.
    pub id: Uuid,
    /// Mail address; the help desk knows them by it.
    pub email: String,
    /// Sign-in name; a guest's contains `#EXT#`.
    pub upn: String,
    /// Given name and surname.
    pub name: String,
    /// What they do.
    pub job_title: String,
    /// Where they do it.
    pub department: String,
    /// May sign in.
    pub enabled: bool,
    /// `Member` or `Guest`.
    pub user_type: String,
    /// Mail address of the manager on record.
    pub manager: Option<String>,
    /// The verified `mobile` phone method, in Graph's form `+44 7700900123`.
    pub mobile: Option<String>,
    /// The contact field `mobilePhone`: free text, proves nothing.
    pub contact_phone: Option<String>,
    /// Since when they have it, where the directory says so.
    pub mobile_since: Option<OffsetDateTime>,
    /// Has an authenticator app that can show a push.
    pub authenticator: bool,
    /// Since when they have it; the directory seldom says so.
    pub authenticator_since: Option<OffsetDateTime>,
    /// Directory roles: display name and template id.
    pub roles: Vec<(String, String)>,
    /// Directory roles that they may make active whenever they like: display name and template id.
    pub eligible_roles: Vec<(String, String)>,
    /// Is in the group that may hold roles.
    pub in_privileged_group: bool,
    /// Mastered in an on-premises directory.
    pub synced: bool,
    /// Number of their record in the help desk.
    pub halo_id: i64,
    /// Inactive in the help desk.
    pub halo_inactive: bool,
    /// Marked as a VIP in the help desk.
    pub halo_vip: bool,
    /// In a restricted management administrative unit.
    pub management_restricted: bool,
    /// Groups beyond those of their department, by name.
    pub groups: Vec<String>,
    /// Further addresses at which their mailbox takes mail (`proxyAddresses`); the help desk's record has them too.
    pub aliases: Vec<String>,
}

impl Person {
    /// The mobile number in E.164, as texts are sent to it.
    pub fn e164(&self) -> Option<String> {
        self.mobile.as_ref().map(|number| number.replace(' ', ""))
    }

    /// The first word of the name.
    pub fn given_name(&self) -> &str {
        self.name.split(' ').next().unwrap_or_default()
    }

    /// The rest of the name.
    pub fn surname(&self) -> &str {
        self.name.split_once(' ').map_or("", |(_, surname)| surname)
    }
}

/// Name, title, department, manager (by the first part of the address).
type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

const STAFF: [Row; 22] = [
    ("Patti Fernandez", "President", "Executive", None),
    ("Megan Bowen", "Marketing Manager", "Marketing", Some("patti")),
    ("Adele Vance", "Retail Manager", "Retail", Some("megan")),
    ("Alex Wilber", "Marketing Assistant", "Marketing", Some("megan")),
    ("Diego Siciliani", "HR Manager", "HR", Some("patti")),
    ("Lynne Robbins", "Planner", "Retail", Some("megan")),
    ("Grady Archie", "IT Administrator", "IT", Some("patti")),
    ("Nestor Wilke", "Director", "Operations", None),
    ("Joni Sherman", "Paralegal", "Legal", Some("diego")),
    ("Isaiah Langer", "Sales Representative", "Sales", Some("miriam")),
    ("Lidia Holloway", "Product Manager", "Engineering", Some("nestor")),
    ("Miriam Graham", "Director of Sales", "Sales", Some("patti")),
    ("Pradeep Gupta", "Accountant", "Finance", Some("debra")),
    ("Lee Gu", "Engineer", "Manufacturing", Some("nestor")),
    ("Henrietta Mueller", "Developer", "Engineering", Some("lidia")),
    ("Johanna Lorenz", "Senior Engineer", "Engineering", Some("lidia")),
    ("Emily Braun", "Budget Analyst", "Finance", Some("debra")),
    ("Raul Razo", "Assembler", "Manufacturing", Some("lee")),
    ("Cameron White", "Engineer", "Manufacturing", Some("lee")),
    ("Debra Berger", "Finance Director", "Finance", Some("patti")),
    ("Allan Deyoung", "Help Desk Lead", "IT", Some("grady")),
    ("Gus Hansen", "Consultant", "Fabrikam", Some("nestor")),
];

fn hire(seed: Seed, index: usize, row: Row) -> Person {
    let (name, job_title, department, manager) = row;
    let handle = name.split(' ').next().unwrap_or_default().to_ascii_lowercase();
    let guest = handle == "gus";
    let email = if guest {
        "gus@fabrikam.example".to_owned()
    } else {
        format!("{handle}@{DOMAIN}")
    };
    let upn = if guest {
        format!("gus_fabrikam.example#EXT#@{DOMAIN}")
    } else {
        email.clone()
    };
    let role = match handle.as_str() {
        "grady" => Some(("Global Administrator", GLOBAL_ADMINISTRATOR)),
        "allan" => Some(("User Administrator", USER_ADMINISTRATOR)),
        _ => None,
    };
    let number = 100 + index;
    Person {
        id: seed.uuid(&format!("user/{handle}")),
        email,
        upn,
        name: name.to_owned(),
        job_title: job_title.to_owned(),
        department: department.to_owned(),
        enabled: handle != "diego",
        user_type: if guest { "Guest" } else { "Member" }.to_owned(),
        manager: manager.map(|handle| format!("{handle}@{DOMAIN}")),
        mobile: (handle != "lynne" && !guest).then(|| format!("+44 7700900{number}")),
        contact_phone: (!guest).then(|| format!("+44 7700 900{number}")),
        mobile_since: Some(MOBILE_SINCE),
        authenticator: !guest,
        authenticator_since: None,
        roles: role
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .into_iter()
            .collect(),
        eligible_roles: vec![],
        in_privileged_group: handle == "debra",
        synced: handle == "cameron",
        halo_id: 340 + i64::try_from(index).unwrap_or_default(),
        halo_inactive: false,
        halo_vip: false,
        management_restricted: false,
        aliases: vec![],
        groups: vec![],
    }
}

/// An employee without a story: `employee0042@contoso.example`, with an app and a phone. The range of numbers is small, so
/// that some share theirs.
fn hire_further(seed: Seed, number: u32) -> Person {
    let handle = format!("employee{number:04}");
    let email = format!("{handle}@{DOMAIN}");
    let phone = 200 + number % 800;
    Person {
        id: seed.uuid(&format!("user/{handle}")),
        upn: email.clone(),
        email,
        name: format!("Employee {number:04}"),
        job_title: "Clerk".to_owned(),
        department: "Operations".to_owned(),
        enabled: true,
        user_type: "Member".to_owned(),
        manager: Some(format!("nestor@{DOMAIN}")),
        mobile: Some(format!("+44 7700900{phone}")),
        contact_phone: Some(format!("+44 7700 900{phone}")),
        mobile_since: Some(MOBILE_SINCE),
        authenticator: true,
        authenticator_since: None,
        roles: vec![],
        eligible_roles: vec![],
        in_privileged_group: false,
        synced: false,
        halo_id: 10_000 + i64::from(number),
        halo_inactive: false,
        halo_vip: false,
        management_restricted: false,
        aliases: vec![],
        groups: vec![],
    }
}

/// Somebody whom the help desk knows and no directory does.
pub(crate) fn outsider(halo_id: i64, name: &str, email: &str) -> Person {
    Person {
        id: Uuid::nil(),
        upn: String::new(),
        email: email.to_owned(),
        name: name.to_owned(),
        job_title: String::new(),
        department: String::new(),
        enabled: false,
        user_type: String::new(),
        manager: None,
        mobile: None,
        contact_phone: None,
        mobile_since: None,
        authenticator: false,
        authenticator_since: None,
        roles: vec![],
        eligible_roles: vec![],
        in_privileged_group: false,
        synced: false,
        halo_id,
        halo_inactive: false,
        halo_vip: false,
        management_restricted: false,
        aliases: vec![],
        groups: vec![],
    }
}

/// Everybody, changeable while the world runs.
#[derive(Debug)]
pub(crate) struct Directory {
    people: Shared<Vec<Person>>,
    /// Where in the list somebody stands, by object id and by mail address in lower case: nobody leaves, and both stay. A
    /// company of ten thousand would else be read through for every request.
    by_id: HashMap<Uuid, usize>,
    by_email: HashMap<String, usize>,
}

impl Directory {
    /// The named ones, and `further` beside them.
    pub(crate) fn seeded(seed: Seed, further: u32) -> Self {
        let named = STAFF
            .iter()
            .enumerate()
            .map(|(index, row)| hire(seed, index, *row));
        let people = named.chain((1..=further).map(|number| hire_further(seed, number)));
        let people: Vec<Person> = people.collect();
        let places = || people.iter().enumerate();
        Self {
            by_id: places().map(|(place, person)| (person.id, place)).collect(),
            by_email: places()
                .map(|(place, person)| (person.email.to_ascii_lowercase(), place))
                .collect(),
            people: Shared::new(people),
        }
    }

    /// Look at everybody without a copy of each.
    pub(crate) fn with_all<T>(&self, look: impl FnOnce(&[Person]) -> T) -> T {
        look(&self.people.lock())
    }

    pub(crate) fn all(&self) -> Vec<Person> {
        self.people.lock().clone()
    }

    pub(crate) fn find(&self, what: impl Fn(&Person) -> bool) -> Option<Person> {
        self.people.lock().iter().find(|person| what(person)).cloned()
    }

    pub(crate) fn by_email(&self, email: &str) -> Option<Person> {
        let place = *self.by_email.get(&email.to_ascii_lowercase())?;
        self.people.lock().get(place).cloned()
    }

    /// Whoever has this address, be it an alias.
    pub(crate) fn by_address(&self, address: &str) -> Option<Person> {
        let same = |known: &str| known.eq_ignore_ascii_case(address);
        self.find(|person| same(&person.email) || person.aliases.iter().any(|alias| same(alias)))
    }

    /// By object id or sign-in name, as a Graph path addresses users.
    pub(crate) fn by_key(&self, key: &str) -> Option<Person> {
        if let Ok(id) = Uuid::parse_str(key) {
            let place = *self.by_id.get(&id)?;
            return self.people.lock().get(place).cloned();
        }
        // Nearly everybody signs in with their mail address.
        self.by_email(key)
            .filter(|person| person.upn.eq_ignore_ascii_case(key))
            .or_else(|| self.find(|person| person.upn.eq_ignore_ascii_case(key)))
    }

    /// Change the person with `email`; false when there is nobody.
    pub(crate) fn change(&self, email: &str, change: impl FnOnce(&mut Person)) -> bool {
        let place = self.by_email.get(&email.to_ascii_lowercase());
        let mut people = self.people.lock();
        place
            .and_then(|place| people.get_mut(*place))
            .map(change)
            .is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_hires_the_same_people() {
        let (one, again, other) = (
            Directory::seeded(Seed(1), 0),
            Directory::seeded(Seed(1), 0),
            Directory::seeded(Seed(2), 0),
        );
        assert_eq!(one.all(), again.all());
        assert_ne!(one.all(), other.all());
    }

    #[test]
    fn the_company_has_one_of_each_kind_that_the_gate_must_weigh() {
        let directory = Directory::seeded(Seed(1), 0);
        let person = |handle: &str| directory.by_email(&format!("{handle}@{DOMAIN}")).unwrap();
        assert_eq!(person("adele").manager.as_deref(), Some("megan@contoso.example"));
        assert_eq!(person("adele").e164().as_deref(), Some("+447700900102"));
        assert!(!person("diego").enabled);
        assert_eq!(person("lynne").mobile, None);
        assert_eq!(person("grady").roles[0].1, GLOBAL_ADMINISTRATOR);
        assert_eq!(person("nestor").manager, None);
        assert_eq!(person("joni").manager.as_deref(), Some("diego@contoso.example"));
        let guest = directory.by_email("gus@fabrikam.example").unwrap();
        assert_eq!(guest.user_type, "Guest");
        let managers = directory.all().into_iter().filter_map(|person| person.manager);
        assert!(
            managers
                .into_iter()
                .all(|email| directory.by_email(&email).is_some())
        );
    }

    #[test]
    fn further_employees_have_all_that_a_ticket_of_theirs_needs_and_a_record_of_their_own() {
        let directory = Directory::seeded(Seed(1), 2);
        let one = directory.by_email("employee0001@contoso.example").unwrap();
        let two = directory.by_key("employee0002@contoso.example").unwrap();
        assert!(one.enabled && one.authenticator && one.mobile.is_some());
        assert!(one.id != two.id && one.halo_id != two.halo_id);
        assert_eq!(directory.by_key(&two.id.to_string()), Some(two));
    }
}
