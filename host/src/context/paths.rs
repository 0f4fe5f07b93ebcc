//! Where a user's conversations are: below the user's own folder, and nowhere else.

use std::path::{Path, PathBuf};

use crate::identity::{ConversationId, InvalidConversationId, UserId};

/// The paths of a user's conversations, relative to wherever conversations are.
///
/// `sessions/<sid>` for a user without an id and `users/<user>/conversations/<sid>`
/// for everybody else, as OpenHands lays them out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationPaths {
    root: PathBuf,
}

impl ConversationPaths {
    pub(super) fn of(user: Option<&UserId>) -> Self {
        let root = match user {
            None => PathBuf::from("sessions"),
            Some(user) => Path::new("users").join(segment(user.as_str())).join("conversations"),
        };
        Self { root }
    }

    /// A conversation's folder.
    pub fn dir(&self, sid: &str) -> Result<PathBuf, InvalidConversationId> {
        Ok(self.root.join(ConversationId::new(sid)?.as_str()))
    }

    /// The folder of a conversation's events.
    pub fn events_dir(&self, sid: &str) -> Result<PathBuf, InvalidConversationId> {
        Ok(self.dir(sid)?.join("events"))
    }

    /// The file of one event.
    pub fn event(&self, sid: &str, id: u64) -> Result<PathBuf, InvalidConversationId> {
        Ok(self.events_dir(sid)?.join(format!("{id}.json")))
    }

    /// The file of a conversation's metadata.
    pub fn metadata(&self, sid: &str) -> Result<PathBuf, InvalidConversationId> {
        Ok(self.dir(sid)?.join("metadata.json"))
    }
}

/// A user's id as the name of one folder: what is not plain is escaped as `%xx`,
/// so that no two users share one and none leads out.
fn segment(id: &str) -> String {
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            segment.push(char::from(byte));
        } else {
            segment.push('%');
            segment.push_str(&crate::hex::encode(&[byte]));
        }
    }
    // The name of a file has 255 bytes at most. No id is escaped to such a text.
    if segment.len() > 200 {
        segment = format!("%sha256-{}", crate::hex::encode(&crate::secret::digest_of(id)));
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: &str) -> ConversationPaths {
        ConversationPaths::of(Some(&UserId::new(user).unwrap()))
    }

    #[test]
    fn every_user_has_a_folder_and_nobody_has_two() {
        assert_eq!(
            of("12345678").dir("abc").unwrap(),
            Path::new("users/12345678/conversations/abc")
        );
        assert_eq!(ConversationPaths::of(None).dir("abc").unwrap(), Path::new("sessions/abc"));
        let ada = of("ada");
        assert_eq!(
            ada.event("s", 7).unwrap(),
            Path::new("users/ada/conversations/s/events/7.json")
        );
        assert_eq!(
            ada.metadata("s").unwrap(),
            Path::new("users/ada/conversations/s/metadata.json")
        );
        assert_ne!(of("a%2fb"), of("a/b"));
    }

    #[test]
    fn no_id_leads_out() {
        for user in ["..", ".", "/", "../../etc", "a/../b", "a\\b", "ünï", "%2e%2e", "C:"] {
            let dir = of(user).dir("s").unwrap();
            let components: Vec<_> = dir.components().collect();
            assert_eq!(components.len(), 4, "{user}: {dir:?}");
            let normal = |part: &_| matches!(part, std::path::Component::Normal(_));
            assert!(components.iter().all(normal), "{user}: {dir:?}");
        }
        let long = of(&"/".repeat(255)).dir("s").unwrap();
        assert!(long.components().all(|part| part.as_os_str().len() <= 255), "{long:?}");
        for sid in ["", ".", "..", "a/b", "../x", "a.b", "a\0", "ä", &"x".repeat(129)] {
            assert!(of("ada").dir(sid).is_err(), "{sid:?}");
        }
    }
}
