/** What was thrown, in words; what `fetch` threw, without the URL: Node says the reason in the cause. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return 'the request failed';
  const cause = error.cause;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}
