//! Who is the subject and who may answer for them, according to the directory at this moment.

use common::methods::recent_change;
use common::{Person, StepRequest, UserId, clock};
use connectors::CallError;

use crate::Verifier;
use crate::operation::Obstacle;

/// Nobody can be asked (an obstacle that ends the operation at once), or the directory is away.
pub(super) enum Lookup {
    Obstacle(Obstacle),
    Away(CallError),
}

impl From<CallError> for Lookup {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { ref code, .. } => {
                tracing::error!(code, error = %chassis::chain(&error), "the directory refused a look-up");
                Self::Obstacle(Obstacle::DirectoryRefused)
            }
            away => Self::Away(away),
        }
    }
}

impl Verifier {
    /// The subject, where they may be asked; else why not, and who they are where that is known.
    pub(super) async fn subject(&self, request: &StepRequest) -> Result<Person, (Option<Person>, Lookup)> {
        let person = self
            .entra
            .user(&request.subject.user_id)
            .await
            .map_err(|error| (None, error.into()))?;
        // By their object id and nothing else: under another name they would have other limits.
        let by_id = |person: &Person| {
            person
                .id
                .as_str()
                .eq_ignore_ascii_case(request.subject.user_id.as_str())
        };
        let Some(person) = person.filter(by_id) else {
            return Err((None, Lookup::Obstacle(Obstacle::SubjectUnknown)));
        };
        if let Some(obstacle) = subject_obstacle(&person) {
            return Err((Some(person), Lookup::Obstacle(obstacle)));
        }
        match self.caution(&person, request.authorizes.is_some()).await {
            Ok(None) => Ok(person),
            Ok(Some(obstacle)) => Err((Some(person), Lookup::Obstacle(obstacle))),
            Err(error) => Err((Some(person), error.into())),
        }
    }

    /// Why a person is left to people. How old their methods are matters where something is to be proven by them.
    async fn caution(&self, person: &Person, proves: bool) -> Result<Option<Obstacle>, CallError> {
        let days = self.caution.method_change_days;
        let methods = async {
            if proves && days > 0 {
                self.entra.sign_in_methods(&person.id).await
            } else {
                Ok(vec![])
            }
        };
        // Boxed: look-ups side by side make a future too large to carry through every caller.
        let looked = Box::pin(async { tokio::try_join!(self.entra.memberships(&person.id), methods) });
        let (memberships, methods) = looked.await?;
        if let Some(why) = self.caution.protected.why(person, &memberships) {
            tracing::warn!(subject = %person.id, code = why.code(), "a protected person is not asked");
            return Ok(Some(Obstacle::from(&why)));
        }
        let changed = recent_change(&methods, days, clock::now());
        Ok(changed.map(|_| Obstacle::MethodChanged))
    }

    /// The subject's manager, where they may be asked.
    pub(super) async fn manager(&self, subject: &Person) -> Result<Person, Lookup> {
        let manager = self.entra.manager(&subject.id).await?;
        let manager = manager.ok_or(Lookup::Obstacle(Obstacle::NoManager))?;
        match manager_obstacle(&subject.id, &manager) {
            Some(obstacle) => Err(Lookup::Obstacle(obstacle)),
            None => Ok(manager),
        }
    }
}

/// Why a subject is not asked; silence of the directory is a no already.
fn subject_obstacle(person: &Person) -> Option<Obstacle> {
    if person.guest {
        Some(Obstacle::SubjectGuest)
    } else if !person.account_enabled {
        Some(Obstacle::SubjectDisabled)
    } else {
        None
    }
}

/// Why a manager is not asked, nor believed.
pub(crate) fn manager_obstacle(subject: &UserId, manager: &Person) -> Option<Obstacle> {
    if manager.id.as_str().eq_ignore_ascii_case(subject.as_str()) {
        Some(Obstacle::ManagerIsSubject)
    } else if manager.guest {
        Some(Obstacle::ManagerGuest)
    } else if !manager.account_enabled {
        Some(Obstacle::ManagerDisabled)
    } else {
        None
    }
}
