//! Hashing passwords, few at a time: each takes 19 MiB and a core for some 20 ms.

use cloudnestle_marketplace::model::Secret;
use tokio::sync::Semaphore;

use crate::domain::password::{PasswordHash, has_length};

/// As many as a small machine has cores: more would only be slower, and take more memory.
const AT_ONCE: usize = 2;

/// Where passwords wait for their turn.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Passwords { turns: Semaphore::new(AT_ONCE) }
    }
}

impl Passwords {
    pub(crate) async fn hash(&self, password: &Secret, salt: [u8; 16]) -> Option<PasswordHash> {
        let password = password.clone();
        self.work(move || PasswordHash::of(&password, salt)).await.flatten()
    }

    /// Whether that is the password. Where there is none to compare with, or what is given is as long
    /// as no password, it takes as long: nobody learns from the time whether an account exists, and
    /// nobody has us hash a megabyte.
    pub(crate) async fn matches(&self, kept: Option<PasswordHash>, password: &Secret) -> bool {
        let is_possible = has_length(password);
        let (kept, password) = match is_possible {
            true => (kept, password.clone()),
            false => (None, Secret::new("")),
        };
        let matches = move || match kept {
            Some(kept) => kept.matches(&password),
            None => {
                let _same_time = PasswordHash::of(&password, [0; 16]);
                false
            }
        };
        self.work(matches).await.unwrap_or(false)
    }

    /// `None` if the work panicked.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _turn = self.turns.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_long_for_a_password_is_none_and_is_not_hashed() {
        let passwords = Passwords::default();
        for (length, is_right) in [(7, false), (8, true), (256, true), (257, false)] {
            let password = Secret::new("x".repeat(length));
            let kept = passwords.hash(&password, [7; 16]).await;
            assert_eq!(passwords.matches(kept, &password).await, is_right, "{length}");
        }
    }
}
