//! Which numbers records were given, in a log whose numbers come later than its records.

use std::collections::VecDeque;

use super::Ticket;
use crate::error::{Error, Result};
use crate::model::Code;

/// How many runs are remembered. While nobody else appends, there is one.
const MAX_RUNS: usize = 10_000;

/// Tickets count the records of this program; the log's numbers those of all.
#[derive(Default)]
pub(super) struct Numbers {
    /// The last ticket that was given out.
    taken: u64,
    /// Up to which ticket it is known what became of the record.
    known: u64,
    /// In order.
    runs: VecDeque<Run>,
}

/// Records that were given numbers in a row, or none.
struct Run {
    ticket: u64,
    many: u64,
    first: Result<u64>,
}

impl Numbers {
    /// A ticket for one more record.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.taken += 1;
        self.last()
    }

    /// The last ticket.
    pub(super) fn last(&self) -> Ticket {
        Ticket(self.taken)
    }

    /// The next so many records have numbers from this one on, or have none.
    pub(super) fn add(&mut self, many: u64, first: Result<u64>) {
        let ticket = self.known + 1;
        self.known += many;
        if let Some(Run { many: before, first: Ok(number), .. }) = self.runs.back_mut()
            && first.as_ref().is_ok_and(|first| *number + *before == *first)
        {
            *before += many;
            return;
        }
        self.runs.push_back(Run { ticket, many, first });
        if self.runs.len() > MAX_RUNS {
            self.runs.pop_front();
        }
    }

    /// The number of the record that a ticket stands for, or why it has none; `None` as long as that is open.
    pub(super) fn of(&self, Ticket(ticket): Ticket) -> Option<Result<u64>> {
        if ticket > self.known {
            return None;
        }
        if ticket == 0 {
            return Some(Ok(0)); // there is no record
        }
        let behind = self.runs.partition_point(|run| run.ticket <= ticket);
        let run = behind.checked_sub(1).and_then(|place| self.runs.get(place));
        Some(match run {
            Some(Run { ticket: begins, first: Ok(number), .. }) => Ok(number + (ticket - begins)),
            Some(Run { first: Err(error), .. }) => Err(error.clone()),
            None => Err(Error::new(Code::Unknown)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_program_has_appended_in_between_is_passed_over() {
        let mut numbers = Numbers::default();
        let tickets: Vec<Ticket> = (0..7).map(|_| numbers.ticket()).collect();
        numbers.add(2, Ok(1));
        numbers.add(1, Ok(3));
        assert_eq!(numbers.runs.len(), 1, "in a row");
        numbers.add(1, Err(Error::new(Code::SpoolFull)));
        numbers.add(2, Ok(9));
        let number = |ticket: &Ticket| {
            numbers.of(*ticket).map(|number| number.map_err(|error| error.code()).ok())
        };
        let known: Vec<_> = tickets.iter().map(number).collect();
        let open = None;
        assert_eq!(
            known,
            [
                Some(Some(1)),
                Some(Some(2)),
                Some(Some(3)),
                Some(None),
                Some(Some(9)),
                Some(Some(10)),
                open
            ]
        );
    }

    #[test]
    fn a_million_records_of_which_each_is_followed_by_anothers_take_no_more_room() {
        let mut numbers = Numbers::default();
        let first = numbers.ticket();
        numbers.add(1, Ok(1));
        for number in 1..30_000 {
            numbers.ticket();
            numbers.add(1, Ok(2 * number + 1));
        }
        assert_eq!(numbers.runs.len(), MAX_RUNS);
        assert_eq!(numbers.of(first).unwrap().unwrap_err().code(), Code::Unknown);
        assert_eq!(numbers.of(numbers.last()).unwrap().unwrap(), 59_999);
    }
}
