//! Who may speak: names and passwords, compared without telling by the time it takes how much was right.

use crate::{call::Refusal, config::User};

/// The users of the port.
pub(crate) struct Access {
    users: Vec<User>,
}

impl Access {
    /// Nobody listed: everybody may speak.
    pub(crate) fn new(users: Vec<User>) -> Self {
        Self { users }
    }

    /// Whether a connection need not log in.
    pub(crate) fn is_open(&self) -> bool {
        self.users.is_empty()
    }

    /// Checks a name and a password.
    pub(crate) fn check(&self, name: &[u8], password: &[u8]) -> Result<(), Refusal> {
        if self.is_open() && name == b"default" {
            return Ok(());
        }
        // Every user is compared, so that the time does not tell which names exist.
        let known = self.users.iter().fold(false, |known, user| {
            let same = same_bytes(user.name.as_bytes(), name) & same_bytes(user.password.as_bytes(), password);
            known | same
        });
        if known { Ok(()) } else { Err("WRONGPASS invalid username-password pair or user is disabled.".into()) }
    }
}

/// Compares without stopping at the first difference. The length of what was sent is no secret; the length of ours is hidden
/// by always walking the whole of what was sent.
fn same_bytes(ours: &[u8], sent: &[u8]) -> bool {
    let mut difference = u8::from(ours.len() != sent.len());
    for (at, byte) in sent.iter().enumerate() {
        difference |= byte ^ ours.get(at).copied().unwrap_or(0);
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_pair_is_let_in() {
        let ops = User { name: "ops".into(), password: "deep".into() };
        let access = Access::new(vec![User::default_user("secret"), ops]);
        for (name, password, may) in [
            ("default", "secret", true),
            ("ops", "deep", true),
            ("ops", "secret", false),
            ("default", "secre", false),
            ("default", "secret!", false),
            ("default", "", false),
            ("", "", false),
        ] {
            assert_eq!(access.check(name.as_bytes(), password.as_bytes()).is_ok(), may, "{name} {password}");
        }
        assert!(!access.is_open());
    }

    #[test]
    fn an_open_port_takes_the_default_user_with_any_password() {
        let access = Access::new(Vec::new());
        assert!(access.is_open() && access.check(b"default", b"x").is_ok() && access.check(b"ops", b"x").is_err());
    }
}
