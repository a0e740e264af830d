// Runs the collection with newman against the server that the environment names, and fails where an
// answer is not what the collection says, or a request has got none.

import newman from 'newman';

const environment = {
  baseUrl: process.env.CLOUDNESTLE_URL,
  secretKey: process.env.CLOUDNESTLE_SECRET_KEY,
  adminKey: process.env.CLOUDNESTLE_ADMIN_KEY,
};

const collection = process.argv[2];
const envVar = Object.entries(environment).map(([key, value]) => ({ key, value }));

newman.run({ collection, envVar, timeoutRequest: 10_000 }, (error, summary) => {
  if (error) throw error;
  const { executions, failures, stats } = summary.run;
  for (const { source, error } of failures) {
    const answer = executions.find(({ item }) => item.id === source.id)?.response;
    console.error(`${source.name}: ${error.message}\n${answer?.text() ?? 'no answer'}`);
  }
  const answered = stats.assertions.total - stats.assertions.failed;
  console.log(`${answered} of ${stats.items.total} requests are answered as the collection says`);
  if (failures.length > 0 || answered !== stats.items.total) process.exitCode = 1;
});
