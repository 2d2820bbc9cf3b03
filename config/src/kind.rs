//! What each kind of directory fills in where the file leaves it out. `config show` prints the result; every line may
//! be said otherwise.

use crate::schema::{
    AccountState, DirectoryKind, DirectorySettings, Lockout, Nesting, Tls, five_seconds, two_seconds,
};

/// How accounts, groups and states look in one directory; everything is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Finds one account by `{user}`.
    pub user_filter: String,
    /// Attributes of names; the first is what an account is called.
    pub name_attributes: Vec<String>,
    /// The attribute that never changes.
    pub id_attribute: String,
    /// Finds an account's groups by `{dn}`, `{user}`, `{gid}`, `{primary}`.
    pub group_filter: String,
    /// A group's name.
    pub group_name: String,
    /// Groups within groups.
    pub nesting: Nesting,
    /// Attributes of an account's state.
    pub account_state: Vec<AccountState>,
}

impl DirectorySettings {
    /// Settings that say no more than what must be said; the rest is as if left out in the file.
    #[must_use]
    pub fn new(kind: DirectoryKind, servers: Vec<String>, base: impl Into<String>) -> Self {
        Self {
            kind,
            servers,
            base: base.into(),
            realm: None,
            user_filter: None,
            name_attributes: None,
            id_attribute: None,
            group_base: None,
            group_filter: None,
            group_name: None,
            nesting: None,
            account_state: None,
            bind_dn: None,
            bind_password: None,
            tls: Tls::default(),
            connect_timeout: two_seconds(),
            timeout: five_seconds(),
            lockout: Lockout::default(),
        }
    }

    /// From the file, or else from `kind`.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let usual = usual(self.kind);
        Shape {
            user_filter: self.user_filter.clone().unwrap_or(usual.user_filter),
            name_attributes: self.name_attributes.clone().unwrap_or(usual.name_attributes),
            id_attribute: self.id_attribute.clone().unwrap_or(usual.id_attribute),
            group_filter: self.group_filter.clone().unwrap_or(usual.group_filter),
            group_name: self.group_name.clone().unwrap_or(usual.group_name),
            nesting: self.nesting.unwrap_or(usual.nesting),
            account_state: self.account_state.clone().unwrap_or(usual.account_state),
        }
    }

    /// Writes the shape into the settings.
    pub(crate) fn fill_in(&mut self) {
        let shape = self.shape();
        self.user_filter = Some(shape.user_filter);
        self.name_attributes = Some(shape.name_attributes);
        self.id_attribute = Some(shape.id_attribute);
        self.group_filter = Some(shape.group_filter);
        self.group_name = Some(shape.group_name);
        self.nesting = Some(shape.nesting);
        self.account_state = Some(shape.account_state);
    }
}

const PRIMARY: &str = "(&(objectClass=posixGroup)(gidNumber={gid}))";

fn usual(kind: DirectoryKind) -> Shape {
    let posix = Shape {
        user_filter: "(&(objectClass=posixAccount)(uid={user}))".into(),
        name_attributes: vec!["uid".into()],
        id_attribute: "entryUUID".into(),
        group_filter: format!("(|(member={{dn}}){PRIMARY})"),
        group_name: "cn".into(),
        nesting: Nesting::Recursive,
        account_state: vec![AccountState::Shadow, AccountState::Ppolicy],
    };
    match kind {
        DirectoryKind::Rfc2307 => Shape {
            group_filter: format!(
                "(|(&(objectClass=posixGroup)(memberUid={{user}}))(&(objectClass=groupOfNames)(member={{dn}})){PRIMARY})"
            ),
            nesting: Nesting::None,
            ..posix
        },
        DirectoryKind::Rfc2307bis => posix,
        DirectoryKind::Ds389 => Shape {
            id_attribute: "nsUniqueId".into(),
            group_filter: format!(
                "(|(member={{dn}})(uniqueMember={{dn}})(&(objectClass=posixGroup)(memberUid={{user}})){PRIMARY})"
            ),
            account_state: vec![AccountState::Shadow, AccountState::Ds389],
            ..posix
        },
        DirectoryKind::FreeIpa => {
            Shape { id_attribute: "ipaUniqueID".into(), account_state: vec![AccountState::FreeIpa], ..posix }
        }
        DirectoryKind::ActiveDirectory => Shape {
            user_filter: "(&(objectCategory=person)(objectClass=user)\
                          (|(sAMAccountName={user})(userPrincipalName={user})))"
                .into(),
            name_attributes: vec!["sAMAccountName".into(), "userPrincipalName".into()],
            id_attribute: "objectGUID".into(),
            // LDAP_MATCHING_RULE_IN_CHAIN: the server walks up the nesting itself.
            group_filter:
                "(&(objectClass=group)(|(member:1.2.840.113556.1.4.1941:={dn})(objectSid={primary})))".into(),
            group_name: "sAMAccountName".into(),
            nesting: Nesting::None,
            account_state: vec![AccountState::ActiveDirectory],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(lines: &str) -> crate::Loaded {
        let text = format!(
            "[directory.main]\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n{lines}\n\
             [[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n\
             [store]\nkey = {{ file = \"/seal.key\" }}\n"
        );
        crate::parse(&text, "twinlock.toml".as_ref()).unwrap()
    }

    #[test]
    fn each_kind_fills_in_what_is_left_out_and_show_prints_it() {
        for (kind, id) in [
            ("rfc2307", "entryUUID"),
            ("rfc2307bis", "entryUUID"),
            ("389ds", "nsUniqueId"),
            ("freeipa", "ipaUniqueID"),
            ("active-directory", "objectGUID"),
        ] {
            let shown = crate::show(&parsed(&format!("kind = {kind:?}")).config).unwrap();
            for key in
                ["user_filter", "name_attributes", "group_filter", "group_name", "nesting", "account_state"]
            {
                assert!(shown.contains(&format!("\n{key} = ")), "{kind}: {key} in {shown}");
            }
            assert!(shown.contains(&format!("\nid_attribute = {id:?}")), "{kind}: {shown}");
        }
    }

    #[test]
    fn each_line_may_be_said_otherwise() {
        let loaded = parsed(
            "kind = \"active-directory\"\nid_attribute = \"objectSid\"\nname_attributes = [\"uid\"]\n\
             group_filter = \"(member={dn})\"\ngroup_name = \"cn\"\nnesting = \"recursive\"\naccount_state = []\n\
             user_filter = \"(uid={user})\"",
        );
        let shape = loaded.config.directory["main"].shape();
        let said = Shape {
            user_filter: "(uid={user})".into(),
            name_attributes: vec!["uid".into()],
            id_attribute: "objectSid".into(),
            group_filter: "(member={dn})".into(),
            group_name: "cn".into(),
            nesting: Nesting::Recursive,
            account_state: Vec::new(),
        };
        assert_eq!(shape, said);
    }
}
