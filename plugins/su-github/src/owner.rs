//! The numeric id that an allowed log-in name stands for, from the first log-in
//! on: GitHub lets a name change hands.

use vestibule_sdk::{
    Error, NewToken,
    token_store::{self, StoredToken},
};

use crate::{account::Account, settings::Settings};

/// The name in the token store, where it belongs to no user.
pub(crate) const NAME: &str = "owner";

/// Refuses an account that has the allowed name and is another than before.
pub(crate) fn confirm(settings: &Settings, account: &Account) -> Result<(), Error> {
    let wanted = pin(account);
    if let Some(known) = known(settings, account, token_store::load(None, NAME)?) {
        return same(&known, &wanted);
    }
    let lease = token_store::acquire_lease(None, NAME)?;
    if let Some(known) = known(settings, account, lease.current()?) {
        return same(&known, &wanted);
    }
    lease.save(NewToken {
        name: NAME.into(),
        access: None,
        refresh: None,
        access_expires_at: None,
        refresh_expires_at: None,
        host: settings.other_host().map(Into::into),
        account_id: Some(wanted),
    })?;
    Ok(())
}

/// The name and the id that it stands for. The name is part of it, so that
/// another name in the settings begins anew.
fn pin(account: &Account) -> String {
    format!("{} {}", account.login.to_ascii_lowercase(), account.id)
}

/// What is known of this name at this GitHub.
fn known(settings: &Settings, account: &Account, stored: Option<StoredToken>) -> Option<String> {
    let stored = stored.filter(|stored| stored.host.as_deref() == settings.other_host())?;
    stored.account_id.filter(|pin| is_of(pin, &account.login))
}

fn is_of(pin: &str, login: &str) -> bool {
    pin.split_once(' ').is_some_and(|(name, _)| name.eq_ignore_ascii_case(login))
}

fn same(known: &str, wanted: &str) -> Result<(), Error> {
    if known == wanted {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "the account {wanted} has the allowed name, and at the first log-in that was {known}; write \
         the id into `allowed` if that is meant"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_the_id_that_it_had() {
        assert!(is_of("octocat 583231", "OctoCat"));
        assert!(!is_of("octocat 583231", "octo"));
        assert!(!is_of("octocat", "octocat"));
        assert_eq!(same("octocat 583231", "octocat 583231"), Ok(()));
        assert!(matches!(same("octocat 583231", "octocat 1"), Err(Error::Forbidden(_))));
    }
}
