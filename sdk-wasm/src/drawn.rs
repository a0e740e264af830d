//! Random bytes, drawn many at a time: a draw takes JavaScript longer than all else that noting an event takes.

use std::sync::{Mutex, PoisonError};

/// How many are drawn; an event takes 10.
const MANY: usize = 4_096;

/// Bytes that nobody has been given yet.
#[derive(Default)]
pub(crate) struct Drawn(Mutex<Vec<u8>>);

impl Drawn {
    /// Fills with what nobody has been given before.
    pub(crate) fn fill(&self, bytes: &mut [u8], draw: impl FnOnce(&mut [u8])) {
        if bytes.len() > MANY {
            return draw(bytes);
        }
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() < bytes.len() {
            left.resize(MANY, 0);
            draw(&mut left);
        }
        let rest = left.len() - bytes.len();
        bytes.copy_from_slice(&left[rest..]);
        left[rest..].fill(0);
        left.truncate(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_given_out_twice() {
        let (drawn, mut next) = (Drawn::default(), 0_u32);
        // Each draw brings other bytes, none of them 0.
        let mut draw = |bytes: &mut [u8]| {
            for four in bytes.chunks_exact_mut(4) {
                next += 1;
                four.copy_from_slice(&next.to_be_bytes());
            }
        };
        let mut given = Vec::new();
        for _ in 0..3 * MANY / 8 {
            let mut bytes = [0; 8];
            drawn.fill(&mut bytes, &mut draw);
            given.push(bytes);
        }
        let many = given.len();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), many);
        assert!(!given.contains(&[0; 8]));
    }
}
