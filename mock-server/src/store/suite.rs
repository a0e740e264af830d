//! The conformance suite: stories that are true of every store, told to each of them.

mod commits;
#[cfg(feature = "control")]
mod copies;
mod histories;
mod linear;
mod queries;
mod transactions;

use std::{ops::RangeInclusive, sync::Arc};

use super::{Expect, Key, Memory, Query, Sqlite, Store, StoreError, Table, Value, Write};

/// One test for each story and store.
macro_rules! told_to_every_store {
    ($($chapter:ident { $($story:ident)* })*) => {
        mod memory {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    super::$chapter::$story(std::sync::Arc::new(super::Memory::new())).await;
                }
            )*)*
        }

        mod sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    let folder = tempfile::tempdir().unwrap();
                    let store = super::Sqlite::open(&folder.path().join("state.db")).unwrap();
                    super::$chapter::$story(std::sync::Arc::new(store)).await;
                }
            )*)*
        }
    };
}

told_to_every_store! {
    commits {
        of_those_who_create_an_item_at_once_one_succeeds
        a_version_read_before_another_write_is_a_conflict
        a_check_guards_what_is_not_written
        one_failed_condition_undoes_every_write_of_the_commit
        versions_grow_by_one_and_start_anew_after_a_deletion
        deleting_what_is_not_there_succeeds_unless_it_was_expected
        a_counter_starts_at_zero_and_stays_within_its_limits
        sixty_four_spenders_never_spend_more_than_there_is
        a_sum_of_more_than_64_bits_is_a_conflict
        counters_and_documents_are_not_mistaken_for_each_other
        a_late_put_on_a_counter_is_a_conflict_before_it_is_a_mistake
        an_item_is_named_once_in_a_commit
        a_commit_has_at_most_a_hundred_writes
        an_item_has_at_most_400_kilobytes
        a_commit_has_at_most_4_megabytes
        a_commit_of_nothing_succeeds
        whoever_was_answered_sees_what_was_written
    }
    linear {
        a_counter_is_linearizable_among_many_tasks
    }
    queries {
        items_come_in_byte_order_with_both_ends_included
        a_limit_takes_from_the_end_that_comes_first
        nothing_is_found_in_an_empty_range
        tables_and_partitions_are_apart
        any_string_is_a_key
        a_query_never_sees_half_a_commit
    }
    transactions {
        increments_by_many_tasks_lose_nothing
        an_error_of_the_closure_commits_nothing
        what_was_read_and_not_written_must_not_change
        what_was_read_as_absent_must_stay_absent
        what_was_peeked_at_may_change
        a_second_read_answers_as_the_first
        reading_alone_is_never_a_conflict
        a_counter_that_was_read_with_get_must_not_change
        the_last_write_of_an_item_wins
        reads_see_the_writes_of_their_own_transaction
        what_is_added_several_times_is_added_up
        what_is_added_beyond_a_bound_moves_the_bound_of_what_came_before
        a_condition_that_cannot_come_true_is_given_up
        documents_of_another_shape_are_an_error
        a_query_reads_documents_and_counters
    }
}

fn key(sort: &str) -> Key {
    Key::new(Table::Users, "partition", sort)
}

fn put(sort: &str, value: impl AsRef<[u8]>, expect: Expect) -> Write {
    Write::Put { key: key(sort), value: value.as_ref().to_vec(), expect }
}

fn delete(sort: &str, expect: Expect) -> Write {
    Write::Delete { key: key(sort), expect }
}

fn add(sort: &str, amount: i64, within: RangeInclusive<i64>) -> Write {
    Write::Add { key: key(sort), amount, within }
}

fn check(sort: &str, expect: Expect) -> Write {
    Write::Check { key: key(sort), expect }
}

fn select(first: &str, last: &str) -> Query {
    Query {
        table: Table::Users,
        partition: "partition".to_owned(),
        sort: first.to_owned()..=last.to_owned(),
        limit: usize::MAX,
        descending: false,
    }
}

/// What an item holds, and its version.
async fn read(store: &dyn Store, sort: &str) -> Option<(u64, Value)> {
    store.get(key(sort)).await.unwrap().map(|item| (item.version, item.value))
}

fn document(version: u64, value: &str) -> Option<(u64, Value)> {
    Some((version, Value::Bytes(value.as_bytes().into())))
}

fn counter(version: u64, number: i64) -> Option<(u64, Value)> {
    Some((version, Value::Number(number)))
}

async fn sorts(store: &dyn Store, query: Query) -> Vec<String> {
    store.query(query).await.unwrap().into_iter().map(|item| item.key.sort).collect()
}
