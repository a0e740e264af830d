// The browser's face, scenario by scenario, in Chromium.
import { after, before } from 'node:test';
import { conformance } from '../conformance/play.mjs';
import { Pages } from './pages.mjs';
import { SCRIPT, open } from './remote.mjs';

/** What the face does not offer: it takes a secret key, or a code without a verifier. */
const MISSING = new Set([
  'consume',
  'diagnose',
  'exchange_code',
  'revoke_token',
  'usage_events',
  'usage_history',
]);

/** What is promised of a backend, and not of a client. */
const OF_BACKENDS = new Map(
  Object.entries({
    'a page reads no feed, and asks about no token': [
      'a_busy_marketplace_is_asked_again',
      'a_clock_that_goes_back_hides_no_revocation_and_no_tier',
      'a_marketplace_with_another_past_is_not_judged_by_the_old_one',
      'a_refusal_is_not_forgotten_in_an_outage',
      'a_remembered_user_is_refused_as_soon_as_the_feed_tells',
      'a_reused_refresh_token_ends_the_family',
      'a_revoked_token_is_refused',
      'a_revoked_user_is_refused_with_every_token',
      'a_valid_token_is_validated_once_and_remembered',
      'a_visitor_who_registers_keeps_what_was_used',
      'an_expired_token_is_refused',
      'an_outage_is_answered_from_memory_and_said_so',
      'many_callers_validate_once',
      'online_validation_never_answers_from_memory',
      'when_neither_feed_nor_marketplace_answers_the_answer_says_so',
      'without_the_feed_the_marketplace_is_asked',
    ],
    'a page has no key': ['a_key_the_marketplace_does_not_know_is_the_callers_fault'],
    'a page has the quotas of its own user': [
      'a_pair_that_is_kept_fresh_always_has_a_good_token',
      'a_program_that_calls_too_fast_is_slowed_down',
      'quotas_can_be_read_without_the_user',
    ],
    'what a page may report has no limit': [
      'a_context_is_given_at_once_and_renewed_behind_it',
      'a_hard_limit_begins_anew_at_the_solutions_midnight',
      'a_new_tier_reaches_users_and_contexts',
      'a_quota_that_is_reset_can_be_used_again',
      'beyond_a_hard_limit_usage_is_rejected_and_told',
      'rejected_usage_can_be_replayed_after_a_fix',
      'the_daily_quota_begins_anew_at_the_solutions_midnight',
      'usage_counts_against_the_daily_quota',
    ],
    'a page drops one event at a time': [
      'a_full_spool_drops_what_is_oldest_if_it_is_told_to_and_says_so',
    ],
    'what an earlier page has left waits until its user is seen': [
      'durable_usage_counts_once',
      'usage_outlives_the_program',
    ],
    'a client reads the keys when a pair is renewed': [
      'a_call_is_not_made_earlier_than_the_marketplace_asked',
      'many_callers_refresh_once',
      'the_server_says_whether_to_try_again',
    ],
    'Chromium itself sends again what was reset': [
      'a_visitor_is_minted_once_even_if_the_answer_is_lost',
    ],
  }).flatMap(([why, names]) => names.map((name) => [name, why])),
);

let pages;
before(async () => (pages = await Pages.begin('http://127.0.0.1:*', { '/remote.js': SCRIPT })));
after(() => pages?.end());

/** A program's page: what it has stored is there again when the program begins anew. */
const opened = new WeakMap();

conformance({
  why({ needs }, name) {
    const missing = needs.filter((need) => MISSING.has(need));
    if (missing.length > 0) return `a page has no ${missing.join(', ')}`;
    return OF_BACKENDS.get(name);
  },
  // What a solution lets clients report has another name.
  inItsWords: (text) =>
    text.includes('client: true') ? text : text.replaceAll(/\bsearch\b/g, 'view'),
  options: ({ url, solution, publishableKey, spoolLimits, durability }) => ({
    url,
    solution,
    publishableKey,
    spoolLimits,
    durability,
  }),
  async open(options) {
    const page = opened.get(options) ?? (await pages.open(await pages.context()));
    opened.set(options, page);
    return open(page, options);
  },
});
