//! Whom a program runs as: names and numbers of the configuration, looked up once when the handler is built, because nothing
//! may be looked up between fork and exec. [`super::program`] is the caller.

use std::ffi::CString;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::error::Refused;
use super::keeper::Account;

/// The account, and the home of its user.
pub(super) struct Found {
    pub(super) account: Account,
    pub(super) home: Option<PathBuf>,
}

/// Nothing when it comes to what we are already.
pub(super) fn find(user: Option<&str>, group: Option<&str>) -> Result<Option<Found>, Refused> {
    let known = user.map(find_user).transpose()?;
    let group = group.map(find_group).transpose()?;
    let (own_user, own_group) = (Uid::effective(), Gid::effective());
    let (id, entry) = known.unwrap_or((own_user, None));
    let main = match (group, &entry) {
        (Some(group), _) => group,
        (None, Some(entry)) => entry.gid,
        // a number nobody has registered brings no groups; those of another would be too much
        (None, None) if user.is_some() => Gid::from_raw(id.as_raw()),
        (None, None) => own_group,
    };
    if id == own_user && main == own_group {
        return Ok(None);
    }
    if !own_user.is_root() {
        return Err(Refused::NotRoot(own_user.as_raw()));
    }
    let groups = match &entry {
        Some(entry) => {
            let failed = |errno| Refused::Account { what: "user", name: entry.name.clone(), errno };
            let name = CString::new(entry.name.as_str()).map_err(|_| failed(Errno::EINVAL))?;
            getgrouplist(&name, main).map_err(failed)?
        }
        None => vec![main],
    };
    let account = Account { user: id, group: main, groups };
    Ok(Some(Found { account, home: entry.map(|entry| entry.dir) }))
}

fn find_user(name: &str) -> Result<(Uid, Option<User>), Refused> {
    let failed = |errno| Refused::Account { what: "user", name: name.to_owned(), errno };
    if let Some(entry) = User::from_name(name).map_err(failed)? {
        return Ok((entry.uid, Some(entry)));
    }
    let id = name.parse().map_err(|_| Refused::NoAccount { what: "user", name: name.to_owned() })?;
    Ok((Uid::from_raw(id), User::from_uid(Uid::from_raw(id)).map_err(failed)?))
}

fn find_group(name: &str) -> Result<Gid, Refused> {
    let failed = |errno| Refused::Account { what: "group", name: name.to_owned(), errno };
    if let Some(entry) = Group::from_name(name).map_err(failed)? {
        return Ok(entry.gid);
    }
    name.parse().map(Gid::from_raw).map_err(|_| Refused::NoAccount { what: "group", name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_named() {
        for (user, group, want) in [
            (Some("no-such-user"), None, "there is no user \"no-such-user\" on this machine"),
            (None, Some("no-such-group"), "there is no group \"no-such-group\" on this machine"),
            (Some("-1"), None, "there is no user \"-1\" on this machine"),
        ] {
            let text = find(user, group).err().unwrap().to_string();
            assert!(text.starts_with(want), "{text}");
        }
    }

    #[test]
    fn who_we_are_needs_no_change() {
        let (user, group) = (Uid::effective().to_string(), Gid::effective().to_string());
        assert!(find(Some(&user), Some(&group)).unwrap().is_none());
        assert!(find(None, None).unwrap().is_none());
    }

    #[test]
    fn only_root_may_be_somebody_else() {
        let found = find(Some("nobody"), None);
        if Uid::effective().is_root() {
            let found = found.unwrap().unwrap();
            let nobody = User::from_name("nobody").unwrap().unwrap();
            assert_eq!(
                (found.account.user, found.account.group, found.home),
                (nobody.uid, nobody.gid, Some(nobody.dir))
            );
            assert!(found.account.groups.contains(&nobody.gid));
            let found = find(Some("4000000"), None).unwrap().unwrap();
            assert_eq!((found.account.groups, found.home), (vec![Gid::from_raw(4_000_000)], None));
        } else {
            assert!(matches!(found.err().unwrap(), Refused::NotRoot(_)));
        }
    }
}
